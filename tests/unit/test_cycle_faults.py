"""Any sequence of faults, kills and orders: the promises of the cycle hold after every step."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from guard.errors import Unreachable
from guard.model import EVERYONE, OrderKind, Phase, Silence, State
from guard.ports import CancelReport, Ended, Leadership
from guard.records import Record, state_from_dict
from tests.fakes import FakeHook, World, a_run, a_session, an_order, make_rule

QUEUE = make_rule("queue", pause="", cancel="> 3s", resume="<= 1s for 3s")
ERRORS = make_rule("errors", pause="> 1s", rollback="> 5s for 2s", resume="< 1s for 3s")
VALUES = st.sampled_from([0.0, 0.0, 4.0, 9.0, None, "silent"])
HAPPENINGS = st.one_of(
    st.tuples(st.sampled_from(["queue", "errors"]), VALUES),
    st.tuples(st.just("database"), st.booleans()),
    st.tuples(st.just("kill"), st.booleans()),
    st.tuples(st.just("order"), st.sampled_from(["", "abort", "override", "mute"])),
    st.tuples(st.just("client"), st.sampled_from(["applies", "vanishes", "comes", "stranger", "alone"])),
)
SCRIPTS = st.lists(st.tuples(HAPPENINGS, st.sampled_from([1.0, 1.0, 3.0, 30.0])), max_size=20)
Script = Sequence[tuple[tuple[str, object], float]]


def happen(world: World, what: str, how: object) -> None:
    match what:
        case "database":
            world.signal.fails = world.signal.lead_fails = None if how else Unreachable("the server is gone")
        case "kill":
            restart(world)
        case "order":
            world.orders = [an_order(str(how), rule="errors" if how == "mute" else None)] if how else []
        case "client":
            client(world, str(how))
        case _:
            value = Silence(f"{what} sensor", "no answer", world.now) if how == "silent" else how
            world.values[f"{what} sensor"] = cast("float | Silence | None", value)


def client(world: World, how: str) -> None:
    match how:
        case "applies":
            world.runs = [a_run(rows_done=20)]
        case "vanishes":
            world.runs = [a_run(rows_done=10, here=False)]
        case "comes":
            world.runs = [a_run()]
        case _:
            world.strangers = [a_session(9)] if how == "stranger" else []


def restart(world: World) -> None:
    """Kill the guard; the next one knows what is in the database and in the journal, and nothing else."""
    states: dict[tuple[str, int | None], State] = {}
    for publication in world.signal.published:
        for event in publication.events:
            states[event.migration, event.run_id] = state_from_dict(cast("Record", event.payload["state"]))
    alive = tuple(state for state in states.values() if state.phase is not Phase.DONE)
    epoch = max((publication.epoch for publication in world.signal.published), default=0)
    world.signal.leadership = Leadership(world.signal.led + 1, epoch, alive, world.signal.events)
    world.new_guard()


def played(script: Script, *, observing: bool = False) -> World:
    world = World(QUEUE, ERRORS, hook=FakeHook(), observing=observing)
    world.runs = [a_run()]
    world.canceller.reports = [CancelReport((Ended(a_session(1001, 1), "cancelled", gone=True),))]
    world.tick()
    world.runs = [a_run(rows_done=10)]
    world.tick()
    for (what, how), seconds in script:
        happen(world, what, how)
        acts = len(world.canceller.cleared) + len(world.signal.claims)
        world.tick(seconds)
        if world.signal.fails is not None:
            assert acts == len(world.canceller.cleared) + len(world.signal.claims)
    return world


@settings(max_examples=60, deadline=None)
@given(SCRIPTS)
def test_a_run_is_rolled_back_at_most_once_and_stays_aborted(script: Script) -> None:
    world = played(script)
    assert world.hook is not None
    assert len(world.hook.runs) <= 1
    words = [publication.orders["m"].kind for publication in world.signal.published if "m" in publication.orders]
    if OrderKind.ABORT in words:
        assert set(words[words.index(OrderKind.ABORT) :]) == {OrderKind.ABORT}


@settings(max_examples=60, deadline=None)
@given(SCRIPTS)
def test_no_notice_is_lost_and_none_is_made_twice(script: Script) -> None:
    world = played(script)
    written = [
        cast("Record", event.payload["notice"])["notice_id"]
        for publication in world.signal.published
        for event in publication.events
        if "notice" in event.payload
    ]
    queued = [notice.notice_id for notice in world.journal.notices]
    assert len(set(written)) == len(written)
    assert len(set(queued)) == len(queued)
    assert set(written) <= set(queued)


@settings(max_examples=60, deadline=None)
@given(SCRIPTS)
def test_epochs_only_grow_and_each_change_of_an_order_is_a_new_one(script: Script) -> None:
    published = played(script).signal.published
    for before, after in itertools.pairwise(published):
        assert after.epoch >= before.epoch
        if {name: order.kind for name, order in before.orders.items()} != {
            name: order.kind for name, order in after.orders.items()
        }:
            assert after.epoch > before.epoch


@settings(max_examples=60, deadline=None)
@given(SCRIPTS)
def test_observing_never_orders_nor_acts(script: Script) -> None:
    world = played(script, observing=True)
    assert {order.kind for each in world.signal.published for order in each.orders.values()} <= {OrderKind.PROCEED}
    assert (world.canceller.cleared, world.canceller.ended, world.signal.claims) == ([], [], [])
    assert not any(publication.barred for publication in world.signal.published)


@settings(max_examples=40, deadline=None)
@given(SCRIPTS)
def test_when_all_is_well_again_whoever_may_go_on_goes_on(script: Script) -> None:
    world = played(script)
    world.orders, world.runs, world.strangers = [], [a_run(2, "later")], []
    world.values = {"queue sensor": 0.0, "errors sensor": 0.0}
    world.signal.fails = world.signal.lead_fails = None
    world.tick(30)
    assert world.word("later") == "proceed"
    assert (EVERYONE, None) not in world.guard.states
    assert {state.phase for state in world.guard.states.values()} <= {Phase.RUNNING, Phase.ABORTED}
