"""A guard that loses its session, or leads on another server, among fakes."""

from __future__ import annotations

import dataclasses

from guard.errors import Unreachable
from guard.model import EVERYONE
from guard.ports import Leadership
from tests.fakes import World, a_run, an_order, make_rule

RULE = make_rule(pause="> 5s", resume="< 2s for 10s")


def test_a_dormant_guard_asks_once_a_second_whether_it_still_leads_and_leads_anew_where_it_does_not() -> None:
    world = World(RULE)
    world.tick(3)
    assert (world.guard.mode, world.signal.led) == ("dormant", 1)
    published, signs = len(world.signal.published), world.signal.signs
    world.tick(2, by=0.1)
    assert (len(world.signal.published), world.signal.signs) == (published, signs + 2)
    world.signal.fails = Unreachable("the session is gone")
    world.tick(1)
    world.signal.fails = None
    world.tick(2)
    assert world.signal.led == 2
    assert len(world.signal.published) > published  # the new lease must say that somebody is there


def test_a_beating_guard_gives_no_other_sign_of_life() -> None:
    world = World(RULE)
    world.runs = [a_run()]
    world.tick(3, by=0.1)
    assert world.signal.signs == 0


def test_a_session_that_is_known_to_be_gone_is_not_written_to_before_the_guard_leads_anew() -> None:
    world = World(RULE)
    world.runs = [a_run()]
    world.tick(2)
    world.signal.usable = False
    world.signal.lead_fails = Unreachable("nobody leads")
    published = len(world.signal.published)
    world.tick(2)
    assert (len(world.signal.published), world.guard.publisher.trouble) == (published, "nobody leads")
    world.signal.usable, world.signal.lead_fails = True, None
    world.tick(2)
    assert world.signal.led == 2


def test_on_another_server_a_new_run_waits_for_readings_from_there_and_a_paused_one_stays_paused() -> None:
    everywhere = dataclasses.replace(make_rule(name="one primary", pause="> 1s"), sensor="database.primaries")
    world = World(RULE, everywhere)
    world.runs = [a_run()]
    world.signal.leadership = Leadership(1, 0, (), 0, "one")
    world.tick(2)
    world.values["lag sensor"] = 9.0
    world.tick(2)
    assert world.phases == {"m": "paused"}
    world.signal.leadership = Leadership(2, 9, (), 0, "another", "db2 (timeline 2)")
    world.signal.usable = False
    world.step()
    world.signal.usable = True
    assert (set(world.guard.board.samples), world.guard.board.roster) == ({"database.primaries"}, None)
    assert not world.guard.dormant
    world.values["lag sensor"] = 0.0
    world.runs = [a_run(), a_run(run_id=2, migration="next")]
    world.values["lag sensor"] = None
    world.tick(1)
    assert world.phases == {"m": "paused", "next": "waiting"}
    world.values["lag sensor"] = 0.0
    world.tick(1)
    assert world.phases == {"m": "paused", "next": "waiting"}  # the rule has tripped, and asks for its time
    world.tick(10)
    assert world.phases == {"m": "running", "next": "running"}
    assert world.told().count("moved") == 1
    (moved,) = [notice for notice in world.journal.notices if notice.kind == "moved"]
    assert (moved.because, moved.migration) == ("db2 (timeline 2) is the primary now", EVERYONE)


def test_who_was_aborted_on_the_old_primary_is_barred_on_the_new_one_too() -> None:
    world = World(RULE)
    world.runs = [a_run(), a_run(run_id=2, migration="fine")]
    world.signal.leadership = Leadership(1, 0, (), 0, "one")
    world.tick(2)
    world.orders = [an_order("abort", migration="m")]
    world.tick(2)
    assert world.phases == {"m": "aborted", "fine": "running"}
    world.signal.leadership = Leadership(2, 0, (), 0, "another")
    world.signal.usable = False
    world.step()
    (run_id, migration, _), *others = world.signal.published[-1].barred
    assert (run_id, migration, others) == (1, "m", [])


def test_the_same_server_led_anew_keeps_its_readings() -> None:
    world = World(RULE)
    world.runs = [a_run()]
    world.signal.leadership = Leadership(1, 0, (), 0, "one")
    world.tick(2)
    world.signal.leadership = Leadership(2, 0, (), 0, "one")
    world.signal.usable = False
    world.step()
    assert "lag sensor" in world.guard.board.samples
    assert "moved" not in world.told()


def test_a_run_that_comes_in_a_breach_is_told_which_one_and_no_more_once_it_is_over() -> None:
    world = World(RULE, make_rule(name="other", pause="> 5s"))
    world.values["lag sensor"], world.values["other sensor"] = 9.0, None
    world.runs = [a_run()]
    world.tick(2)
    assert "lag 9 s > 5s" in str(world.order())
    assert world.phases == {"m": "waiting"}
    world.values["lag sensor"] = 3.0
    world.tick(1)
    assert "until each rule has been read" in str(world.order())
