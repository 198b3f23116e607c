"""Bounds of a pause: how often, how short, how long, to what avail; and of not knowing. None of them ends a run."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import pytest

from guard.cycle.reminders import NO_HELP_AFTER
from guard.decide.bounds import FLAP_BREAKER, Bounds, Flap
from guard.model import Notice, Severity, Silence
from guard.ports import Leadership
from guard.records import state_from_dict
from tests.fakes import FakeJournal, World, a_run, a_session, an_order, make_rule

LAG = make_rule(pause="> 5s", resume="< 2s")
SENSOR = "lag sensor"
DRAINS = dataclasses.replace(LAG, metric="replication.lag")
FLAPS = Bounds(flap=Flap(3, 600.0), longest_pause=86_400.0)


def at_work(*rules: Any, **options: Any) -> World:
    world = World(*(rules or (LAG,)), **options)
    world.runs = [a_run()]
    world.tick()
    return world


def come_and_go(world: World, times: int, every: float = 10.0) -> None:
    for _ in range(times):
        world.values[SENSOR] = 7.0
        world.tick()
        world.values[SENSOR] = 0.0
        world.tick(every)


def stopped(world: World, *, effective: bool = True, seconds: float = 0.0) -> World:
    """Paused by its rule and, where wanted, seen to do nothing."""
    world.values[SENSOR] = 7.0
    world.tick()
    world.gate.had = frozenset({"m"} if effective else ())
    world.tick(seconds, by=2)
    return world


def only(world: World, kind: str) -> list[Notice]:
    return [notice for notice in world.journal.notices if notice.kind == kind]


# -- too often ---------------------------------------------------------------------------------------------------------


def test_the_third_pause_in_ten_minutes_stays_and_asks_a_human_although_all_is_well_again() -> None:
    world = at_work(bounds=FLAPS)
    come_and_go(world, 2)
    assert world.word() == "proceed"
    come_and_go(world, 1)
    world.tick(1200, by=5)
    assert world.word() == "pause"
    [notice] = only(world, "stays_paused")
    assert (notice.severity, notice.headline) == (Severity.CRITICAL, "m paused 3 times in 10 min, and stays so")
    assert notice.commands[0] == "migration-guard resume m"
    order = world.order()
    assert order is not None
    assert order.because.endswith("paused 3 times in 10 min, so it stays paused until `migration-guard resume m`")
    assert (world.canceller.cleared, world.canceller.ended) == ([], [])


def test_pauses_that_lie_further_apart_or_on_the_other_side_of_a_clock_that_was_set_back_count_for_nothing() -> None:
    world = at_work(bounds=FLAPS)
    come_and_go(world, 5, every=300.0)
    assert world.word() == "proceed"
    come_and_go(world, 1)
    world.clock_set_by = -7200.0
    come_and_go(world, 2)
    assert world.word() == "proceed"


@pytest.mark.parametrize("how", ["resume", "override"])
def test_a_human_lets_it_go_on_once_every_rule_is_well_and_the_count_begins_anew(how: str) -> None:
    world = at_work(bounds=FLAPS)
    come_and_go(world, 3)
    world.values[SENSOR] = 3.0  # no breach, but not well either
    world.orders = [an_order("mute", rule=FLAP_BREAKER) if how == "resume" else an_order("override")]
    world.tick(3)
    world.orders = []
    world.tick(3)
    order = world.order()
    assert order is not None
    assert (order.kind.word, "stays paused" in order.because) == ("pause", False)
    world.values[SENSOR] = 0.0
    world.tick(2)
    assert world.word() == "proceed"
    come_and_go(world, 2)
    assert world.word() == "proceed"
    come_and_go(world, 1)
    assert world.word() == "pause"


def test_that_somebody_resumed_it_is_told_once_and_its_end_is_no_news() -> None:
    world = at_work(bounds=FLAPS)
    come_and_go(world, 3)
    world.orders = [an_order("mute", rule=FLAP_BREAKER)]
    world.tick(2)
    world.orders = []
    world.tick(2)
    [notice] = only(world, "operator")
    assert notice.headline == "m: resume ordered by ada"
    assert (world.told()[-1], notice.commands) == ("resumed", ())


@pytest.mark.parametrize("disk", [True, False])
def test_a_killed_guard_knows_how_often_it_was_and_that_it_stays(*, disk: bool) -> None:
    def killed() -> None:
        if not disk:
            events = [event for publication in world.signal.published for event in publication.events]
            last = state_from_dict(cast("dict[str, object]", events[-1].payload["state"]))
            world.journal, world.signal.leadership = FakeJournal(), Leadership(2, 9, (last,), 9)
        world.new_guard()

    world = at_work(bounds=FLAPS)
    come_and_go(world, 2)
    killed()
    come_and_go(world, 1)
    killed()
    world.tick(30)
    assert world.word() == "pause"
    assert "stays paused until" in next(iter(world.guard.states.values())).because


def test_sessions_that_registered_nothing_are_not_kept_since_nobody_could_let_them_go_on() -> None:
    world = World(LAG, bounds=FLAPS)
    world.strangers = [a_session(9)]
    world.tick()
    come_and_go(world, 5)
    assert world.phases == {"*": "running"}


def test_a_pause_lasts_its_shortest_time_and_no_longer_when_the_clock_is_set_back() -> None:
    world = at_work(bounds=Bounds(shortest_pause=20.0))
    come_and_go(world, 1, every=15.0)
    assert world.word() == "pause"
    world.tick(6)
    assert world.word() == "proceed"
    come_and_go(world, 1, every=1.0)
    world.clock_set_by = -3600.0
    world.tick(2)
    assert world.word() == "proceed"


# -- too long ----------------------------------------------------------------------------------------------------------


def test_a_pause_is_told_again_after_an_hour_and_after_twice_that_and_so_on_also_by_the_next_guard() -> None:
    world = stopped(at_work(DRAINS))
    world.tick(3590, by=10)
    assert only(world, "pause_lasts") == []
    world.tick(20, by=5)
    [notice] = only(world, "pause_lasts")
    assert (notice.headline, notice.severity) == ("m has been paused for 60 min", Severity.WARNING)
    assert notice.fields["reminder"] == "number 1; the next one once it has lasted 2 h"
    assert "replication.lag < 2s" in notice.next_step
    assert "migration-guard override m --reason WHY --for 30m" in notice.commands
    world.new_guard()
    world.tick(3560, by=20)
    assert len(only(world, "pause_lasts")) == 1
    world.tick(40, by=10)
    [again] = only(world, "pause_lasts")[1:]
    assert (again.headline, again.severity) == ("m has been paused for 2 h", Severity.CRITICAL)
    assert again.fields["now"].startswith("replication.lag 7 s > 5s")
    world.now += 40 * 3600.0  # nobody looked: what was missed is told once
    world.tick(20, by=10)
    assert len(only(world, "pause_lasts")) == 3
    assert world.word() == "pause"


def test_who_goes_on_by_an_override_or_only_in_thought_is_not_told_as_paused_for_long() -> None:
    overridden = stopped(at_work())
    overridden.orders = [an_order("override")]
    observed = stopped(at_work(observing=True))
    for world in (overridden, observed):
        world.tick(4000, by=10)
        assert {"pause_lasts", "no_help"}.isdisjoint(world.told())


def test_one_that_stays_paused_is_not_told_that_it_goes_on_by_itself() -> None:
    world = at_work(bounds=dataclasses.replace(FLAPS, longest_pause=100.0))
    come_and_go(world, 3)
    world.tick(100)
    [notice] = only(world, "pause_lasts")
    assert (notice.next_step, notice.severity) == ("A human must look.", Severity.CRITICAL)
    assert notice.commands[0] == "migration-guard resume m"


# -- to no avail -------------------------------------------------------------------------------------------------------


def test_a_load_that_an_effective_pause_leaves_as_it_was_is_told_once_as_not_the_migrations_doing() -> None:
    world = stopped(at_work(), seconds=NO_HELP_AFTER - 10)
    assert "no_help" not in world.told()
    world.tick(60)
    world.new_guard()
    world.tick(300, by=2)
    [notice] = only(world, "no_help")
    assert notice.headline == "m is paused, and pausing did not help"
    assert "lag 7 s > 5s" in notice.because
    assert "its load is not the cause" in notice.next_step
    assert world.word() == "pause"


@pytest.mark.parametrize("how", ["it drains", "nobody knows that it holds", "it came later", "it is better", "silent"])
def test_what_drains_or_is_not_known_to_have_been_there_all_the_time_says_nothing_about_the_pause(how: str) -> None:
    world = at_work(DRAINS if how == "it drains" else LAG)
    stopped(world, effective=how != "nobody knows that it holds")
    world.tick(60)
    if how in {"it came later", "it is better"}:
        world.values[SENSOR] = 4.0
        world.tick(5)
    if how == "silent":
        world.values[SENSOR] = Silence(SENSOR, "no answer", world.now)
    elif how != "it is better":
        world.values[SENSOR] = 7.0
    world.tick(NO_HELP_AFTER)
    assert "no_help" not in world.told()


# -- not known ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("policy", "word"), [("pause", "pause"), ("hold", "proceed")])
def test_a_signal_that_nobody_sees_for_ten_minutes_is_told_once_and_ends_nothing(policy: str, word: str) -> None:
    world = at_work(make_rule(pause="> 5s", resume="< 2s", cancel="> 50s", rollback="> 60s", no_data=policy))
    world.values[SENSOR] = Silence(SENSOR, "no answer", world.now)
    world.tick(590, by=5)
    assert "unknown_lasts" not in world.told()
    world.tick(3000, by=5)
    [notice] = only(world, "unknown_lasts")
    assert notice.headline == "m cannot be judged: lag has been unknown for 10 min"
    assert notice.next_step.startswith("It stays as it is" if word == "pause" else "It goes on unwatched")
    assert "migration-guard mute lag --migration m --reason WHY --for 30m" in notice.commands
    assert world.word() == word
    assert (world.canceller.cleared, world.canceller.ended, world.signal.claims) == ([], [], [])


def test_a_signal_that_comes_back_and_is_lost_again_is_told_again_and_the_next_guard_does_not_repeat_it() -> None:
    world = at_work()
    for told in (1, 2):
        world.values[SENSOR] = Silence(SENSOR, "no answer", world.now)
        world.tick(610, by=5)
        world.new_guard()
        world.tick(610, by=5)
        assert len(only(world, "unknown_lasts")) == told
        world.values[SENSOR] = 0.0
        world.tick(5)


def test_a_silence_that_the_file_ignores_is_no_question() -> None:
    world = at_work(make_rule(pause="> 5s", no_data="ignore"))
    world.values[SENSOR] = Silence(SENSOR, "no answer", world.now)
    world.tick(1300, by=5)
    assert world.told() == ["started"]
