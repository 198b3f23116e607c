"""What follows where a run that is told to pause goes on: which rung, when, and what is told."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from guard.cycle.disobeyed import news, took_hold
from guard.decide.bounds import Bounds
from guard.decide.decision import decide
from guard.decide.ladder import Circumstances
from guard.decide.obeying import ABORT, CANCEL, GOES_ON, INSIDE, LEFT, RUNGS, TERMINATE, Heed, heed, next_rung
from guard.judge.findings import find
from guard.model import Ask, Finding, Level, Phase, State, Verdict

AT = 1_700_000_000.0
PAUSED = State("m", 1, Phase.PAUSED, "lag 7 s > 5s", AT - 40.0, epoch=7)
AT_WORK: dict[str, Any] = {"in_flight": "pid 7 (migrator, migration:m) is at work", "busy": (7,)}
IDLING: dict[str, Any] = {
    "in_flight": "pid 7 (migrator, migration:m) is in a transaction",
    "inside": "pid 7 (migrator, migration:m) idles in a transaction and has changes",
    "busy": (7,),
    "idles": True,
}


def facts(*, upto: str = "", **more: Any) -> Circumstances:
    """A run whose grace is over; *upto*: the highest rung that the configuration allows."""
    allowed = RUNGS[: RUNGS.index(upto) + 1] if upto else ()
    return Circumstances(wall=AT, **{"bounds": Bounds(ignored=allowed), "overdue": True, **more})


def breach() -> Finding:
    return find([Verdict("lag", Level.PAUSE, Ask.PAUSE, "lag 7 s > 5s", well=False, settled=True)])


def state(*rungs: str, **more: Any) -> State:
    return dataclasses.replace(PAUSED, rungs=rungs, **more)


def test_a_pause_is_acknowledged_when_its_client_says_so_and_effective_once_nothing_is_in_flight() -> None:
    asked = heed(PAUSED, facts(overdue=False))
    assert asked == Heed(PAUSED)
    heard = heed(PAUSED, facts(acknowledged=True, heard=True, overdue=False, **AT_WORK))
    assert (heard.state.acknowledged_since_wall, heard.state.effective) == (AT, False)
    later = dataclasses.replace(facts(acknowledged=True, heard=True), wall=AT + 3)
    held = heed(heard.state, later)
    assert held.became_effective
    assert (held.state.acknowledged_since_wall, held.state.effective_since_wall) == (AT, AT + 3)
    assert took_hold(held.state) == "acknowledged after 40 s, effective after 43 s"
    assert took_hold(PAUSED) == "never acknowledged, not seen to hold"
    again = heed(held.state, later)
    assert (again.became_effective, again.state) == (False, held.state)


def test_one_that_only_does_nothing_counts_as_paused_until_it_is_seen_at_work_and_then_only_after_a_while() -> None:
    quiet = heed(PAUSED, facts(quiet=True))
    assert quiet.became_effective
    assert quiet.state.acknowledged_since_wall is None
    broke = heed(quiet.state, facts(overdue=False, **AT_WORK)).state
    assert (broke.effective, broke.effective_since_wall, broke.broken) == (False, None, 1)
    assert not heed(broke, facts(acknowledged=True)).state.effective
    once_more = heed(broke, facts(acknowledged=True, quiet=True))
    assert (once_more.state.effective, once_more.state.broken, once_more.became_effective) == (True, 1, False)


def test_a_run_that_waits_for_its_beginning_is_held_to_it_but_has_no_pause_to_take_effect() -> None:
    waiting = state(phase=Phase.WAITING)
    assert heed(waiting, facts(acknowledged=True, heard=True, quiet=True)).state == waiting
    assert heed(waiting, facts(upto=CANCEL, **AT_WORK)).rung == CANCEL
    running = state(phase=Phase.RUNNING)
    assert heed(running, facts(upto=CANCEL, **AT_WORK)) == Heed(running)
    assert next_rung(running, facts(upto=CANCEL, **AT_WORK)) == ""


@pytest.mark.parametrize(
    ("upto", "done", "seen", "rung"),
    [
        ("", (), AT_WORK, ""),
        (CANCEL, (), AT_WORK, CANCEL),
        (CANCEL, (CANCEL,), AT_WORK, ""),
        (TERMINATE, (CANCEL,), AT_WORK, TERMINATE),
        (TERMINATE, (CANCEL,), {}, ""),
        (TERMINATE, (CANCEL, TERMINATE), AT_WORK, ""),
        (CANCEL, (), IDLING, ""),
        (TERMINATE, (INSIDE,), IDLING, TERMINATE),
        (ABORT, (CANCEL,), AT_WORK, TERMINATE),
        (ABORT, (CANCEL, TERMINATE), {}, ABORT),
        (ABORT, (CANCEL,), {}, ""),
        (ABORT, (), {**AT_WORK, "beyond": "it is behind a pooler"}, ""),
        (ABORT, (CANCEL, TERMINATE), {**AT_WORK, "overdue": False}, ""),
    ],
)
def test_each_rung_is_taken_once_in_its_order_and_where_it_is_seen_to_be_needed(
    upto: str, done: tuple[str, ...], seen: dict[str, Any], rung: str
) -> None:
    assert next_rung(state(*done), facts(upto=upto, **seen)) == rung


def test_the_last_rung_is_an_abort_with_its_reason_and_none_of_it_outlasts_the_pause() -> None:
    decision = decide(state(CANCEL, TERMINATE), breach(), facts(upto=ABORT, **AT_WORK))
    assert (decision.state.phase, decision.moved_from) == (Phase.ABORTED, Phase.PAUSED)
    assert decision.state.because == (
        "it was told to pause and did not, until it was cancelled and terminated "
        "(pid 7 (migrator, migration:m) is at work): lag 7 s > 5s"
    )
    gone = decide(state(TERMINATE), breach(), facts(upto=ABORT, gone=True)).state
    assert (gone.phase, gone.because) == (
        Phase.ABORTED,
        "it was told to pause and did not, until it was terminated: lag 7 s > 5s",
    )
    was = state(CANCEL, effective=True, acknowledged_since_wall=AT, effective_since_wall=AT, broken=2)
    well = find([Verdict("lag", Level.FINE, Ask.PROCEED, "fine", well=True, settled=True)])
    after = decide(was, well, facts()).state
    assert after.phase is Phase.RUNNING
    assert (after.rungs, after.broken, after.acknowledged_since_wall, after.effective_since_wall) == ((), 0, None, None)


def test_who_was_terminated_is_gone_for_that_reason_and_no_mystery() -> None:
    over = decide(state(TERMINATE), breach(), facts(upto=TERMINATE, gone=True)).state
    assert (over.phase, over.because) == (Phase.DONE, "its session was ended, since it did not keep to its pause")


def test_what_is_decided_carries_the_rung_and_the_news() -> None:
    decision = decide(state(), breach(), facts(upto=TERMINATE, left="VACUUM of pid 8 (m, n)", **IDLING))
    assert (decision.rung, decision.news) == (TERMINATE, (INSIDE, LEFT))
    assert decision.state.rungs == (INSIDE, LEFT)
    assert decide(decision.state, breach(), facts(upto=TERMINATE, left="x", **IDLING)).news == ()


@pytest.mark.parametrize(
    ("upto", "done", "seen", "told"),
    [
        ("", (), AT_WORK, (GOES_ON,)),
        ("", (GOES_ON,), AT_WORK, ()),
        ("", (), {}, ()),
        ("", (), {**AT_WORK, "overdue": False}, ()),
        (CANCEL, (), AT_WORK, ()),
        (CANCEL, (CANCEL,), AT_WORK, (GOES_ON,)),
        ("", (), IDLING, (INSIDE,)),
        ("", (INSIDE,), {**IDLING, "inside": ""}, ()),
        ("", (), {**IDLING, "inside": ""}, (GOES_ON,)),
        ("", (), {"left": "VACUUM of pid 8 (m, n)"}, (LEFT,)),
        ("", (), {"left": "VACUUM of pid 8 (m, n)", "overdue": False}, ()),
    ],
)
def test_people_are_told_once_where_nothing_more_is_done(
    upto: str, done: tuple[str, ...], seen: dict[str, Any], told: tuple[str, ...]
) -> None:
    assert heed(state(*done), facts(upto=upto, **seen)).news == told


@pytest.mark.parametrize(
    ("mark", "before", "seen", "step", "commands"),
    [
        (GOES_ON, state(), facts(**AT_WORK), 'Nothing of it is ended: [migrations] ignored is "warn".', "cancel"),
        (GOES_ON, state(), facts(upto=CANCEL, **{**IDLING, "inside": ""}), "A cancel does nothing", "terminate"),
        (
            GOES_ON,
            state(CANCEL),
            facts(upto=CANCEL, **AT_WORK),
            "The guard did cancel it, and may do no more.",
            "terminate",
        ),
        (GOES_ON, state(), facts(beyond="it is far", **AT_WORK), "Nothing of it is ended: it is far.", ""),
        (INSIDE, state(), facts(**IDLING), "A cancel does nothing to a session that idles", "terminate"),
        (INSIDE, state(), facts(upto=TERMINATE, **IDLING), "Its session is ended when its grace is over", "terminate"),
        (INSIDE, state(), facts(beyond="it is far", **IDLING), "Nothing of it is ended: it is far.", ""),
    ],
)
def test_the_message_says_what_is_in_flight_for_how_long_and_what_ends_it(
    mark: str, before: State, seen: Circumstances, step: str, commands: str
) -> None:
    draft = news(mark, before, seen)
    assert draft.because.startswith("told to pause 40 s ago (lag 7 s > 5s)")
    assert "pid 7 (migrator, migration:m)" in draft.because
    assert draft.next_step.startswith(step)
    by_hand = [command for command in draft.commands if command.startswith("select")]
    assert by_hand == ([f"select pg_{commands}_backend(7);"] if commands else [])


def test_whether_it_has_read_so_is_told_and_what_is_left_to_finish_is_named() -> None:
    assert ", which it has not acknowledged; pid 7" in news(GOES_ON, state(), facts(**AT_WORK)).because
    assert ", which it has acknowledged; " in news(GOES_ON, state(acknowledged_since_wall=AT), facts(**AT_WORK)).because
    left = news(LEFT, state(), facts(left="VACUUM of pid 8 (m, n)", left_pids=(8,)))
    assert left.commands == ("select pg_cancel_backend(8);",)
    assert (left.kind, left.headline) == ("let_finish", "is told to pause and left to finish: VACUUM of pid 8 (m, n)")
