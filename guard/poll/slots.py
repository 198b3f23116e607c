"""How much WAL replication slots keep from being recycled. Pure; it asks nobody.

A slot whose consumer has gone keeps WAL until the disk is full, and a primary whose WAL directory is full stops. A slot
that has lost its WAL keeps none any more; that is no good news, so it is never read as zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from guard.model import Reading, Sample, Silence

RETAINED = "replication.retained_bytes"
SAFE, INACTIVE = "replication.safe_wal_size", "replication.slot_inactive_for"


@dataclass(frozen=True, slots=True)
class Slot:
    """A row of pg_replication_slots."""

    name: str
    active: bool
    wal_status: str | None
    """`reserved`, `extended`, `unreserved` (about to be lost) or `lost`; NULL where it has never reserved any WAL."""
    kept: int | None
    """Bytes between the WAL that it needs first and the primary's newest."""
    safe: int | None = None
    """Bytes that may yet be written before it loses WAL; NULL where it is lost, or nothing limits what it keeps."""
    inactive_for: float | None = None
    """Seconds; NULL while it is active, and always before PostgreSQL 17."""

    @property
    def lost(self) -> bool:
        return self.wal_status == "lost"

    @property
    def words(self) -> str:
        return f"slot {self.name}, {'active' if self.active else 'inactive'}, wal_status {self.wal_status}"


def retained(slots: Sequence[Slot], taken_at: float) -> Sample:
    """The most WAL that one slot keeps, in bytes; 0 where none keeps any.

    A lost slot is a silence, with the most that the others keep.
    """
    keeping = [slot for slot in slots if slot.kept is not None and not slot.lost]
    most = max(keeping, key=lambda slot: (slot.kept or 0, slot.name), default=None)
    value = 0.0 if most is None else float(max(0, most.kept or 0))
    if lost := sorted(slot.name for slot in slots if slot.lost):
        why = "; ".join(
            f"slot {name} has lost WAL that its consumer still needs (wal_status lost): "
            "make the consumer anew and drop the slot"
            for name in lost
        )
        return Silence(RETAINED, why, taken_at, value)
    return Reading(RETAINED, value, taken_at, "no slot keeps any WAL" if most is None else f"the most: {most.words}")


def safe(slots: Sequence[Slot], taken_at: float) -> Sample:
    """How much WAL may yet be written before the first slot loses some, in bytes; infinite where none ever does."""
    if lost := sorted(slot.name for slot in slots if slot.lost):
        return Silence(SAFE, f"slot {lost[0]} has lost WAL already (wal_status lost)", taken_at)
    limited = [slot for slot in slots if slot.safe is not None]
    if not limited:
        return Reading(SAFE, float("inf"), taken_at, "no slot has a limit")
    first = min(limited, key=lambda slot: (slot.safe or 0, slot.name))
    return Reading(SAFE, float(first.safe or 0), taken_at, f"the least: {first.words}")


def inactive(slots: Sequence[Slot], taken_at: float) -> Sample:
    """How long the slot that is inactive for longest has been so, in seconds; 0 where all are active."""
    idle = [slot for slot in slots if not slot.active]
    if any(slot.inactive_for is None for slot in idle):
        return Silence(INACTIVE, "a slot is inactive, and only PostgreSQL 17 and newer say since when", taken_at)
    longest = max(idle, key=lambda slot: (slot.inactive_for or 0.0, slot.name), default=None)
    if longest is None:
        return Reading(INACTIVE, 0.0, taken_at, "no slot is inactive")
    return Reading(INACTIVE, max(0.0, longest.inactive_for or 0.0), taken_at, f"longest: slot {longest.name}")
