"""What the audit trail holds of one run, as a record for people: when, for how long, why, and what came of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class EventSeen:
    """Columns of cli_events.sql."""

    kind: str
    phase: str
    because: str
    at: float
    headline: str | None
    checks: Mapping[str, Any] | None
    told: Mapping[str, str] = field(default_factory=dict)
    baselines: Sequence[Mapping[str, Any]] | None = None
    """What it was measured against by then."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time that a run has spent in one phase."""

    phase: str
    since: float
    until: float | None
    """None: it is in it still."""
    because: str
    effective_after: float | None = None
    """Seconds from the order of a pause until it was seen to hold; None: it was not."""

    def seconds(self, now: float) -> float:
        """How long it was, or is by now."""
        return max(0.0, (now if self.until is None else self.until) - self.since)


@dataclass(frozen=True, slots=True)
class OrderOfRun:
    """Columns of cli_run_orders.sql: what an operator ordered, as far as it fell into the run; Unix seconds."""

    kind: str
    owner: str
    reason: str
    since: float
    until: float | None
    """None: it stands, and the run goes on."""

    def seconds(self, now: float) -> float:
        """For how long it stood during the run, by now."""
        return max(0.0, (now if self.until is None else self.until) - self.since)


def stretches(events: Sequence[EventSeen]) -> tuple[Stretch, ...]:
    """The phases in their order, each with the reason of its beginning."""
    return tuple(_stretches(events))


def _stretches(events: Sequence[EventSeen]) -> Iterator[Stretch]:
    begun: EventSeen | None = None
    effective: float | None = None
    for event in events:
        if begun is not None and event.kind == "effective" and effective is None:
            effective = event.at - begun.at
        if not event.phase or (begun is not None and event.phase == begun.phase):
            continue
        if begun is not None:
            yield Stretch(begun.phase, begun.at, event.at, begun.because, effective)
        begun, effective = event, None
    if begun is not None:
        yield Stretch(begun.phase, begun.at, None, begun.because, effective)


def pauses(events: Sequence[EventSeen]) -> tuple[Stretch, ...]:
    """Those in which the guard's rules paused it; neither what it waited before it began nor an operator's pause."""
    return tuple(each for each in stretches(events) if each.phase == "paused")


def cancels(events: Sequence[EventSeen]) -> tuple[EventSeen, ...]:
    """What was cancelled or ended of it, or was tried to."""
    return tuple(event for event in events if event.kind in {"cancelled", "stopped", "cancel_failed"})


def baselines(events: Sequence[EventSeen]) -> list[Mapping[str, Any]]:
    """What it was measured against, as it was written down last."""
    known = [event.baselines for event in events if event.baselines]
    return list(known[-1]) if known else []


def verification(events: Sequence[EventSeen], when: str) -> list[Mapping[str, Any]]:
    """What came of its checks of `before` or `after`; the last word, where they were asked more than once."""
    said = [event.checks for event in events if event.checks and event.checks.get("when") == when]
    return list(said[-1]["answers"]) if said else []
