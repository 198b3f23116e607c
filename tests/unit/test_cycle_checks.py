"""Checks of the data: asked before a run begins and after it has ended well, and what follows from their answers."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from guard.cycle import Guard
from guard.cycle.inquests import ANSWERED_WITHIN
from guard.cycle.lasting import is_newer
from guard.cycle.replaying import Replay
from guard.cycle.verifying import GIVEN_UP_AFTER
from guard.model import Answer, Check, Found, OperatorOrder, Phase, Run, State
from guard.ports import Frame, Leadership
from tests.fakes import FakeHook, World, a_run, make_rule

LAG = make_rule("lag", pause="> 5s", resume="< 2s for 5s")
TOTALS = Check("totals", "select id from orders where total is null")
SUM = Check("sum", "select sum(amount) from payments", same=True, rollback=True)
HOLDS = Answer("totals")
FAILS = Answer("totals", offending=("id=1", "id=2", "id=3", "id=4"))
NEVER_WELL = "the run has not applied anything yet"


@dataclass
class FakeChecker:
    """Answers what it is set to; each answer by the name of its check."""

    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    within: float = 0.0

    async def ask(self, checks: Sequence[Check], *, within: float) -> tuple[Answer, ...]:
        self.asked.append(tuple(check.name for check in checks))
        self.within = within
        return tuple(self.answers[check.name] for check in checks)


class Recorded(World):
    """A world whose guard is recorded."""

    frames: list[Frame]

    def new_guard(self) -> Guard:
        self.frames = getattr(self, "frames", [])
        guard = super().new_guard()
        guard.hands = dataclasses.replace(guard.hands, record=self.frames.append)
        return guard


def house(*answers: Answer, checks: tuple[Check, ...] = (TOTALS,), **options: object) -> tuple[Recorded, FakeChecker]:
    """A world in which nobody has registered yet, and what the database would say."""
    world = Recorded(LAG, hook=FakeHook(), checks={"*": checks}, **options)
    checker = FakeChecker({answer.check: answer for answer in answers})
    equip(world, checker)
    return world, checker


def equip(world: World, checker: FakeChecker | None) -> None:
    world.guard.hands = dataclasses.replace(world.guard.hands, checker=checker)


def begin(world: World) -> None:
    world.runs = [a_run()]
    world.tick()
    world.runs = [a_run(rows_done=10)]
    world.tick()


def end(world: World, outcome: str = "done") -> None:
    world.runs = [a_run(here=False, rows_done=10, outcome=outcome)]


def record(world: World) -> list[tuple[str, object]]:
    """Events that hold answers: when they were given, and what each came to."""
    events = [event for publication in world.signal.published for event in publication.events]
    kept = [event.payload["checks"] for event in events if "checks" in event.payload]
    return [(each["when"], [one["holds"] for one in each["answers"]]) for each in kept]  # type: ignore[index]


def test_they_are_asked_before_it_begins_and_after_it_has_ended_and_each_answer_is_in_the_record() -> None:
    world, checker = house(HOLDS, soak={"*": 30.0})
    world.runs = [a_run()]
    world.look()
    world.step()
    assert (world.phases, world.word(), checker.asked) == ({"m": "waiting"}, "pause", [])
    assert "checks of its data" in str(world.order())
    world.tick()
    assert (world.phases, checker.asked, checker.within) == ({"m": "running"}, [("totals",)], ANSWERED_WITHIN)
    end(world)
    world.tick(5)
    assert (world.phases, checker.asked) == ({"m": "soaking"}, [("totals",), ("totals",)])
    assert record(world) == [("before", [True]), ("after", [True])]
    world.tick(30)
    assert (world.phases, world.told()) == ({}, ["started", "soaking", "ended"])


def test_who_waits_for_a_rule_is_asked_about_when_nothing_else_keeps_it_and_anew_after_another_wait() -> None:
    world, checker = house(FAILS)
    world.values["lag sensor"] = 9.0
    world.runs = [a_run()]
    world.tick(5)
    assert checker.asked == []
    world.values["lag sensor"] = 0.0
    world.tick(5)
    assert (checker.asked, "checks of its data" in str(world.order())) == ([], False)
    world.now += 1.0
    world.look()
    world.step()
    world.values["lag sensor"] = 9.0
    world.tick()
    assert (len(checker.asked), world.phases) == (1, {"m": "waiting"})
    world.values["lag sensor"] = 0.0
    world.tick(8)
    assert (len(checker.asked), world.phases) == (2, {"m": "running"})
    assert world.told().count("check_failed") == 1


def test_what_does_not_hold_before_is_told_once_and_keeps_nobody_from_beginning() -> None:
    world, _ = house(FAILS)
    begin(world)
    assert (world.phases, world.told()) == ({"m": "running"}, ["check_failed", "started"])
    notice = world.journal.notices[0]
    assert notice.because == 'check "totals" returned 4 rows: id=1; id=2; id=3; ...'
    assert "begins with a check that does not hold" in notice.headline
    assert notice.fields == {"rows of totals": "id=1; id=2; id=3; id=4"}


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (FAILS, "check_failed", "returned 4 rows: id=1"),
        (Answer("totals", why="no such table"), "check_unknown", "could not be answered: no such table"),
        (Answer("totals", offending=("id=1",), more=True), "check_failed", "returned more than 20 rows: id=1"),
    ],
)
def test_after_it_a_failure_and_an_unknown_are_told_and_never_taken_for_good(
    answer: Answer, kind: str, said: str
) -> None:
    world, checker = house(HOLDS)
    begin(world)
    checker.answers["totals"] = answer
    end(world)
    world.tick(3)
    assert (world.phases, world.told()) == ({}, ["started", "soaking", kind, "ended"])
    notice = next(each for each in world.journal.notices if each.kind == kind)
    assert said in notice.because
    assert notice.commands == ("migration-guard report m",)


def test_a_value_that_must_stay_is_compared_with_what_it_was() -> None:
    world, checker = house(Answer("sum", value="120"), checks=(SUM,))
    begin(world)
    checker.answers["sum"] = Answer("sum", value="119")
    end(world)
    world.tick(2)
    assert 'check "sum": was 120 before the run, and is 119' in [each.because for each in world.journal.notices]


def test_one_that_stayed_is_fine_and_one_that_was_not_known_before_is_not_known_after() -> None:
    world, checker = house(Answer("sum", value="120"), checks=(SUM,))
    begin(world)
    end(world)
    world.tick(2)
    assert world.told() == ["started", "soaking", "ended"]
    world, checker = house(Answer("sum", why="it took too long"), checks=(SUM,))
    begin(world)
    checker.answers["sum"] = Answer("sum", value="119")
    end(world)
    world.tick(2)
    assert world.told() == ["check_unknown", "started", "soaking", "check_unknown", "ended"]


# -- what a failure may do ---------------------------------------------------------------------------------------------


def failing(before: Answer, *, rows: int = 10, **options: object) -> Recorded:
    """A run that has ended, and whose sum is not what it was."""
    world, checker = house(before, checks=(SUM,), **options)
    world.runs = [a_run()]
    world.tick()
    world.runs = [a_run(rows_done=rows)]
    world.tick()
    checker.answers["sum"] = Answer("sum", value="119")
    world.runs = [a_run(here=False, rows_done=rows, outcome="done")]
    return world


@pytest.mark.parametrize("soak", [0.0, 60.0])
def test_a_failure_fires_the_rollback_where_that_is_allowed_after_the_end(soak: float) -> None:
    world = failing(Answer("sum", value="120"), auto_rollback=True, soak={"*": soak})
    world.tick(6)
    assert world.told() == ["started", "soaking", "check_failed", "rolling_back", "rolled_back"]
    assert world.hook is not None
    (facts,) = world.hook.runs
    assert facts["because"] == 'check "sum" does not hold after the run'
    assert world.phases == {"m": "aborted"}


@pytest.mark.parametrize(
    ("world", "why"),
    [
        (lambda: failing(Answer("sum", value="120")), "auto_rollback is not set"),
        (lambda: failing(Answer("sum", value="120"), rows=0, auto_rollback=True), NEVER_WELL),
        (
            lambda: failing(Answer("sum", value="120"), auto_rollback=True, own_auto_rollback={"m": False}),
            "auto_rollback is not set",
        ),
    ],
    ids=["not by itself", "nothing applied", "not this migration"],
)
def test_where_it_may_not_a_human_is_asked(world: object, why: str) -> None:
    made: World = world()  # type: ignore[operator]
    made.tick(3)
    assert made.told() == ["started", "soaking", "check_failed", "ended", "rollback_due"]
    notice = made.journal.notices[-1]
    assert why in notice.next_step
    assert notice.commands == ("/etc/rollback now", "migration-guard explain m", "migration-guard report 1")
    assert made.hook is not None
    assert made.hook.runs == []


def test_an_override_withholds_it_when_it_is_due() -> None:
    world = failing(Answer("sum", value="120"), auto_rollback=True, soak={"*": 60.0})
    world.look()
    world.step()
    world.orders = [OperatorOrder(1, "override", "m", "ada", "known", world.wall)]
    world.tick(3)
    assert world.told()[-2:] == ["check_failed", "rollback_due"]


def test_what_did_not_hold_before_never_rolls_back() -> None:
    check = dataclasses.replace(TOTALS, rollback=True)
    world, _ = house(FAILS, checks=(check,), auto_rollback=True)
    begin(world)
    end(world)
    world.tick(3)
    assert world.told() == ["check_failed", "started", "soaking", "check_failed", "ended", "rollback_due"]
    assert 'check "totals" was not known to be well before' in world.journal.notices[-1].next_step


# -- what may come between ---------------------------------------------------------------------------------------------


def test_no_answer_keeps_nobody_waiting_for_ever() -> None:
    world, _ = house(HOLDS)
    world.runs = [a_run()]
    world.look()
    world.step()
    for _ in range(int(GIVEN_UP_AFTER) + 2):
        world.now += 1.0
        world.look()
        world.step()
    assert (world.phases, world.told()) == ({"m": "running"}, ["check_unknown", "started"])
    world.work()  # the answer comes after all: too late
    world.tick()
    assert world.told() == ["check_unknown", "started"]


def test_a_question_that_fails_altogether_is_an_unknown() -> None:
    world, _ = house(HOLDS)
    world.runs = [a_run()]
    world.look()
    step = world.step()
    world.chores = []
    for chore in step.chores:
        chore.work.close()
        world.guard.done(chore, None)
        world.guard.done(chore, None)
    world.tick()
    assert world.told() == ["check_unknown", "started"]


def test_a_guard_that_can_ask_nobody_says_so() -> None:
    world, _ = house()
    equip(world, None)
    begin(world)
    assert world.told() == ["check_unknown", "started"]


def test_one_that_fails_or_vanishes_is_not_asked_about_and_who_never_registered_neither() -> None:
    world, checker = house(HOLDS)
    begin(world)
    end(world, "failed")
    world.tick(3)
    assert (len(checker.asked), world.phases) == (1, {})
    world.strangers = [a_run().session]  # type: ignore[list-item]
    world.tick(3)
    assert len(checker.asked) == 1


def test_a_restarted_guard_goes_on_with_what_was_answered_before() -> None:
    world, checker = house(Answer("sum", value="120"), checks=(SUM,))
    begin(world)
    kept = tuple(world.guard.states.values())
    assert kept[0].before == (Found("sum", holds=True, value="120", rollback=True),)
    world.signal.leadership = Leadership(2, 9, kept, 5)
    world.new_guard()
    equip(world, checker)
    checker.answers["sum"] = Answer("sum", value="121")
    end(world)
    world.tick(3)
    assert 'check "sum": was 120 before the run, and is 121' in [each.because for each in world.journal.notices]


@pytest.mark.parametrize("ended", [False, True], ids=["before", "after"])
def test_a_guard_that_was_killed_while_it_asked_is_followed_by_one_that_asks(ended: bool) -> None:
    world, checker = house(HOLDS, soak={"*": 60.0})
    world.runs = [a_run()]
    if ended:
        world.tick()
        checker.answers["totals"] = FAILS
        end(world)
    world.now += 1.0
    world.look()
    world.step()
    kept = tuple(world.guard.states.values())
    world.drop_chores()
    world.signal.leadership = Leadership(2, 9, kept, 5)
    world.new_guard()
    equip(world, checker)
    world.tick(3)
    assert world.phases == {"m": "soaking" if ended else "running"}
    assert (record(world)[-1], world.told().count("check_failed")) == (
        ("after", [False]) if ended else ("before", [True]),
        int(ended),
    )


def test_answers_for_a_run_that_has_left_meanwhile_are_passed_over() -> None:
    world, _ = house(HOLDS)
    world.runs = [a_run()]
    world.look()
    world.step()
    gone: list[Run] = [a_run(here=False, outcome="failed")]
    world.runs = gone
    world.look()
    world.step()
    world.tick()
    assert (world.phases, "check_unknown" in world.told()) == ({}, False)


def test_an_answer_that_comes_when_the_run_has_begun_without_it_says_nothing_of_how_it_was_before() -> None:
    world, _ = house(HOLDS)
    world.runs = [a_run()]
    world.look()
    world.step()
    world.guard.reconfigure(dataclasses.replace(world.options, checks={}), world.guard.hands.hooks)
    world.now += 1.0
    world.look()
    world.step()
    assert world.phases == {"m": "running"}
    world.work()
    world.tick()
    assert ([state.before for state in world.guard.states.values()], record(world)) == ([()], [])


def test_a_state_with_answers_is_newer_than_the_same_without() -> None:
    state = State("m", 1, Phase.WAITING, "", 1.0)
    found = (Found("sum", holds=True),)
    for later in (dataclasses.replace(state, before=found), dataclasses.replace(state, after=found)):
        assert (is_newer(later, state, even=False), is_newer(state, later, even=True)) == (True, False)


# -- played again ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("auto", [True, False], ids=["rolled back", "a human is asked"])
def test_a_recorded_run_with_checks_is_decided_again_as_it_was(auto: bool) -> None:
    world = failing(Answer("sum", value="120"), auto_rollback=auto, soak={"*": 4.0})
    world.tick(10)
    bodies = [json.loads(json.dumps(frame.body)) for frame in world.frames]
    played = Replay(world.options).play(bodies)
    assert (played.differs, played.same_options) == ("", True)
    turns = [turn.phase.value for turn in played.other.turns]
    assert turns[:4] == ["waiting", "running", "soaking", "rolling back" if auto else "done"]
    # With other options it is another state, and what was answered of the run is known of it all the same.
    other = dataclasses.replace(world.options, auto_rollback=True, soak={"*": 50.0})
    turns = [turn.phase.value for turn in Replay(other).play(bodies).other.turns]
    assert turns[:4] == ["waiting", "running", "soaking", "rolling back"]


def test_the_last_word_on_a_run_says_what_came_of_its_checks() -> None:
    world, _ = house(HOLDS, soak={"*": 30.0})
    begin(world)
    end(world)
    assert "checks" not in world.journal.notices[-1].fields
    world.tick(35)
    assert world.told() == ["started", "soaking", "ended"]
    assert world.journal.notices[-1].fields == {"checks": "totals holds"}
