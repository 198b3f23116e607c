"""Is the DDL gate there, does it hold anybody, and whom the file says?"""

from __future__ import annotations

from dataclasses import dataclass

from guard.act.ddl_gate import VERSION, DdlGate, read_note
from guard.check.remarks import Remark, fine, warning
from guard.postgres import Door
from guard.settings import Recognition
from guard.sql import get

_AGAIN = "run: migration-guard install --ddl-gate -c FILE, as a superuser"
_ENABLE = "as a superuser: alter event trigger migration_guard_ddl_gate enable"


@dataclass(frozen=True, slots=True)
class Found:
    """Columns of ddl_gate_look.sql."""

    enabled: str
    heeded: str
    note: str | None


async def check_ddl_gate(place: str, recognition: Recognition, door: Door) -> list[Remark]:
    """A remark on the gate; none where nobody could be held by one. Raises ServerError."""
    found = await door.fetch_as(Found, get("ddl_gate_look"))
    return [judged(place, recognition, found[0])] if found else [_none(place)] if recognition.roles else []


def _none(place: str) -> Remark:
    return fine(place, "there is no DDL gate: DDL of tools that do not ask is not held while they are paused")


def judged(place: str, recognition: Recognition, found: Found) -> Remark:
    """Whether the gate that was found holds those whom the file recognises."""
    known = read_note(found.note)
    if known is None:
        return warning(place, "the DDL gate is not one that this program has made", _AGAIN)
    gate, version = known
    wanted = DdlGate(recognition.roles, recognition.application_names, gate.when_lost)
    if found.enabled not in {"O", "A"}:
        return warning(place, "the DDL gate is disabled, and holds nobody", _ENABLE)
    if found.heeded != "on":
        return warning(place, "event_triggers is off, so the DDL gate holds nobody", "set it to on")
    # Names where the file has none make it hold fewer, on purpose.
    same_names = not wanted.application_names or set(gate.application_names) == set(wanted.application_names)
    if set(gate.roles) != set(wanted.roles) or not same_names:
        return warning(place, f"the DDL gate holds {gate}, and [migrations] names {wanted}", _AGAIN)
    if version != VERSION:
        age = "an earlier" if version < VERSION else "a newer"
        return warning(place, f"the DDL gate is of {age} version than this program", _AGAIN)
    return fine(place, f"DDL gate: it holds {gate}, and is {gate.when_lost} while no guard can say anything")
