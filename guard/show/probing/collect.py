"""The catalogue's metrics, filled from what is to be seen of the daemon at one moment. It asks nobody.

A scrape gets a registry of its own, so that nothing of one lingers in the next: a migration that has left leaves no
series behind.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import accumulate
from typing import Any, Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from guard.model import Phase
from guard.ports import RECORDER
from guard.show.probing.catalogue import CANNOT_KNOW, LEVEL_CODES, METERS, ORDER_CODES, Meter
from guard.show.probing.check import Code, answer_of
from guard.show.sight import Channel, Seen
from guard.tally import BOUNDS, Durations

SHOWN: Final = 100
"""Migrations that have series of their own, in the whole daemon: the newest."""
MODES: Final = ("live", "dormant", "observing", "released", "dead")
_ORDERS: Final = {
    Code.PROCEED: ORDER_CODES["proceed"],
    Code.PAUSE: ORDER_CODES["pause"],
    Code.ABORT: ORDER_CODES["abort"],
    Code.CANNOT_KNOW: CANNOT_KNOW,
}
_CANCELS: Final = ("cancelled", "stopped")
_VERSION: Final = (version("migration-guard"), platform.python_version())


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a scrape is made of."""

    seen: Sequence[Seen]
    channels: Sequence[Channel]
    wall: float
    """Unix time."""


