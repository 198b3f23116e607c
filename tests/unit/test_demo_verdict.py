"""The closing figures of the demonstration: each turns wrong when the evidence does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from guard.demo.evidence import Event, Evidence, Staged, ended_sessions
from guard.demo.verdict import judge

APP_LOG = "2026-01-01 00:00:00.000 UTC [7] user=app app=shop: report "
CANCELED = "canceling statement due to user request"
TERMINATED = "terminating connection due to administrator command"


def event(at: float, kind: str, phase: str, because: str = "") -> Event:
    return Event(at, kind, "fill-region", because, phase, "" if kind == "registered" else f"n{at:g}")


def batch(at: float, first: int) -> list[dict[str, Any]]:
    numbers = {"first": first, "last": first + 9}
    return [
        {"at": at, "what": "batch begins", **numbers},
        {"at": at + 0.01, "what": "batch committed", "rows": 10, **numbers},
    ]


def good() -> Evidence:
    staged = Staged(
        replay_stopped=10,
        replay_resumed=14,
        alter_queued=20,
        pile_up=21,
        released=21.3,
        most_queued=6,
        report_survived=True,
        flag_on=30,
        shop_well=35,
    )
    events = [
        event(1, "registered", "waiting"),
        event(2, "started", "running"),
        event(12, "paused", "paused", "replication.lag 2.3 s > 2s"),
        event(16, "resumed", "running"),
        event(21.1, "paused", "paused", "locks.queued_behind_migration 6 >= 3"),
        Event(21.2, "cancelled", "*", "", "paused", "n21.2"),
        event(23, "resumed", "running"),
        event(33, "rolling_back", "rolling back"),
        event(33.5, "rolled_back", "aborted"),
    ]
    return Evidence(
        staged=staged,
        backfill=[*batch(3, 1), *batch(12.1, 11), *batch(17, 21), {"at": 34, "what": "ended", "outcome": "aborted"}],
        alter=[{"at": 21.2, "what": "alter refused", "sqlstate": "57014"}],
        events=events,
        slack_ids=[e.notice_id for e in events if e.notice_id],
        ended_sessions=[
            ("migrator", "migration:add-note", CANCELED),
            ("migrator", "migration:fill-region", TERMINATED),
        ],
        hook_runs=["run 1"],
        fills={0: 70, 1: 30},
        last_filled=30,
    )


def wrong(evidence: Evidence) -> list[str]:
    return [figure.what for figure in judge(evidence) if not figure.ok]


def restaged(**changes: object) -> Callable[[Evidence], Evidence]:
    return lambda e: dataclasses.replace(e, staged=dataclasses.replace(e.staged, **changes))  # type: ignore[arg-type]


def replaced(**changes: Any) -> Callable[[Evidence], Evidence]:
    return lambda e: dataclasses.replace(e, **changes)


def with_batch(at: float) -> Callable[[Evidence], Evidence]:
    """A fourth batch, committed whole, that began then."""
    return lambda e: dataclasses.replace(e, backfill=[*e.backfill, *batch(at, 31)], fills={1: 40}, last_filled=40)


def test_good_evidence_makes_every_figure_right() -> None:
    assert wrong(good()) == []


@pytest.mark.parametrize(
    ("figure", "spoil"),
    [
        ("standby stops replaying", restaged(replay_stopped=None)),
        ("standby stops replaying", restaged(replay_stopped=6.9)),
        ("standby replays again", restaged(replay_resumed=None)),
        ("requests queued", restaged(most_queued=2)),
        ("3 have waited", restaged(released=23.1)),
        ("3 have waited", restaged(released=None)),
        ("how the ALTER", replaced(alter=[{"at": 1, "what": "alter done"}])),
        ("others' sessions", replaced(ended_sessions=[("app", "shop: report", TERMINATED)])),
        ("migrations cancelled", replaced(ended_sessions=[])),
        ("the report", restaged(report_survived=False)),
        ("errors begin → rollback", restaged(flag_on=24.9)),
        ("runs of the rollback hook", replaced(hook_runs=[])),
        ("runs of the rollback hook", replaced(hook_runs=["run 1", "run 1"])),
        ("errors begin → the shop", restaged(shop_well=None)),
        ("batches begun while paused", with_batch(12.3)),
        ("batches begun while paused", with_batch(1.5)),
        ("batches begun while paused", with_batch(99)),
        ("batches begun while paused", replaced(events=[])),
        ("rows filled once", replaced(fills={1: 29}, last_filled=30)),
        ("rows filled once", replaced(backfill=[*batch(3, 1), *batch(17, 21)], fills={1: 20}, last_filled=30)),
        ("rows filled more than once", replaced(fills={1: 29, 2: 1})),
        ("how the backfill ended", replaced(backfill=[{"at": 9, "what": "ended", "outcome": "done"}])),
        ("messages in Slack", replaced(slack_ids=["n2", "n16", "n12"])),
        ("messages in Slack", replaced(slack_ids=[])),
        ("told:", replaced(slack_ids=["n2"])),
    ],
)
def test_a_figure_turns_wrong_with_its_evidence(figure: str, spoil: Callable[[Evidence], Evidence]) -> None:
    assert [what for what in wrong(spoil(good())) if what.startswith(figure)]


def test_a_batch_that_committed_before_its_session_was_cut_off_counts_as_the_table_shows_it() -> None:
    begun = {"at": 32.9, "what": "batch begins", "first": 31, "last": 40}
    evidence = dataclasses.replace(good(), backfill=[*good().backfill[:-1], begun, good().backfill[-1]])
    assert wrong(evidence) == []
    assert wrong(dataclasses.replace(evidence, fills={1: 40}, last_filled=40)) == []
    assert wrong(dataclasses.replace(evidence, fills={1: 35}, last_filled=35)) != []


def test_the_servers_log_tells_whose_session_was_ended() -> None:
    log = (
        f"{APP_LOG}ERROR:  {CANCELED}\n"
        f"2026-01-01 UTC [8] user=migrator app=migration:add-note FATAL:  {TERMINATED}\n"
        f"{APP_LOG}LOG:  process 7 still waiting for AccessShareLock\n"
    )
    assert ended_sessions(log) == [
        ("app", "shop: report", CANCELED),
        ("migrator", "migration:add-note", TERMINATED),
    ]
