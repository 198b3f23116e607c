"""The whole cycle among fakes: from what was seen to what a migration finds and people are told."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from guard.errors import Fenced, Unreachable
from guard.model import EVERYONE, Phase, Silence, State
from guard.ports import Observation
from tests.fakes import WALL, FakeJournal, World, a_run, a_session, an_order, at_once, make_rule

RULE = make_rule(pause="> 5s for 3s", resume="< 2s for 10s")


def running(*rules: object, **options: object) -> World:
    """A world with one run that has been admitted."""
    world = World(*(rules or (RULE,)), **options)  # type: ignore[arg-type]
    world.runs = [a_run()]
    world.tick()
    assert world.phases == {"m": "running"}
    return world


# -- a run's life ------------------------------------------------------------------------------------------------------


def test_a_new_run_waits_for_the_first_reading_of_every_rule() -> None:
    world = World(RULE)
    world.runs, world.values["lag sensor"] = [a_run()], None
    world.tick()
    assert (world.word(), world.signal.published[-1].admitted) == ("pause", ())
    assert world.signal.published[0].events[0].kind == "registered"
    world.values["lag sensor"] = 1.0
    world.tick()
    assert (world.word(), world.signal.published[-1].admitted) == ("proceed", (1,))
    assert world.told() == ["started"]


def test_a_breach_pauses_at_its_time_and_a_calm_resumes_only_after_its_own() -> None:
    world = running()
    world.values["lag sensor"] = 7.0
    world.tick(3)
    assert world.word() == "proceed"
    world.tick(1)
    assert world.word() == "pause"
    assert "lag 7 s > 5s for 3s" in str(world.order())
    assert world.gate.wanted == {"m"}
    world.values["lag sensor"] = 0.0
    world.tick(10)
    assert world.word() == "pause"
    world.tick(1)
    assert world.word() == "proceed"
    assert world.gate.wanted == frozenset()
    assert world.told() == ["started", "paused", "resumed"]


def test_a_pause_is_effective_once_the_client_says_so_or_the_gate_is_shut() -> None:
    world = running(make_rule(pause="> 5s"))
    world.values["lag sensor"] = 7.0
    world.tick()
    epoch = world.signal.published[-1].epoch
    world.runs = [a_run(acknowledged_epoch=epoch - 1)]
    world.tick()
    assert "effective" not in world.events()
    world.runs = [a_run(acknowledged_epoch=epoch)]
    world.tick()
    assert world.guard.states["m", 1].effective
    assert world.events()[-1] == "effective"

    by_lock = running(make_rule(pause="> 5s"))
    by_lock.values["lag sensor"] = 7.0
    by_lock.gate.had = frozenset({"m"})
    by_lock.tick(2)
    assert by_lock.guard.states["m", 1].effective


def test_a_second_run_of_a_paused_name_gets_an_epoch_of_its_own_to_acknowledge() -> None:
    world = running(make_rule(pause="> 5s"), soak={})
    world.values["lag sensor"] = 7.0
    world.tick()
    world.runs.append(a_run(2))
    world.tick()
    assert world.guard.states["m", 1].epoch <= world.signal.published[-1].epoch


def test_a_run_that_ended_soaks_under_its_rules_and_is_then_forgotten() -> None:
    world = running(soak={"*": 5.0})
    world.runs = [a_run(outcome="done", here=False)]
    world.tick()
    assert (world.phases, world.order()) == ({"m": "soaking"}, None)
    world.tick(5)
    assert world.phases == {}
    assert world.told() == ["started", "soaking", "ended"]
    world.tick(3)
    assert world.events()[-1] == "ended"


def test_a_client_that_vanished_is_gone_after_several_looks_and_never_by_an_old_one() -> None:
    world = running()
    world.runs = [a_run(here=False)]
    world.tick()
    world.now += 60
    world.step()
    assert world.phases != {}
    world.look()
    world.step()
    assert world.phases == {}
    assert world.told()[-1] == "gone"


def test_a_session_that_comes_back_in_time_is_not_gone() -> None:
    world = running()
    for _ in range(3):
        world.runs = [a_run(here=False)]
        world.tick(2)
        world.runs = [a_run()]
        world.tick()
    world.runs = []
    world.tick(3)
    assert world.phases == {"m": "running"}
    world.tick(1)
    assert world.phases == {}


def test_behind_a_pooler_the_clients_own_reports_tell_that_it_is_there() -> None:
    world = running()
    world.runs = [a_run(here=False, pooled=True)]
    world.tick(60)
    assert world.phases == {"m": "running"}


def test_a_run_that_the_next_client_declared_gone_is_gone_at_once() -> None:
    world = running()
    world.runs = [a_run(here=False, outcome="gone")]
    world.tick()
    assert world.told()[-1] == "gone"


def test_unregistered_sessions_come_and_leave_without_alarm() -> None:
    world = World(RULE)
    world.tick()
    assert world.signal.published[-1].mode == "dormant"
    world.strangers = [a_session(9)]
    world.tick()
    assert (world.phases, world.signal.published[-1].mode) == ({EVERYONE: "running"}, "live")
    world.strangers = []
    world.tick(4)
    assert world.phases == {}
    assert world.told() == []


def test_nobody_migrates_so_the_guard_neither_beats_nor_wakes() -> None:
    world = World(RULE)
    world.step()
    assert not world.guard.dormant
    world.tick()
    published = len(world.signal.published)
    world.tick(30)
    assert (len(world.signal.published), world.guard.mode) == (published, "dormant")


def test_a_migration_under_way_is_beaten_for_once_a_second_and_not_more() -> None:
    world = running()
    before = len(world.signal.published)
    world.tick(11, by=0.1)
    assert 10 <= len(world.signal.published) - before <= 12
    reports = [publication.report for publication in world.signal.published[before:] if publication.report]
    assert len(reports) == 1


def test_the_lease_is_shortened_by_the_age_of_the_oldest_reading() -> None:
    world = running()
    world.values["lag sensor"] = None
    world.tick(3)
    assert world.signal.published[-1].rests_for == 3.0
    assert World().guard.board.rests_on(5.0) == 0.0


# -- operators ---------------------------------------------------------------------------------------------------------


def test_an_operators_abort_bars_the_run_until_it_is_forgotten() -> None:
    world = running()
    world.orders = [an_order("abort")]
    world.tick()
    assert world.word() == "abort"
    assert world.signal.published[-1].barred == ((1, "m", "aborted by ada: because I say so"),)
    world.tick(20)
    assert world.phases == {"m": "aborted"}
    world.orders, world.runs, world.forgotten = [], [], [("other", 9), ("m", 1)]
    world.tick()
    assert world.phases == {}
    assert world.events()[-2:] == ["closed", "operator"]


def test_a_muted_rule_is_not_listened_to() -> None:
    world = running(make_rule(pause="> 5s"))
    world.orders = [an_order("mute", rule="lag")]
    world.values["lag sensor"] = 7.0
    world.tick(5)
    assert world.word() == "proceed"
    world.orders = [an_order("mute", "other", rule="lag")]
    world.tick()
    assert world.word() == "pause"


def test_a_rule_for_another_migration_stops_nobody_else() -> None:
    world = running(make_rule(pause="> 5s", migrations=("other",)))
    world.values["lag sensor"] = 7.0
    world.tick(5)
    assert world.word() == "proceed"


def test_a_humans_order_is_told_when_it_comes_and_when_it_goes_and_why() -> None:
    world = running()
    world.orders = [
        an_order("pause", EVERYONE, expires_wall=world.wall + 2.5),
        an_order("mute", rule="lag", order_id=2),
    ]
    world.tick()
    world.orders = world.orders[:1]
    world.tick()
    world.orders = []
    world.tick()
    said = [(notice.headline, notice.because) for notice in world.journal.notices if notice.kind == "operator"]
    assert said == [
        ("all migrations: pause ordered by ada", "because I say so"),
        ('m: mute of rule "lag" ordered by ada', "because I say so"),
        ('m: the mute of rule "lag" by ada is over', "it was taken back"),
        ("all migrations: the pause by ada is over", "it expired"),
    ]


def test_news_of_an_order_for_nobody_leaves_no_ghost_behind_a_restart() -> None:
    world = World(RULE)
    world.tick()
    world.orders = [an_order("pause", "nobody yet")]
    world.tick()
    [event] = [event for publication in world.signal.published for event in publication.events]
    assert (event.kind, event.phase) == ("operator", "done")


# -- trouble -----------------------------------------------------------------------------------------------------------


def test_a_failed_publication_loses_no_event_and_no_notice() -> None:
    world = running(make_rule(pause="> 5s"))
    world.signal.fails = Unreachable("the server is gone")
    world.signal.lead_fails = Unreachable("still gone")
    world.values["lag sensor"] = 7.0
    world.tick(5)
    assert (world.told(), world.guard.publisher.trouble) == (["started", "paused", "cannot_signal"], "still gone")
    assert world.word() == "proceed"
    world.signal.fails = world.signal.lead_fails = None
    world.tick(2)
    assert (world.word(), world.guard.publisher.trouble) == ("pause", "")
    assert world.events() == ["registered", "started", "paused"]
    assert world.told() == ["started", "paused", "cannot_signal", "can_signal"]
    assert world.journal.saves[-1][1] == 3


def test_that_no_order_can_be_given_is_told_once_with_the_reason_however_long_it_lasts() -> None:
    world = running(make_rule(pause="> 5s"))
    world.signal.fails = world.signal.lead_fails = Unreachable("cannot execute UPDATE in a read-only transaction")
    world.tick(30)
    told = [notice for notice in world.journal.notices if notice.kind == "cannot_signal"]
    assert [(n.headline, n.because) for n in told] == [
        ("migration-guard cannot signal", "cannot execute UPDATE in a read-only transaction")
    ]


def test_a_short_absence_of_the_server_wakes_nobody() -> None:
    world = running(make_rule(pause="> 5s"))
    world.signal.fails = world.signal.lead_fails = Unreachable("restarting")
    world.tick(2)
    world.signal.fails = world.signal.lead_fails = None
    world.tick(5)
    assert "cannot_signal" not in world.told()
    assert "can_signal" not in world.told()


def test_nobody_is_woken_for_a_database_in_which_nobody_migrates() -> None:
    world = World(RULE)
    world.tick()
    world.signal.fails = world.signal.lead_fails = Unreachable("gone")
    world.tick(30)
    assert world.told() == []


def test_a_fenced_guard_stops_and_saves_nothing() -> None:
    world = running(make_rule(pause="> 5s"))
    saves = len(world.journal.saves)
    world.signal.fails = Fenced("a newer guard leads")
    world.values["lag sensor"] = 7.0
    with pytest.raises(Fenced):
        world.tick()
    assert len(world.journal.saves) == saves


def test_a_guard_that_has_not_led_yet_decides_nothing() -> None:
    aborted = State("m", 1, Phase.ABORTED, "no", WALL)
    world = World(RULE)
    world.runs, world.signal.lead_fails = [a_run()], Unreachable("not yet")
    world.tick(3)
    assert (world.phases, world.signal.published) == ({}, [])
    assert world.step().due == world.now + 1.0
    world.signal.lead_fails = None
    world.signal.leadership = type(world.signal.leadership)(2, 5, (aborted,), 3)
    world.tick(2)
    assert (world.phases, world.word()) == ({"m": "aborted"}, "abort")


def test_a_step_says_when_to_step_again() -> None:
    world = running()
    world.values["lag sensor"] = 7.0
    world.now += 1
    world.look()
    assert world.step().due == world.now + 3.0


def test_a_silent_source_pauses_after_its_time() -> None:
    world = running()
    world.values["lag sensor"] = Silence("lag sensor", "replica1 is not connected", world.now)
    world.tick(3)
    assert world.word() == "pause"
    assert "replica1 is not connected" in str(world.order())


def test_a_probe_that_saw_no_roster_makes_nobody_vanish() -> None:
    world = running()
    world.guard.put(Observation((Silence("roster", "refused", world.now),)))
    world.now += 60
    world.step()
    assert world.phases == {"m": "paused"}


def test_an_older_sample_never_replaces_a_newer_one() -> None:
    world = running(make_rule(pause="> 5s"))
    old = Silence("lag sensor", "late", world.now - 5)
    world.values["lag sensor"] = 1.0
    world.tick()
    world.values["lag sensor"] = old
    world.tick(2)
    assert world.guard.board.samples["lag sensor"] != old


# -- restart and reload ------------------------------------------------------------------------------------------------


def test_a_restarted_guard_keeps_a_pause_with_its_reason_and_its_beginning() -> None:
    world = running(make_rule(pause="> 5s", resume="< 2s for 10s"))
    world.values["lag sensor"] = 7.0
    world.tick()
    before = world.order()
    world.values["lag sensor"] = 0.0
    world.new_guard()
    world.tick(9)
    assert world.order() == before
    world.tick(4)
    assert world.word() == "proceed"
    assert world.told() == ["started", "paused", "resumed"]


def test_of_journal_and_database_the_newer_state_counts_and_what_is_done_stays_done() -> None:
    paused = State("m", 1, Phase.PAUSED, "lag", WALL + 2)
    done = State("n", 2, Phase.DONE, "ended", WALL + 2)
    world = World(RULE)
    world.journal = FakeJournal(kept=(State("m", 1, Phase.RUNNING, "", WALL), State("n", 2, Phase.RUNNING, "", WALL)))
    world.signal.leadership = type(world.signal.leadership)(
        2, 5, (paused, done, State("*", None, Phase.DONE, "", 0)), 3
    )
    world.new_guard()
    world.runs = [a_run(), a_run(2, "n")]
    world.tick()
    assert world.phases == {"m": "paused"}
    assert world.signal.published[0].epoch == 6


def test_a_rule_that_was_removed_does_not_linger_and_one_that_stays_keeps_its_memory() -> None:
    gone = make_rule("gone", pause="> 5s")
    kept = make_rule("kept", pause="> 5s for 3s")
    world = running(gone, kept)
    world.values["gone sensor"] = world.values["kept sensor"] = 7.0
    world.tick(2)
    assert world.word() == "pause"
    world.options = type(world.options)("main", (kept,))
    world.guard.reconfigure(world.options, {})
    world.tick(2)
    assert "kept 7 s > 5s for 3s, now for 3 s" in world.guard.board.finding("m").because
    world.values["kept sensor"] = 0.0
    world.tick(12)
    assert world.word() == "proceed"


def test_what_was_measured_by_another_question_is_not_judged_by_the_new_limits() -> None:
    asked = dataclasses.replace(make_rule(pause="> 5s"), query="in milliseconds")
    world = running(asked)
    world.values["lag sensor"] = 4.0
    world.tick()
    world.values = {}
    world.options = type(world.options)("main", (dataclasses.replace(make_rule(pause="> 3s"), query="in seconds"),))
    world.guard.reconfigure(world.options, {})
    world.step()
    assert (world.word(), world.guard.board.finding("m").because) == (
        "proceed",
        "lag is unknown for 0 s: no reading yet",
    )


def test_a_pause_that_is_overridden_is_not_effective_though_the_client_has_read_of_it() -> None:
    world = running()
    world.values["lag sensor"] = 9.0
    world.orders = [an_order("override")]
    world.tick(6)
    world.runs = [a_run(acknowledged_epoch=99)]
    world.tick()
    assert (world.word(), world.guard.states["m", 1].effective) == ("pause", False)
    world.orders = []
    world.tick()
    assert world.guard.states["m", 1].effective


def test_unregistered_sessions_that_were_forgotten_once_are_aborted_again_once_only() -> None:
    world = World(RULE)
    world.forgotten = [(EVERYONE, 0)]
    world.strangers = [a_session(9)]
    world.orders = [an_order("abort", EVERYONE)]
    world.tick(5)
    assert [notice.kind for notice in world.journal.notices].count("aborted") == 1
    assert world.phases == {EVERYONE: "aborted"}
    world.orders, world.strangers = [], []
    world.tick(5)
    assert world.phases == {}


def test_a_guard_that_stops_says_so_and_keeps_its_orders() -> None:
    world = running()
    world.step()
    at_once(world.guard.release())
    assert world.signal.published[-1].mode == "released"
    published = len(world.signal.published)
    at_once(world.guard.release())
    assert len(world.signal.published) == published


def test_only_a_guard_that_leads_cuts_the_trail_of_events() -> None:
    world = running(make_rule(pause="> 5s"))
    at_once(world.guard.prune(60.0))
    world.signal.fails = world.signal.lead_fails = Unreachable("gone")
    world.values["lag sensor"] = 7.0
    world.tick(2)
    at_once(world.guard.prune(60.0))
    assert world.signal.pruned == [60.0]


def test_the_report_tells_each_rules_limits_in_the_words_of_the_file() -> None:
    world = running(
        make_rule(pause="> 5s for 3s", warn="> 2s", resume="< 1s"), make_rule("calm", pause="", warn="> 9s")
    )
    world.tick(2)
    report = next(each.report for each in reversed(world.signal.published) if each.report)
    assert report["limits"] == {"lag": "warn > 2s; pause > 5s for 3s; goes on < 1s", "calm": "warn > 9s"}
    newest: Any = report["readings"]
    assert {name: found["unit"] for name, found in newest.items()} == {
        "lag": "seconds",
        "calm": "seconds",
    }