def render(snapshot: Snapshot, accept: str) -> tuple[bytes, str]:
    """The body and its content type, in the format that the `Accept` header asks for."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(snapshot))
    ProcessCollector(registry=registry)
    encode, kind = choose_encoder(accept)
    return encode(registry), kind


class _Collector(Collector):
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterable[Metric]:
        return families(self._snapshot)


class _Families:
    """One family for each metric of the catalogue, in its order."""

    def __init__(self) -> None:
        self.made: list[Metric] = []
        self._numbers: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
        self._histograms: dict[str, HistogramMetricFamily] = {}
        self._summaries: dict[str, SummaryMetricFamily] = {}
        for meter in METERS.values():
            self.made.append(self._make(meter))

    def _make(self, meter: Meter) -> Metric:
        match meter.kind:
            case "histogram":
                histogram = self._histograms[meter.name] = HistogramMetricFamily(
                    meter.full, meter.means, labels=meter.labels
                )
                return histogram
            case "summary":
                summary = self._summaries[meter.name] = SummaryMetricFamily(
                    meter.full, meter.means, labels=meter.labels
                )
                return summary
            case kind:
                make = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
                number = self._numbers[meter.name] = make(meter.full, meter.means, labels=meter.labels)
                return number

    def put(self, name: str, value: float | None, *labels: str) -> None:
        """One series; None: there is nothing to tell, and so no series."""
        if value is not None:
            self._numbers[name].add_metric(labels, float(value))

    def put_histogram(self, name: str, durations: Durations, *labels: str) -> None:
        bounds = [*(f"{bound}" for bound in BOUNDS), "+Inf"]
        buckets = list(zip(bounds, accumulate(durations.counts), strict=True))
        self._histograms[name].add_metric(labels, buckets, durations.total)

    def put_summary(self, name: str, durations: Durations, *labels: str) -> None:
        self._summaries[name].add_metric(labels, sum(durations.counts), durations.total)


def families(snapshot: Snapshot) -> Iterable[Metric]:
    """Every metric of the catalogue; one that has no series at the moment is there by its name alone."""
    into = _Families()
    _daemon(into, snapshot)
    shown = _newest(snapshot.seen)
    for seen in snapshot.seen:
        _guard(into, seen)
        _counts(into, seen)
        _rules(into, seen, snapshot.wall)
        _probes(into, seen)
        _migrations(into, seen, shown, snapshot.wall)
    return into.made


def _daemon(into: _Families, snapshot: Snapshot) -> None:
    into.put("build_info", 1, *_VERSION)
    into.put("journal_trouble", any(each.journal_trouble for each in snapshot.seen))
    into.put("recorder_trouble", any(RECORDER in each.report.get("troubles", {}) for each in snapshot.seen))
    into.put("reload_refused", any(each.reload_refused for each in snapshot.seen))
    for channel in snapshot.channels:
        into.put("outbox_waiting", channel.waiting, channel.name)
        into.put("outbox_oldest_seconds", channel.oldest_age or 0.0, channel.name)
        into.put("outbox_dead", channel.dead, channel.name)
        into.put("channel_trouble", bool(channel.trouble), channel.name)


def _guard(into: _Families, seen: Seen) -> None:
    name = seen.database
    into.put("guarding", not seen.ended_because, name)
    for mode in MODES:
        into.put("mode", seen.mode == mode, name, mode)
    into.put("can_signal", seen.leading and not seen.trouble, name)
    into.put("can_see", not seen.report.get("cannot_see"), name)
    into.put("judged_age_seconds", seen.judged_age, name)
    into.put("asked_age_seconds", seen.asked_age, name)
    into.put("patience_seconds", seen.patience, name)
    into.put("lease_seconds", seen.lease, name)
    into.put("beat_age_seconds", seen.beat_age, name)
    beats = seen.mode == "live" and seen.beat_age is not None
    into.put("lease_remaining_seconds", seen.lease - (seen.beat_age or 0.0) if beats else None, name)


def _counts(into: _Families, seen: Seen) -> None:
    name, tally = seen.database, seen.tally
    into.put_histogram("decision_seconds", tally.deciding, name)
    into.put_histogram("pause_effective_seconds", tally.holding, name)
    into.put("pauses", tally.events["paused"], name)
    into.put("cancels", sum(tally.events[kind] for kind in _CANCELS), name)
    into.put("rollbacks", tally.events["rolling_back"], name)
    for kind, count in sorted(tally.events.items()):
        into.put("events", count, name, kind)


def _rules(into: _Families, seen: Seen, wall: float) -> None:
    name = seen.database
    for rule, level in sorted(_levels(seen).items()):
        into.put("rule_level", LEVEL_CODES.get(level), name, rule)
    for rule, reading in seen.report.get("readings", {}).items():
        into.put("rule_value", reading["value"], name, rule)
        into.put("rule_value_age_seconds", max(0.0, wall - reading["at"]), name, rule)
    for rule, limits in seen.limits.items():
        for rung, value in limits.items():
            into.put("rule_limit", value, name, rule, rung)


def _levels(seen: Seen) -> dict[str, str]:
    """By rule. Each run has the verdicts of the rules that concern it."""
    listed = (*seen.report.get("runs", ()), *seen.report.get("rules", ()))
    return {str(verdict["rule"]): str(verdict["level"]) for each in listed for verdict in each.get("verdicts", ())}


def _probes(into: _Families, seen: Seen) -> None:
    for probe, visits in seen.tally.visits.items():
        into.put_summary("poll_seconds", visits.took, seen.database, probe)
        into.put("poll_silences", visits.silences, seen.database, probe)
    for probe, poll in seen.polls.items():
        into.put("poll_last_seconds", poll.seconds, seen.database, probe)
        into.put("poll_age_seconds", poll.age, seen.database, probe)


def _newest(seen: Sequence[Seen]) -> frozenset[tuple[str, str]]:
    """(database, migration) of those that have series."""
    latest: dict[tuple[str, str], float] = {}
    for each in seen:
        for run in each.report.get("runs", ()):
            key = (each.database, str(run["migration"]))
            latest[key] = max(latest.get(key, 0.0), float(run["since"]))
    return frozenset(sorted(latest, key=lambda key: latest[key], reverse=True)[:SHOWN])


def _migrations(into: _Families, seen: Seen, shown: frozenset[tuple[str, str]], wall: float) -> None:
    runs: Sequence[Mapping[str, Any]] = seen.report.get("runs", ())
    for phase in Phase:
        into.put("migrations", sum(run["phase"] == phase for run in runs), seen.database, phase.value)
    names = sorted({str(run["migration"]) for run in runs})
    for name in names:
        if (seen.database, name) in shown:
            for metric, value in _of_migration(seen, name, wall):
                into.put(metric, value, seen.database, name)
    into.put("migrations_left_out", sum((seen.database, name) not in shown for name in names), seen.database)


def _of_migration(seen: Seen, name: str, wall: float) -> Iterator[tuple[str, float | None]]:
    newest = max((run for run in seen.report["runs"] if run["migration"] == name), key=lambda run: float(run["since"]))
    answer = answer_of(seen, name, wall)
    # A run that has ended and soaks is told nothing any more.
    order = _ORDERS[answer.code] if answer is not None else None
    yield "migration_order", order
    yield "migration_paused", float(order == ORDER_CODES["pause"])
    if newest["phase"] == Phase.PAUSED and seen.mode == "live":
        yield "migration_pause_effective", float(bool(newest.get("effective")))
    yield "migration_phase_seconds", max(0.0, wall - float(newest["since"]))
    progress = seen.progress.get(newest["run_id"]) if newest["run_id"] is not None else None
    if progress is not None:
        yield "migration_rows_done", progress.rows_done
        yield "migration_batches_done", progress.batches_done
