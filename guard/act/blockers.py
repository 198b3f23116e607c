"""Names, in words for people, whom a waiting session waits for in the end. Ends nobody and never shows query text.

The root of a queue is nobody that the guard would end, so the words say who may.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from guard import sql
from guard.postgres import Door


@dataclass(frozen=True, slots=True)
class Root:
    """Who is at the head of a queue; a row of query cancel_root."""

    pid: int
    usename: str
    application_name: str
    state: str
    backend_type: str
    wraparound: bool
    in_state: float
    prepared: list[str]
    superuser: bool = False

    def words(self, ours: Collection[int]) -> str:
        """Who it is, and where it is none of *ours* why it was left."""
        if self.pid == 0:
            which = ", ".join(self.prepared) or "that is not to be seen from here"
            return (
                f"prepared transaction {which}: it has no session to cancel; "
                "its owner or a superuser ends it with ROLLBACK PREPARED or COMMIT PREPARED"
            )
        if self.backend_type == "autovacuum worker":
            why = "it prevents transaction id wraparound and must be left to finish" if self.wraparound else "it yields"
            return f"autovacuum worker {self.pid}: {why}"
        if not self.usename:  # without pg_read_all_stats its kind is not to be seen, but that it is nobody's
            return f"process {self.pid} of the server itself, such as autovacuum, which yields after deadlock_timeout"
        name = self.application_name or "no application_name"
        lasting = f" for {self.in_state:.1f} s" if self.state.startswith("idle in transaction") else ""
        who = f"session {self.pid} ({self.usename}, {name}), {self.state or 'state not visible'}{lasting}"
        if self.pid in ours:
            return who
        whose = "a superuser's, which only a superuser ends" if self.superuser else "not the migration's"
        return f"{who}; left alone, since it is {whose}: select pg_terminate_backend({self.pid})"


async def root_words(door: Door, pid: int, ours: Collection[int] = ()) -> str:
    """The head of the queue that *pid* waits in, such as `session 4711 (shop, web), idle in transaction for 42.0 s`.

    *ours* are the migration's sessions, which the guard may end by itself. Empty where it waits for nobody. Raises
    ServerError.
    """
    rows = await door.fetch_as(Root, sql.get("cancel_root"), {"pid": pid})
    return "; ".join(row.words(ours) for row in rows)
