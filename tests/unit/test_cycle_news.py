"""What people are told of a step, and what they are not told twice: operators' orders, lock queues, what goes on."""

from __future__ import annotations

import dataclasses

import pytest

from guard.model import EVERYONE, Notice, OperatorOrder, Phase
from guard.ports import CancelReport, Ended
from tests.fakes import World, a_run, a_session, an_order, make_rule

RULE = make_rule(pause="> 5s")
QUEUE = make_rule("queue", pause="", cancel="> 3s", resume="<= 0s for 6s")
LAG = make_rule("lag", pause="> 5s", resume="< 2s")


def operators(world: World) -> list[Notice]:
    return [notice for notice in world.journal.notices if notice.kind == "operator"]


def given(world: World, kind: str, migration: str = "m", order_id: int = 1, **more: object) -> OperatorOrder:
    """An order that was given just now."""
    return dataclasses.replace(an_order(kind, migration, order_id, **more), created_wall=world.wall)


def restarted(world: World) -> None:
    """The guard is killed, and another comes up that knows what the database knows."""
    report = world.signal.published[-1].report
    assert report is not None
    told = report["told_orders"]
    assert isinstance(told, list)
    world.signal.told = tuple(OperatorOrder(**order) for order in told)
    world.new_guard()


# -- operators' orders -------------------------------------------------------------------------------------------------


def test_an_order_that_was_given_while_no_guard_was_there_is_told_by_the_next_one_with_its_age() -> None:
    world = World(RULE)
    world.now += 90
    world.orders = [an_order("pause")]
    world.tick()
    [notice] = operators(world)
    assert notice.headline == "m: pause ordered by ada"
    assert dict(notice.fields) == {"given": "3 min 11 s ago, while no guard was there to tell"}


def test_an_order_that_was_told_is_not_told_again_by_the_next_guard_but_its_end_is() -> None:
    world = World(RULE)
    world.orders = [given(world, "pause")]
    world.tick()
    restarted(world)
    world.tick(2)
    assert [notice.headline for notice in operators(world)] == ["m: pause ordered by ada"]
    restarted(world)
    world.orders = []
    world.tick()
    assert [notice.headline for notice in operators(world)][1:] == ["m: the pause by ada is over"]


def test_what_a_guard_has_heard_itself_counts_more_than_what_the_database_knew_when_it_leads_again() -> None:
    world = World(RULE)
    world.orders = [given(world, "pause")]
    world.tick()
    world.signal.told = ()
    world.guard.publisher.leading = False
    world.tick(3)
    assert len(operators(world)) == 1


@pytest.mark.parametrize(
    ("kind", "migration", "means", "command"),
    [
        ("pause", "m", "It begins no further batch until somebody takes the order back.", "migration-guard resume m"),
        ("pause", EVERYONE, "Each migration begins no further batch until", "migration-guard resume '*'"),
        ("abort", "m", "It ends before its next batch, and may not run again", "migration-guard forget m"),
        ("abort", EVERYONE, "Each migration ends before its next batch", None),
        ("override", "m", "It goes on whatever the rules say", "migration-guard override m --end"),
        ("mute", "m", "The rule counts for nothing until", "migration-guard mute 'a b' --migration m --end"),
        ("mute", EVERYONE, "The rule counts for nothing until", "migration-guard mute 'a b' --end"),
    ],
)
def test_an_order_is_told_with_what_it_means_and_the_command_that_takes_it_back(
    kind: str, migration: str, means: str, command: str | None
) -> None:
    world = World(RULE)
    world.orders = [given(world, kind, migration, rule="a b" if kind == "mute" else None)]
    world.tick()
    [notice] = operators(world)
    assert notice.next_step.startswith(means)
    assert notice.commands == ((command,) if command else ())


def test_an_order_for_a_time_is_told_with_its_end() -> None:
    world = World(RULE)
    world.orders = [given(world, "override", expires_wall=world.wall + 1801)]
    world.tick()
    [notice] = operators(world)
    assert "until 2023-11-14 22:45:01 UTC, which is in 30 min." in notice.next_step


