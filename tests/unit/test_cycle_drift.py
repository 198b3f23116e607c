"""Which readings make a baseline, for how long it holds, and what outlasts a kill; among fakes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from guard.cli.courses import remarks
from guard.cycle.replaying import Replay
from guard.errors import Refused
from guard.judge.baselines import Gathering
from guard.model import Baseline, Kept, OperatorOrder, Phase, Rule, Silence, State
from guard.ports import Frame, History
from guard.records import state_from_dict, state_to_dict
from tests.fakes import WALL, FakeHook, World, a_run, a_session, make_rule

RULE = make_rule("p99", pause="> 1.5x baseline and > 250ms for 2s", resume="< 1.2x baseline for 2s")
LAG = make_rule("lag", pause="> 5s", resume="< 2s for 1s")
SENSOR = "p99 sensor"
QUICK = Gathering(window=180.0, idle_interval=1.0, lasts=600.0)
"""A reading a second for three minutes; of 30 a baseline can be made."""


@dataclass
class FakeHistory:
    answer: Sequence[tuple[float, float]] | Refused = ()
    source: str = "Prometheus"
    asked: list[tuple[float, float]] = field(default_factory=list)

    async def samples(self, since_wall: float, until_wall: float) -> Sequence[tuple[float, float]]:
        self.asked.append((since_wall, until_wall))
        if isinstance(self.answer, Refused):
            raise self.answer
        return self.answer


class Drifting(World):
    """A world that keeps readings over a restart, and whose guards are all recorded on one tape."""

    def __init__(self, *rules: Rule, **options: Any) -> None:
        self.disk: list[Kept] = []
        self.frames: list[Frame] = []
        self.histories: dict[str, History] = {}
        super().__init__(*(rules or (RULE,)), gathering=options.pop("gathering", QUICK), **options)
        self.values[SENSOR] = 0.2

    def new_guard(self) -> Any:
        guard = super().new_guard()
        guard.hands = dataclasses.replace(
            guard.hands,
            keep=self.disk.append,
            kept=lambda: self.disk[-1] if self.disk else Kept(),
            record=self.frames.append,
            histories=self.histories,
        )
        return guard

    def starts(self, run_id: int = 1) -> None:
        self.runs = [a_run(run_id)]
        self.tick(1)

    def known(self) -> Baseline | str:
        [known] = self.guard.board.baselines.values()
        return known

    def state(self) -> State:
        [state] = self.guard.states.values()
        return state

    def differs(self) -> str:
        """How a replay of the tape differs from what was decided."""
        bodies = [json.loads(json.dumps(frame.body)) for frame in self.frames]
        return Replay(self.options).play(bodies).differs


def value_of(known: Baseline | str) -> float:
    assert isinstance(known, Baseline), known
    return known.value


def test_readings_at_rest_make_the_baseline_that_a_run_is_measured_against() -> None:
    world = Drifting()
    world.tick(29)
    assert world.known() == "29 of 30 readings"
    world.tick(1)
    assert value_of(world.known()) == 0.2
    world.starts()
    assert world.phases == {"m": "running"}
    world.values[SENSOR] = 0.4
    world.tick(3)
    assert world.phases == {"m": "paused"}
    assert world.state().because.endswith("baseline 200 ms (median of 30 over 29 s, spread 0 s)")
    world.values[SENSOR] = 0.21
    world.tick(4)
    assert world.phases == {"m": "running"}
    assert "no_baseline" not in world.told()
    assert world.differs() == ""


def test_at_rest_the_report_tells_once_that_there_is_a_baseline() -> None:
    world = Drifting()
    world.tick(20)
    published = len(world.signal.published)
    world.tick(60)
    [news] = world.signal.published[published:]
    assert (news.mode, news.report is not None) == ("dormant", True)
    assert "baseline 200 ms (median of 30 over 29 s" in json.dumps(news.report)


def test_a_wall_clock_that_is_set_back_loses_no_readings() -> None:
    world = Drifting()
    world.tick(40)
    world.clock_set_by = -3600.0
    world.tick(20)
    assert value_of(world.known()) == 0.2


def test_what_is_read_while_a_run_is_at_work_or_in_its_soak_does_not_count() -> None:
    world = Drifting(soak={"*": 50.0})
    world.tick(40)
    world.starts()
    world.values[SENSOR] = 0.24
    world.tick(50)
    world.runs = [a_run(outcome="done", here=False)]
    world.tick(40)
    assert (world.phases, value_of(world.known())) == ({"m": "soaking"}, 0.2)
    world.runs = []
    world.tick(100)
    assert value_of(world.known()) == 0.24  # the newest of rest, as many as the window holds
    world.tick(10)
    assert (world.phases, value_of(world.known())) == ({}, 0.24)


def test_sessions_that_registered_nothing_count_as_work() -> None:
    world = Drifting()
    world.tick(40)
    world.strangers = [a_session(7)]
    world.values[SENSOR] = 9.0
    world.tick(60)
    assert value_of(world.known()) == 0.2


def test_a_run_that_does_not_heed_that_it_is_over_counts_as_work() -> None:
    world = Drifting()
    world.tick(40)
    aborted = State("m", 1, Phase.ABORTED, "by anna", WALL)
    world.journal.kept = (aborted,)
    world.new_guard()
    world.runs = [a_run()]
    world.values[SENSOR] = 9.0
    world.tick(60)
    assert value_of(world.known()) == 0.2


@pytest.mark.parametrize("pooled", [False, True])
def test_a_run_whose_client_was_killed_is_no_work_though_it_stands_in_the_list_for_good(pooled: bool) -> None:
    world = Drifting()
    world.tick(40)
    world.runs = [a_run(pooled=pooled)]
    world.tick(5)
    world.runs = [a_run(here=False, pooled=pooled)]
    world.values[SENSOR] = 0.24
    world.tick(1000)
    assert (world.phases, value_of(world.known())) == ({}, 0.24)


def test_while_a_run_waits_to_begin_readings_are_gathered_and_it_gets_its_baseline() -> None:
    world = Drifting()
    world.values[SENSOR] = 0.3
    world.tick(10)
    world.starts()
    world.new_guard()
    world.tick(10)
    assert world.phases == {"m": "waiting"}
    assert "of 30 readings" in world.state().because
    world.tick(25)
    assert (world.phases, value_of(world.known())) == ({"m": "running"}, 0.3)
    assert world.state().baselines == (world.known(),)
    assert "no_baseline" not in world.told()


@pytest.mark.parametrize("free", ["observed", "overridden", "has begun"])
def test_who_is_told_to_wait_and_works_all_the_same_makes_no_baseline_of_its_own_load(free: str) -> None:
    world = Drifting(observing=free == "observed")
    world.tick(5)
    world.values[SENSOR] = 0.4
    world.orders = [OperatorOrder(1, "override", "m", "anna", "", WALL, None)] if free == "overridden" else []
    world.runs = [a_run(rows_done=5 if free == "has begun" else 0)]
    world.tick(60)
    assert (world.phases, type(world.known())) == ({"m": "waiting"}, str)
    world.orders, world.runs = [], []
    world.values[SENSOR] = 0.2
    world.tick(40)
    assert (world.phases, value_of(world.known()), world.differs()) == ({}, 0.2, "")


def test_a_run_that_waits_because_a_signal_is_bad_does_not_wait_until_bad_is_usual() -> None:
    world = Drifting(make_rule("p99", pause="> 1.5x baseline and > 250ms", resume="< 1.2x baseline for 2s"))
    world.tick(40)
    world.values[SENSOR] = 0.4
    world.starts()
    world.tick(250)
    world.new_guard()
    world.tick(250)
    assert (world.phases, value_of(world.known())) == ({"m": "waiting"}, 0.2)
    world.values[SENSOR] = 0.2
    world.tick(4)
    assert (world.phases, world.state().baselines) == ({"m": "running"}, (world.known(),))


def test_a_run_that_begins_without_a_baseline_is_told_so_and_goes_by_its_floor() -> None:
    world = Drifting()
    world.starts()
    assert world.phases == {"m": "running"}
    [notice] = [notice for notice in world.journal.notices if notice.kind == "no_baseline"]
    assert notice.because == "p99: no baseline is taken yet (1 of 30 readings)"
    world.values[SENSOR] = 0.4
    world.tick(5)
    assert world.phases == {"m": "paused"}
    assert "is unknown for" in world.state().because
    world.tick(60)
    assert world.state().baselines == ()
    world.values[SENSOR] = 0.2
    world.tick(4)
    assert world.phases == {"m": "running"}
    assert world.differs() == ""


@pytest.mark.parametrize(
    ("limits", "ends"),
    [({"warn": "> 1.5x baseline", "pause": "> 1s"}, "aborted"), ({"pause": "> 1.5x baseline"}, "paused")],
)
def test_a_warning_without_a_baseline_silences_no_rollback_and_a_pause_without_one_does(
    limits: dict[str, str], ends: str
) -> None:
    rule = make_rule("p99", rollback="> 2s for 2s", resume="< 1s for 1s", no_data="ignore", **limits)
    world = Drifting(rule, hook=FakeHook())
    world.starts()
    world.runs = [a_run(rows_done=5)]
    world.tick(2)
    world.values[SENSOR] = 9.0
    world.tick(5)
    assert world.phases == {"m": ends}
    assert ("rolled_back" in world.told()) is (ends == "aborted")


def test_two_runs_at_once_are_measured_against_the_same() -> None:
    world = Drifting()
    world.tick(40)
    world.starts()
    world.values[SENSOR] = 0.24
    world.tick(60)
    world.runs = [a_run(), a_run(2, "n")]
    world.tick(5)
    first, second = (state.baselines for state in world.guard.states.values())
    assert (first, value_of(first[0])) == (second, 0.2)


def test_a_kill_keeps_the_baseline_of_a_run_and_the_readings_of_before() -> None:
    world = Drifting()
    world.tick(40)
    world.starts()
    before = world.known()
    world.values[SENSOR] = 0.4
    world.new_guard()
    world.tick(5)
    assert (world.known(), world.state().baselines) == (before, (before,))
    assert world.phases == {"m": "paused"}
    written = [event.payload["state"] for each in world.signal.published for event in each.events]
    assert state_from_dict(written[-1]).baselines == (before,)  # type: ignore[arg-type]
    world.runs = [a_run(outcome="failed", here=False)]
    world.tick(2)
    world.new_guard()
    world.runs = []
    world.tick(1)
    assert value_of(world.known()) == 0.2
    assert world.differs() == ""


def test_readings_are_written_twice_a_minute_at_most_and_only_new_ones() -> None:
    world = Drifting()
    world.tick(65)
    assert [len(kept.readings[next(iter(kept.readings))]) for kept in world.disk] == [1, 31, 61]
    world.starts()
    world.tick(30)
    assert len(world.disk) == 4
    world.tick(90)
    assert len(world.disk) == 4


def test_readings_of_another_server_make_no_baseline_but_a_run_keeps_its_own() -> None:
    world = Drifting()
    world.guard.board.home = "a"
    world.signal.leadership = dataclasses.replace(world.signal.leadership, home="a")
    world.tick(40)
    world.starts()
    world.signal.leadership = dataclasses.replace(world.signal.leadership, home="b")
    world.guard.publisher.leading = False
    world.tick(5)
    assert value_of(world.known()) == 0.2
    world.runs = [a_run(outcome="failed", here=False)]
    world.tick(5)
    assert isinstance(world.known(), str)
    world.disk[-1] = Kept("a", {world.guard.board.questions["p99"]: tuple((WALL + n, 0.2) for n in range(99))})
    world.new_guard()
    world.runs = []
    world.tick(2)
    assert world.known() == "2 of 30 readings"


def test_readings_of_an_application_are_those_of_any_server() -> None:
    rule = dataclasses.replace(RULE, sensor="http:p99", metric="http")
    world = Drifting(rule)
    world.values["http:p99"] = 0.2
    world.signal.leadership = dataclasses.replace(world.signal.leadership, home="a")
    world.tick(40)
    world.signal.leadership = dataclasses.replace(world.signal.leadership, home="b")
    world.guard.publisher.leading = False
    world.tick(2)
    assert value_of(world.known()) == 0.2
    world.signal.leadership = dataclasses.replace(world.signal.leadership, home="c")
    world.new_guard()
    world.tick(2)
    assert value_of(world.known()) == 0.2


def test_silences_and_what_divides_by_nothing_are_no_readings_and_old_ones_none_either() -> None:
    world = Drifting()
    world.tick(31)
    world.values[SENSOR] = float("inf")
    world.tick(10)
    world.values[SENSOR] = Silence(SENSOR, "refused", world.now)
    world.tick(10)
    assert value_of(world.known()) == 0.2
    world.tick(700)
    assert world.known() == "0 of 30 readings"


def test_nobody_counts_while_nobody_can_be_seen() -> None:
    world = Drifting()
    world.tick(20)
    roster = Silence("roster", "timeout", world.now)
    world.guard.board.samples["roster"] = roster
    for _ in range(30):
        world.now += 1
        world.guard.board.put(dataclasses.replace(seen(world), roster=None))
        world.guard.board.samples["roster"] = roster
        world.step()
    assert world.known() == "20 of 30 readings"


def seen(world: World) -> Any:
    from guard.model import Reading
    from guard.ports import Observation

    return Observation((Reading(SENSOR, 9.0, world.now),))


def test_a_baseline_that_a_run_outlives_is_taken_anew_while_every_rule_is_fine() -> None:
    world = Drifting(RULE, LAG)
    world.tick(40)
    world.starts()
    world.values[SENSOR] = 0.24
    world.values["lag sensor"] = 9.0
    world.tick(700)
    assert (world.phases, world.state().baselines[0].value) == ({"m": "paused"}, 0.2)
    world.values["lag sensor"] = 0.0
    world.tick(40)
    assert (world.phases, world.state().baselines[0].value) == ({"m": "running"}, 0.24)
    [notice] = [notice for notice in world.journal.notices if notice.kind == "baseline"]
    assert notice.headline.startswith("migration-guard measures p99 anew: baseline 240 ms (median of 30 over")
    assert notice.because.startswith("the one before was 1")
    assert "baseline 200 ms" in notice.because
    assert world.differs() == ""


def test_a_source_that_knows_the_past_is_asked_once_where_readings_are_too_few() -> None:
    world = Drifting()
    past = [(WALL + 100 - n, 0.2) for n in range(60)] + [(WALL + 102, 9.0)]
    history = world.histories["p99"] = FakeHistory(past)
    world.tick(1)
    world.values[SENSOR] = 0.31
    world.runs = [dataclasses.replace(a_run(), registered_wall=world.wall)]
    world.tick(3)
    assert history.asked == [(WALL + 101 - 180, WALL + 101)]
    assert world.known() == Baseline(
        world.guard.board.questions["p99"], 0.2, 0.0, 60, WALL + 41, WALL + 100, "Prometheus"
    )
    assert world.state().baselines == (world.known(),)
    world.runs = [a_run(outcome="failed", here=False)]
    world.tick(2)
    world.runs = []
    world.tick(1)
    assert isinstance(world.known(), str)
    world.tick(30)
    world.starts(2)
    assert len(history.asked) == 1  # there are readings enough by now
    assert world.differs() == ""


def test_a_source_that_has_no_answer_leaves_the_guards_own_readings_and_says_why() -> None:
    world = Drifting()
    world.histories["p99"] = FakeHistory(Refused("no answer within 1.5 s"))
    world.tick(1)
    world.values[SENSOR] = 0.3
    world.starts()
    assert world.known() == "2 of 30 readings; Prometheus: no answer within 1.5 s"
    world.tick(40)
    assert value_of(world.known()) == 0.3


def test_nobody_is_told_of_a_lacking_baseline_while_a_source_is_still_asked_for_it() -> None:
    world = Drifting()
    history = world.histories["p99"] = FakeHistory([(WALL + 100 - n, 0.2) for n in range(60)])
    world.runs = [dataclasses.replace(a_run(), registered_wall=WALL + 100)]
    world.now += 1
    world.look()
    world.step()
    world.look()
    world.step()
    assert (world.phases, world.told(), history.asked) == ({"m": "running"}, ["started"], [])
    world.tick(1)
    assert (value_of(world.known()), world.told()) == (0.2, ["started"])


def test_a_source_that_breaks_in_an_unforeseen_way_has_no_answer() -> None:
    world = Drifting()
    world.histories["p99"] = FakeHistory()
    world.starts()
    world.new_guard()
    world.runs = [a_run(2)]
    world.now += 1
    world.look()
    world.step()
    [chore] = world.chores
    world.drop_chores()
    world.guard.done(chore, None)
    world.step()
    assert world.known() == "1 of 30 readings; its source could not be asked for the past"
    assert world.told().count("no_baseline") == 2


def test_the_past_before_the_end_of_another_run_is_not_asked_for() -> None:
    world = Drifting()
    history = world.histories["p99"] = FakeHistory()
    world.tick(1)
    world.starts()
    world.runs = [a_run(outcome="failed", here=False)]
    world.tick(10)
    over = world.wall
    world.runs = []
    world.tick(5)
    world.runs = [dataclasses.replace(a_run(2), registered_wall=world.wall)]
    world.tick(1)
    assert history.asked[1][0] >= over - 10


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.SOAKING])
def test_a_guard_that_is_started_in_the_middle_asks_for_the_past_before_the_work_and_not_for_that_of_it(
    phase: Phase,
) -> None:
    world = Drifting()
    history = world.histories["p99"] = FakeHistory()
    soaking = phase is Phase.SOAKING
    known = State("m", 1, phase, "ended", WALL + 60, soak_until_wall=WALL + 900, applied_since_wall=WALL + 20)
    unnamed = State("*", None, phase, "seen at work", WALL + 20)
    world.journal.kept = (known,) if soaking else (unnamed,)
    world.strangers = [] if soaking else [a_session(7)]
    world.new_guard()
    world.tick(3)
    assert history.asked == [(WALL + 20 - 180, WALL + 20)]


def test_a_rule_whose_baseline_was_not_recorded_is_named_in_a_replay() -> None:
    world = Drifting(make_rule("p99", pause="> 9s"))
    world.starts()
    world.tick(5)
    bodies = [json.loads(json.dumps(frame.body)) for frame in world.frames]
    played = Replay(dataclasses.replace(world.options, rules=(RULE,))).play(bodies)
    assert played.baseless == ("p99",)
    said = 'Rule "p99" asks for a baseline that was not recorded: past its other limits it counts as unknown.'
    assert said in list(remarks(played))
    assert Replay(world.options).play(bodies).baseless == ()


def test_another_query_has_no_baseline_and_other_limits_keep_it() -> None:
    world = Drifting()
    world.tick(40)
    world.guard.reconfigure(dataclasses.replace(world.options, rules=(make_rule("p99", pause="> 2x baseline"),)), {})
    world.tick(1)
    assert value_of(world.known()) == 0.2
    world.guard.reconfigure(dataclasses.replace(world.options, rules=(dataclasses.replace(RULE, scale=2.0),)), {})
    world.tick(1)
    assert isinstance(world.known(), str)


def test_without_a_limit_that_speaks_of_a_baseline_nothing_is_gathered() -> None:
    world = Drifting(LAG)
    world.tick(40)
    assert (world.guard.board.baselines, world.disk) == ({}, [])


def test_a_state_keeps_its_baselines_and_one_of_before_has_none() -> None:
    known = Baseline("q", 0.2, 0.01, 118, WALL, WALL + 9, "Prometheus")
    state = State("m", 1, Phase.RUNNING, "", WALL, baselines=(known,))
    record = json.loads(json.dumps(state_to_dict(state)))
    assert state_from_dict(record) == state
    del record["baselines"]
    assert state_from_dict(record).baselines == ()
    with pytest.raises(ValueError, match="baselines is not a list"):
        state_from_dict({**record, "baselines": [1]})
