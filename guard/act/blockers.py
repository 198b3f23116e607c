"""Names, in words for people, whom a waiting session waits for in the end. Ends nobody and never shows query text."""

from __future__ import annotations

from dataclasses import dataclass

from guard import sql
from guard.postgres import Door


@dataclass(frozen=True, slots=True)
class _Root:
    pid: int
    usename: str
    application_name: str
    state: str
    backend_type: str
    wraparound: bool
    in_state: float
    prepared: list[str]

    @property
    def words(self) -> str:
        if self.pid == 0:
            which = ", ".join(self.prepared) or "that is not to be seen from here"
            return (
                f"prepared transaction {which}: it has no session to cancel; "
                "its owner or a superuser ends it with ROLLBACK PREPARED or COMMIT PREPARED"
            )
        if self.backend_type == "autovacuum worker":
            why = "it prevents transaction id wraparound and must be left to finish" if self.wraparound else "it yields"
            return f"autovacuum worker {self.pid}: {why}"
        name = self.application_name or "no application_name"
        if self.state.startswith("idle in transaction"):
            return f"session {self.pid} ({self.usename}, {name}), {self.state} for {self.in_state:.1f} s"
        return f"session {self.pid} ({self.usename}, {name}), {self.state or 'state not visible'}"


async def root_words(door: Door, pid: int) -> str:
    """The head of the queue that *pid* waits in, such as `session 4711 (shop, web), idle in transaction for 42.0 s`.

    Empty where it waits for nobody. Raises ServerError.
    """
    rows = await door.fetch_as(_Root, sql.get("cancel_root"), {"pid": pid})
    return "; ".join(row.words for row in rows)
