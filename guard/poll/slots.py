"""How much WAL replication slots keep from being recycled, and how long nobody has used them. Pure; it asks nobody.

A slot whose consumer has gone keeps WAL until the disk is full, and a primary whose WAL directory is full stops. A slot
that has lost its WAL keeps none any more; that is no good news, so it is never read as zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
    seen_inactive_for: float = 0.0
    """Seconds for which it has been looked at while it was inactive, where nobody says since when it is."""

    @property
    def lost(self) -> bool:
        return self.wal_status == "lost"

    @property
    def words(self) -> str:
        return f"slot {self.name}, {'active' if self.active else 'inactive'}, wal_status {self.wal_status}"


class IdleClock:
    """Since when slots are inactive, for servers that do not say it: seen where one look comes soon after another."""

    def __init__(self, soon: float = 30.0) -> None:
        self._soon = soon
        self._since: dict[str, tuple[float, bool]] = {}
        """When each was first seen inactive, and whether it was not so shortly before."""
        self._looked = float("-inf")

    def told(self, slots: Sequence[Slot], now: float) -> list[Slot]:
        """The slots, with what was seen of the inactive ones."""
        seen = now - self._looked <= self._soon
        self._since = {each.name: self._since.get(each.name, (now, seen)) for each in slots if not each.active}
        self._looked = now
        return [self._told(slot, now) for slot in slots]

    def _told(self, slot: Slot, now: float) -> Slot:
        if slot.active or slot.inactive_for is not None:
            return slot
        since, seen = self._since[slot.name]
        return replace(slot, inactive_for=now - since) if seen else replace(slot, seen_inactive_for=now - since)


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
    """How long the slot that is inactive for longest has been so, in seconds; 0 where all are active.

    Where nobody knows since when one is, a silence with the longest that is sure.
    """
    idle = [(slot.inactive_for or slot.seen_inactive_for, slot.name) for slot in slots if not slot.active]
    longest, name = max(idle, default=(0.0, ""))
    unsure = sorted(slot.name for slot in slots if not slot.active and slot.inactive_for is None)
    if unsure:
        why = f"slot {unsure[0]} was inactive when first looked at, and only PostgreSQL 17 and newer say since when"
        return Silence(INACTIVE, why, taken_at, longest)
    return Reading(INACTIVE, max(0.0, longest), taken_at, f"longest: slot {name}" if name else "no slot is inactive")