def test_the_end_of_an_order_is_told_with_what_counts_then() -> None:
    world = World(RULE)
    world.orders = [given(world, "abort", "m"), given(world, "pause", EVERYONE, 2)]
    world.tick()
    world.orders = []
    world.tick()
    assert [(notice.next_step, notice.commands) for notice in operators(world)[2:]] == [
        ("Who is aborted stays so until it is forgotten.", ("migration-guard explain m",)),
        ("The guard's own word counts again.", ()),
    ]


def test_the_event_of_an_order_has_the_words_that_people_are_told() -> None:
    world = World(RULE)
    world.runs = [a_run()]
    world.tick()
    world.orders = [given(world, "pause"), dataclasses.replace(given(world, "override", order_id=2), reason="")]
    world.tick()
    events = [e.because for p in world.signal.published for e in p.events if e.kind == "operator"]
    assert events == ["because I say so", "override ordered by ada"]


# -- a lock queue behind somebody who never asks -----------------------------------------------------------------------


def unregistered() -> World:
    world = World(QUEUE, LAG)
    world.strangers = [a_session(9)]
    world.tick()
    world.canceller.reports = [CancelReport((Ended(a_session(9), "cancelled", gone=True),), queued=3)]
    return world


@pytest.mark.parametrize("then", ["stays", "leaves"])
def test_a_cancel_of_an_unregistered_migration_takes_two_messages(then: str) -> None:
    world = unregistered()
    world.values["queue sensor"] = 4.0
    world.tick()
    world.values["queue sensor"] = 0.0
    if then == "leaves":
        world.strangers = []
    world.tick(10)
    assert world.told() == ["paused", "cancelled"]
    assert world.phases == ({"*": "running"} if then == "stays" else {})
    first, second = world.journal.notices
    assert first.headline == "an unregistered migration holds up a queue"
    assert "what came of that is told next" in first.next_step
    assert second.headline == "an unregistered migration cancelled, the queue behind it is released"
    assert world.events()[-1] == ("resumed" if then == "stays" else "ended")


def test_a_queue_that_went_by_itself_and_a_later_breach_are_told_to_their_end() -> None:
    world = unregistered()
    world.canceller.reports = [CancelReport(nothing_because="looked again: 1, not > 3")]
    world.values["queue sensor"] = 4.0
    world.tick()
    world.values["queue sensor"] = 0.0
    world.tick(9)
    assert world.told() == ["paused", "resumed"]
    world.canceller.reports = [CancelReport((Ended(a_session(9), "cancelled", gone=True),), queued=3)]
    world.values["queue sensor"] = 4.0
    world.tick()
    world.values["queue sensor"] = 0.0
    world.tick(9)
    world.values["lag sensor"] = 9.0
    world.tick()
    world.values["lag sensor"] = 0.0
    world.tick(12)
    assert world.told()[2:] == ["paused", "cancelled", "paused", "resumed"]
    assert world.journal.notices[-2].headline == "an unregistered migration should pause, but does not ask"


# -- what goes on ------------------------------------------------------------------------------------------------------


def test_who_goes_on_is_told_with_how_long_it_had_been_paused_and_why() -> None:
    world = World(LAG)
    world.runs = [a_run()]
    world.tick()
    world.values["lag sensor"] = 9.0
    world.tick(60)
    world.values["lag sensor"] = 0.0
    world.tick()
    notice = world.journal.notices[-1]
    assert (notice.kind, notice.fields["paused for"]) == ("resumed", "60 s")
    assert notice.fields["paused because"].startswith("lag 9 s > 5s")


def test_the_end_of_a_soak_is_told_in_advance() -> None:
    world = World(LAG, soak={"m": 600.0})
    world.runs = [a_run()]
    world.tick()
    world.runs = [a_run(outcome="done", here=False)]
    world.tick()
    notice = world.journal.notices[-1]
    assert (notice.kind, world.guard.states["m", 1].phase) == ("soaking", Phase.SOAKING)
    assert notice.next_step.startswith("Until 2023-11-14 22:25:02 UTC: ")
