"""What /metrics tells is what is to be seen, in Prometheus' own words, with labels that are bounded."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as parsed
from starlette.applications import Starlette

from guard.daemon.sight import DaemonSight
from guard.journal import Journal
from guard.ports import RECORDER
from guard.show.probing import routes
from guard.show.probing.catalogue import LEVEL_CODES, METERS, PREFIX
from guard.show.probing.collect import SHOWN, Snapshot, families, render
from guard.show.sight import Channel, Poll, Progress, Seen, Sight
from guard.tally import Durations, Tally, Visits
from guard.tell.log import LogLines
from guard.tell.outbox import Outbox
from guard.watch import Pace, Watch
from tests.fakes import World, a_run, make_rule
from tests.sights import NOW, StillSight, a_report_run, a_seen, a_verdict, paused

T = TypeVar("T")
Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def a_tally() -> Tally:
    tally = Tally()
    tally.events.update(paused=3, cancelled=1, stopped=1, rolling_back=1, resumed=2)
    tally.holding.add(0.3)
    tally.deciding.add(0.004)
    tally.visits["roster"] = Visits(Durations([1] + [0] * 13, 0.002, 0.002), silences=4, count=5)
    return tally


FULL = a_seen(
    paused(),
    report={"readings": {"lag": {"value": 9.0, "unit": "seconds", "at": NOW - 0.5}}, "troubles": {RECORDER: "full"}},
    tally=a_tally(),
    polls={"roster": Poll(0.002, 0.8, 4, 5)},
    limits={"lag": {"pause": 5.0, "resume": 2.0}},
    progress={7: Progress(1, "migrator", "m", 700, 7, "", NOW - 60, NOW - 1)},
    journal_trouble="the disk is full",
    reload_refused="no such rule",
)
CHANNEL = Channel("slack", 3, 1, 12.0, "429")


def series(*seen: Seen, channels: tuple[Channel, ...] = (CHANNEL,)) -> Series:
    """(name without the prefix, labels) -> value."""
    found = families(Snapshot(seen, channels, NOW))
    return {
        (each.name.removeprefix(PREFIX), tuple(each.labels.items())): each.value
        for family in found
        for each in family.samples
    }


MAIN = (("database", "main"),)
MIGRATION = (*MAIN, ("migration", "backfill"))
LAG = (*MAIN, ("rule", "lag"))
ROSTER = (*MAIN, ("probe", "roster"))
SLACK = (("channel", "slack"),)


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("journal_trouble", (), 1),
        ("recorder_trouble", (), 1),
        ("reload_refused", (), 1),
        ("outbox_waiting", SLACK, 3),
        ("outbox_oldest_seconds", SLACK, 12),
        ("outbox_dead", SLACK, 1),
        ("channel_trouble", SLACK, 1),
        ("guarding", MAIN, 1),
        ("mode", (*MAIN, ("mode", "live")), 1),
        ("mode", (*MAIN, ("mode", "dormant")), 0),
        ("can_signal", MAIN, 1),
        ("can_see", MAIN, 1),
        ("judged_age_seconds", MAIN, 0.1),
        ("beat_age_seconds", MAIN, 0.4),
        ("lease_seconds", MAIN, 10),
        ("lease_remaining_seconds", MAIN, 9.6),
        ("decision_seconds_bucket", (*MAIN, ("le", "0.005")), 1),
        ("pause_effective_seconds_bucket", (*MAIN, ("le", "0.25")), 0),
        ("pause_effective_seconds_bucket", (*MAIN, ("le", "+Inf")), 1),
        ("pause_effective_seconds_sum", MAIN, 0.3),
        ("pauses_total", MAIN, 3),
        ("cancels_total", MAIN, 2),
        ("rollbacks_total", MAIN, 1),
        ("events_total", (*MAIN, ("kind", "resumed")), 2),
        ("migrations", (*MAIN, ("phase", "paused")), 1),
        ("migrations", (*MAIN, ("phase", "running")), 0),
        ("migration_order", MIGRATION, 1),
        ("migration_paused", MIGRATION, 1),
        ("migration_pause_effective", MIGRATION, 1),
        ("migration_phase_seconds", MIGRATION, 60),
        ("migration_rows_done", MIGRATION, 700),
        ("migration_batches_done", MIGRATION, 7),
        ("migrations_left_out", MAIN, 0),
        ("rule_level", LAG, LEVEL_CODES["pause"]),
        ("rule_value", LAG, 9),
        ("rule_value_age_seconds", LAG, 0.5),
        ("rule_limit", (*LAG, ("rung", "pause")), 5),
        ("rule_limit", (*LAG, ("rung", "resume")), 2),
        ("poll_seconds_count", ROSTER, 1),
        ("poll_seconds_sum", ROSTER, 0.002),
        ("poll_last_seconds", ROSTER, 0.002),
        ("poll_age_seconds", ROSTER, 0.8),
        ("poll_silences_total", ROSTER, 4),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_metric_tells_what_is_to_be_seen(name: str, labels: tuple[tuple[str, str], ...], value: float) -> None:
    assert series(FULL)[name, labels] == pytest.approx(value)


def test_every_metric_of_the_catalogue_has_a_series_with_its_labels_and_no_other_name_has_one() -> None:
    found: dict[str, set[tuple[str, ...]]] = {}
    for name, labels in series(FULL):
        found.setdefault(PREFIX + name, set()).add(tuple(key for key, _ in labels if key != "le"))
    assert found == {name: {meter.labels} for meter in METERS.values() for name in meter.series}


@pytest.mark.parametrize(
    ("seen", "name", "value"),
    [
        pytest.param(a_seen(mode="dormant"), "lease_remaining_seconds", None, id="no-beat-no-lease"),
        pytest.param(a_seen(beat_age=12.0), "lease_remaining_seconds", -2, id="an-expired-lease-is-below-zero"),
        pytest.param(a_seen(leading=False), "can_signal", 0, id="does-not-lead"),
        pytest.param(a_seen(trouble="refused"), "can_signal", 0, id="cannot-signal"),
        pytest.param(a_seen(report={"cannot_see": "why"}), "can_see", 0, id="cannot-see"),
        pytest.param(a_seen(ended_because="fenced", mode="dead"), "guarding", 0, id="fenced"),
    ],
)
def test_a_guard_in_trouble_shows(seen: Seen, name: str, value: float | None) -> None:
    assert series(seen).get((name, MAIN)) == value


def test_a_silent_rule_has_a_level_and_no_value() -> None:
    found = series(a_seen(report={"rules": [{"verdicts": [a_verdict(level="unknown")]}]}))
    assert found["rule_level", LAG] == LEVEL_CODES["unknown"]
    assert ("rule_value", LAG) not in found


def test_a_run_that_has_ended_has_no_order_and_is_not_paused() -> None:
    found = series(a_seen(a_report_run(phase="soaking")))
    assert ("migration_order", MIGRATION) not in found
    assert found["migration_paused", MIGRATION] == 0


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(a_seen(a_report_run()), id="nothing-is-paused"),
        pytest.param(a_seen(a_report_run(phase="waiting", order="pause")), id="it-waits-for-its-start"),
        pytest.param(a_seen(paused(order="proceed"), mode="observing"), id="the-guard-only-thinks-so"),
    ],
)
def test_only_a_pause_of_the_guard_can_be_effective_or_not(seen: Seen) -> None:
    assert ("migration_pause_effective", MIGRATION) not in series(seen)


def test_of_several_runs_of_one_name_the_newest_tells_its_progress_and_the_gravest_its_order() -> None:
    progress = {run_id: Progress(1, "m", "m", run_id, 1, "", NOW, NOW) for run_id in (7, 8)}
    older, newer = paused(run_id=7, since=NOW - 60), a_report_run(run_id=8, since=NOW - 5)
    for runs in ((older, newer), (newer, older)):
        found = series(a_seen(*runs, progress=progress))
        told = [
            found[name, MIGRATION] for name in ("migration_order", "migration_phase_seconds", "migration_rows_done")
        ]
        assert told == [1, 5, 8]


def test_of_many_migrations_only_the_newest_have_series_and_the_rest_is_counted() -> None:
    runs = [a_report_run(f"m{number}", since=NOW - number, run_id=number) for number in range(SHOWN + 20)]
    found = series(a_seen(*runs[:70]), a_seen(*runs[70:], database="b"))
    shown = {dict(labels)["migration"] for name, labels in found if name == "migration_order"}
    assert shown == {f"m{number}" for number in range(SHOWN)}
    left_out = [value for (name, _), value in found.items() if name == "migrations_left_out"]
    assert sorted(left_out) == [0, 20]


def test_text_in_names_is_escaped_as_the_format_asks() -> None:
    name = 'back"fill\\\n{x="1"} 5'
    body, kind = render(Snapshot([a_seen(a_report_run(name))], (), NOW), "")
    assert kind.startswith("text/plain; version=0.0.4")
    read = [
        each.labels["migration"]
        for family in parsed(body.decode())
        for each in family.samples
        if "migration" in each.labels
    ]
    assert set(read) == {name}


class AtOnce:
    async def do(self, work: Callable[[], T]) -> T:
        return work()


def get(sight: Sight, path: str, **headers: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        app = Starlette(routes=routes(sight, AtOnce()))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(ask())


def test_metrics_come_in_the_format_that_is_asked_for() -> None:
    sight = StillSight((FULL,), (CHANNEL,))
    plain = get(sight, "/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert any(family.name == "process_resident_memory_bytes" for family in parsed(plain.text))
    modern = get(sight, "/metrics", accept="application/openmetrics-text; version=1.0.0")
    assert modern.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    names = {family.name for family in openmetrics(modern.text)}  # type: ignore[no-untyped-call]
    assert {meter.full.removesuffix("_total") for meter in METERS.values()} <= names


@pytest.mark.parametrize(
    ("path", "code", "begins"),
    [
        ("/check/backfill", 429, "pause: backfill on main: "),
        ("/check/backfill?why", 429, "pause: backfill on main: "),
        ("/check/backfill?database=main", 429, "pause: backfill on main: "),
        ("/check/backfill?database=other", 404, "unknown: backfill: "),
        ("/check/a%2Fb", 404, "unknown: a/b: "),
        ("/healthz", 200, "ok main: "),
    ],
)
def test_machines_are_answered_by_a_code_and_people_by_a_line(path: str, code: int, begins: str) -> None:
    answer = get(StillSight((FULL,)), path)
    assert (answer.status_code, answer.text[: len(begins)]) == (code, begins)
    assert answer.text.count("\n") == (2 if "why" in path else 1)


def test_a_real_guard_is_seen_with_its_counts_its_limits_and_its_journal(tmp_path: Path) -> None:
    world = World(make_rule(pause="> 5s and > 1.5x baseline"))
    world.runs, world.now = [a_run()], time.monotonic()
    (tmp_path / "file").touch()
    journal = Journal(tmp_path / "file" / "journal.sqlite", channels=["log"])
    watch = Watch(world.guard, (), Pace(0.01, 10.0, 1.0), lambda: None)
    sight = DaemonSight(
        (watch,), Outbox(journal, LogLines()), guard_id="tests", lease=10.0, journal=journal, refused=lambda: "x"
    )
    world.tick(5)
    world.values["lag sensor"] = 7.0
    world.tick(5)
    (seen,) = sight.look()
    assert seen.limits == {"lag": {"pause": 5.0, "resume": pytest.approx(3.5)}}
    assert (seen.tally.events["registered"], seen.tally.events["paused"]) == (1, 1)
    assert "cannot be used" in seen.journal_trouble
    assert (seen.patience, seen.asked_age, seen.reload_refused) == (20.0, 0.0, "x")
    found = series(seen)
    assert found["rule_limit", (*LAG, ("rung", "pause"))] == 5
    assert found["rule_value", LAG] == 7


ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", ["docs/grafana/migration-guard.json", "docs/prometheus/alerts.yml"])
def test_every_metric_that_a_dashboard_or_an_alert_names_exists(page: str) -> None:
    named = set(re.findall(rf"\b{PREFIX}\w+", (ROOT / page).read_text()))
    assert named != set()
    assert named - {name for meter in METERS.values() for name in meter.series} == set()
