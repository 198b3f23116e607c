"""May the guard's role do more than its part? Whoever breaks into the guard could do all of it."""

from __future__ import annotations

from dataclasses import dataclass

from guard.check.remarks import Remark, warning
from guard.postgres import Door
from guard.sql import get

_NEEDED = "the shipped grants are enough: migration_guard_guard, pg_monitor, pg_signal_backend"


@dataclass(frozen=True, slots=True)
class Powers:
    """Columns of cli_check_powers.sql."""

    attributes: list[str]
    owned: int
    changed: int
    example: str | None
    """One of the tables that it owns or may change."""
    owns_schema: bool


async def check_powers(place: str, user: str, door: Door) -> list[Remark]:
    """A warning for each power that the guard has no use for. Raises ServerError."""
    (powers,) = await door.fetch_as(Powers, get("cli_check_powers"))
    remarks = []
    if powers.attributes:
        what = f"{user} has {', '.join(powers.attributes)}, which the guard has no use for"
        remarks.append(warning(place, what, _NEEDED))
    if powers.owned:
        what = f"{user} owns tables of the application ({powers.owned}, such as {powers.example})"
        remarks.append(warning(place, what, f"give the guard a role of its own; {_NEEDED}"))
    elif powers.changed:
        what = f"{user} may change tables of the application ({powers.changed}, such as {powers.example})"
        remarks.append(warning(place, what, _NEEDED))
    if powers.owns_schema:
        what = f"{user} owns the schema migration_guard, and so could rewrite its record"
        remarks.append(warning(place, what, "have another role install it: migration-guard install --dsn ..."))
    return remarks
