"""What is told at the end of a run: its figures are those of its course, and what is not known is not made up."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from guard.cycle.courses import Course, Signal, less_is_worse
from guard.cycle.digest import digest, progress
from guard.judge.traces import Trace
from guard.model import Account, Found, Notice, Phase, State
from guard.ports import CancelReport, Ended
from tests.fakes import WALL, FakeHook, World, a_run, a_session, an_order, make_rule

LAG = make_rule("lag", pause="> 5s", resume="< 2s")
BEGAN = Account(began_wall=WALL, over_wall=WALL + 100.0)
OVER = State("m", 1, Phase.DONE, "the migration ended: done", WALL + 100.0, account=BEGAN)
COURSE = Course(WALL, whole=True)


def told(account: Account, course: Course = COURSE, **more: bool) -> dict[str, str]:
    return digest(dataclasses.replace(OVER, account=account), course, WALL + 100.0, **more)


def signal(name: str, *values: float | None, paused: tuple[int, ...] = (), pause: str = "> 5s") -> Signal:
    """A signal with a value each two seconds."""
    rule = make_rule(name, pause=pause)
    trace = Trace(0.0, less_is_worse=less_is_worse(rule))
    for index, value in enumerate(values):
        at = 2.0 * index
        trace.add(at, None if value is None else (value, WALL + at), marked=index in paused)
    return Signal(rule, trace)


def course_of(*signals: Signal, whole: bool = True) -> Course:
    return Course(WALL, whole, {each.rule.name: each for each in signals})


def test_of_sessions_without_a_run_and_of_a_run_that_never_began_there_is_nothing_to_tell() -> None:
    assert told(Account(over_wall=WALL)) == {}
    assert digest(dataclasses.replace(OVER, run_id=None), COURSE, WALL) == {}


def test_a_run_of_which_nothing_more_is_known_is_told_with_how_long_it_took() -> None:
    assert told(BEGAN) == {"took": "100 s, since 2023-11-14 22:13:20 UTC", "paused": "never"}
    assert told(BEGAN, observing=True).keys() == {"took", "would have been paused"}
    assert told(dataclasses.replace(BEGAN, over_wall=None))["took"].startswith("100 s,")


@pytest.mark.parametrize(
    ("pauses", "by", "words"),
    [
        (1, (("lag", 1),), "once, for 20 s, by lag"),
        (1, (), "once, for 20 s"),
        (2, (("lag", 2),), "2 times, for 20 s in all and 12 s at the longest, by lag"),
        (
            2,
            (("errors", 1), ("lag", 2)),
            "2 times, for 20 s in all and 12 s at the longest, by errors (once), lag (2 times)",
        ),
    ],
)
def test_pauses_are_told_with_their_time_and_whose_they_were(
    pauses: int, by: tuple[tuple[str, int], ...], words: str
) -> None:
    account = dataclasses.replace(BEGAN, pauses=pauses, paused=20.0, longest=12.0, by=by)
    assert told(account)["paused"] == words


@pytest.mark.parametrize(
    ("rows", "batches", "words"),
    [
        (8000, 8, "8,000 rows in 8 batches, 100 rows a second while at work"),
        (1, 1, "1 row in 1 batch, 0 rows a second while at work"),
        (0, 8, "0 rows in 8 batches"),
        (0, 0, None),
    ],
)
def test_what_it_did_is_told_with_its_speed_while_it_was_not_paused(rows: int, batches: int, words: str | None) -> None:
    account = dataclasses.replace(BEGAN, pauses=1, paused=20.0, longest=20.0)
    course = Course(WALL, whole=True, run=a_run(rows_done=rows, batches_done=batches))
    assert told(account, course).get("done") == words


def test_a_speed_is_not_told_of_less_than_a_second() -> None:
    course = Course(WALL, whole=True, run=a_run(rows_done=8))
    assert told(dataclasses.replace(BEGAN, over_wall=WALL + 0.5), course)["done"] == "8 rows"
    assert progress(a_run()) == "nothing reported yet"


def test_cancels_and_checks_are_told_where_there_were_any() -> None:
    after = (Found("a", holds=True), Found("b", holds=False), Found("c", holds=None))
    state = dataclasses.replace(OVER, account=dataclasses.replace(BEGAN, cut_off=1), after=after)
    words = digest(state, COURSE, WALL + 100.0)
    assert (words["cancelled"], words["checks"]) == ("once", "a holds, b DOES NOT HOLD, c not known")


def test_the_worst_of_each_signal_is_told_beside_its_limit_and_first_of_those_that_paused_it() -> None:
    account = dataclasses.replace(BEGAN, pauses=3, by=(("lag", 1), ("errors", 2)))
    course = course_of(
        signal("a", 1.0),
        signal("b"),
        signal("c", None),
        signal("lag", 1.0, 9.0),
        signal("errors", 7.0),
        signal("d", 2.0),
    )
    assert told(account, course)["worst"] == (
        "errors 7 s (limit > 5s) at 22:13:20 UTC; lag 9 s (limit > 5s) at 22:13:22 UTC; "
        "a 1 s (limit > 5s) at 22:13:20 UTC; d 2 s (limit > 5s) at 22:13:20 UTC"
    )
    more = course_of(*(signal(name, 1.0) for name in "abcdef"))
    assert told(account, more)["worst"].endswith("; and 2 more")


def test_a_signal_without_a_limit_of_its_own_is_told_without_one() -> None:
    bare = signal("a", 1.0)
    bare.rule = dataclasses.replace(bare.rule, pause=None)
    assert told(BEGAN, course_of(bare))["worst"] == "a 1 s at 22:13:20 UTC"


def test_a_guard_that_was_started_anew_says_from_when_on_it_knows_the_signals() -> None:
    words = told(BEGAN, course_of(signal("a", 1.0), whole=False))["worst"]
    assert words.endswith("; known only since 22:13:20 UTC, when the guard was started anew")
    assert "worst" not in told(BEGAN, course_of(whole=False))


def test_the_chart_shows_the_signal_that_paused_it_most_with_its_pauses() -> None:
    account = dataclasses.replace(BEGAN, pauses=3, by=(("errors", 1), ("lag", 2)))
    lag = signal("lag", 0.0, 1.0, 4.0, 8.0, 8.0, None, 2.0, 0.0, paused=(3, 4, 5))
    chart = told(account, course_of(signal("errors", *[6.0] * 8, paused=(1,)), lag))["chart"]
    assert chart == "lag, 0 s to 8 s, paused in [ ]\n▁▂▅[██·]▃▁"


@pytest.mark.parametrize("why", ["too short", "no pause seen", "nobody paused it", "no value"])
def test_there_is_no_chart_where_it_would_show_nothing(why: str) -> None:
    account = dataclasses.replace(BEGAN, pauses=1, by=() if why == "nobody paused it" else (("lag", 1),))
    values = [None if why == "no value" else 6.0] * (7 if why == "too short" else 8)
    lag = signal("lag", *values, paused=() if why == "no pause seen" else (1,))
    assert "chart" not in told(account, course_of(lag))


# -- by a guard --------------------------------------------------------------------------------------------------------


def ended(world: World, kind: str) -> Notice:
    [notice] = [notice for notice in world.journal.notices if notice.kind == kind]
    return notice


def paused_once(**options: Any) -> World:
    world = World(LAG, **options)
    world.runs = [a_run()]
    world.tick()
    world.runs = [a_run(rows_done=3000, batches_done=3)]
    world.tick(19)
    world.values["lag sensor"] = 9.0
    world.tick(30)
    world.values["lag sensor"] = 0.5
    world.tick(10)
    return world


def test_the_end_of_a_run_is_told_once_with_its_figures_and_the_command_that_shows_all() -> None:
    world = paused_once(soak={"m": 60.0})
    world.runs = [a_run(rows_done=6000, batches_done=6, outcome="done", here=False)]
    world.tick()
    notice = ended(world, "soaking")
    assert dict(notice.fields) == {
        "took": "60 s, since 2023-11-14 22:15:01 UTC",
        "done": "6,000 rows in 6 batches, 200 rows a second while at work",
        "paused": "once, for 30 s, by lag",
        "worst": "lag 9 s (limit > 5s) at 22:15:21 UTC",
        "chart": "lag, 0 s to 9 s, paused in [ ]\n▁▁▁▁▁▁▁█[████████████]▁▁▁▁",
    }
    assert notice.commands == ("migration-guard report 1",)
    world.tick(61)
    assert ended(world, "ended").fields == {}


def test_a_guard_that_takes_a_run_up_knows_its_pauses_and_says_that_it_does_not_know_its_signals() -> None:
    world = paused_once()
    world.new_guard()
    world.tick(10)
    world.runs = [a_run(rows_done=6000, batches_done=6, outcome="done", here=False)]
    world.tick()
    fields = ended(world, "ended").fields
    assert fields["paused"] == "once, for 30 s, by lag"
    assert fields["worst"].startswith("lag 500 ms (limit > 5s) at")
    assert "when the guard was started anew" in fields["worst"]
    assert "chart" not in fields


def test_a_run_that_vanishes_is_told_with_what_was_known_of_it_last() -> None:
    world = paused_once()
    world.runs = []
    world.tick(5)
    assert ended(world, "gone").fields["done"].startswith("3,000 rows in 3 batches")


def test_cancels_are_counted_although_time_forgives_them() -> None:
    world = World(make_rule("queue", pause="", cancel="> 3s", resume="<= 0s"))
    world.runs = [a_run()]
    world.tick()
    world.canceller.reports = [CancelReport((Ended(a_session(1001, 1), "cancelled", gone=True),))]
    for _ in range(2):
        world.values["queue sensor"] = 4.0
        world.tick()
        world.values["queue sensor"] = 0.0
        world.tick(700, by=10)
    world.runs = [a_run(outcome="done", here=False)]
    world.tick()
    assert ended(world, "ended").fields["cancelled"] == "2 times"


def test_a_rollback_is_told_with_the_figures_of_the_run_beside_those_of_its_hook() -> None:
    world = World(make_rule("errors", pause="", rollback="> 5s", resume="< 2s"), hook=FakeHook())
    world.runs = [a_run()]
    world.tick()
    world.runs = [a_run(rows_done=10)]
    world.tick(9)
    world.values["errors sensor"] = 6.0
    world.tick(5)
    fields = ended(world, "rolled_back").fields
    assert list(fields)[:2] == ["hook", "took"]
    assert fields["took"].startswith("10 s,")


def test_what_an_observing_guard_only_thought_of_is_told_as_that() -> None:
    world = paused_once(observing=True)
    world.runs = [a_run(rows_done=6000, batches_done=6, outcome="done", here=False)]
    world.tick()
    notice = ended(world, "ended")
    assert notice.fields["would have been paused"] == "once, for 30 s, by lag"
    assert "paused" not in notice.fields
    assert notice.commands == ()


def test_a_pause_in_which_an_operator_let_it_go_on_is_told_as_such_and_gives_no_speed() -> None:
    world = paused_once()
    world.values["lag sensor"] = 7.0
    world.tick(2)
    world.orders = [an_order("override")]
    world.tick(60)
    world.runs = [a_run(rows_done=6000, batches_done=6, outcome="done", here=False)]
    world.tick()
    fields = ended(world, "ended").fields
    times = "2 times, for 92 s in all and 62 s at the longest, by lag"
    assert fields["paused"] == f"{times}; an operator let it go on meanwhile"
    assert fields["done"] == "6,000 rows in 6 batches"
