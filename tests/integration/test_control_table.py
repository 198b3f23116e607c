"""The guard's pen: one leader at a time, no write by one whose term was passed, and a beat that waits for nobody."""

import asyncio
import math
from collections.abc import Callable, Iterator

import pytest
from psycopg import sql

from guard.act.install import install
from guard.demo.proxy import Proxy
from guard.errors import DeadlineExceeded, QueryFailed, Unreachable
from guard.model import Event, OperatorOrder, Order, OrderKind, Phase
from guard.ports import Publication, Signal
from guard.records import operator_order_to_dict
from tests.contract import Contract
from tests.fix_matrix import Took
from tests.fix_postgres import Database, MakeCluster
from tests.signalling import control_table, event, play, publication, run_of
from tests.waiting import wait_for

pytestmark = pytest.mark.integration


@pytest.fixture
def installed(database: Database) -> Database:
    install(database.dsn())
    return database


@pytest.fixture
def contract(database: Database) -> Iterator[Contract]:
    """Only its client side is used here: the guard's lock is free."""
    contract = Contract(database)
    contract.guard.execute("select pg_advisory_unlock_all()")
    yield contract
    contract.close()


def test_a_publication_is_one_beat_that_a_migration_reads(contract: Contract) -> None:
    run = contract.run()

    async def work(table: Signal) -> None:
        await table.lead()
        assert await table.publish(publication(admitted=(run,))) == 0
        assert contract.read(run) == ("proceed", "for a test")
        last = await table.publish(
            publication(OrderKind.PAUSE, epoch=2, events=(event(run, Phase.PAUSED),), report={"lag": math.nan})
        )
        assert contract.kind(run) == "pause"
        events = contract.database.execute("select event_id, kind, epoch from migration_guard.event")
        assert events == [(last, "paused", 2)]
        assert contract.database.execute("select report from migration_guard.report") == [({"lag": "nan"},)]
        await table.publish(publication(barred=((run, "m", "enough"),)))
        assert contract.read(run) == ("abort", "enough")

    play(contract.database.dsn(), work=work)


def test_a_lease_is_shorter_by_the_age_of_what_it_rests_on_and_by_half_at_most(contract: Contract) -> None:
    run = contract.run()

    async def work(table: Signal) -> None:
        await table.lead()
        await table.publish(Publication("live", 1, {"m": Order(OrderKind.PROCEED, "", 1.0)}, 4.0, admitted=(run,)))
        length = "select extract(epoch from lease_until - beat_at)::float from migration_guard.lease"
        assert contract.database.execute(length) == [(pytest.approx(6.0),)]
        await table.publish(Publication("live", 1, {"m": Order(OrderKind.PROCEED, "", 1.0)}, 11.0))
        assert contract.database.execute(length) == [(pytest.approx(5.0),)]

    play(contract.database.dsn(), work=work)


def test_no_text_can_make_an_order_fail(contract: Contract) -> None:
    run = contract.run()

    async def work(table: Signal) -> None:
        await table.lead()
        nasty = "\x00 \ud800 '; drop table x; -- %s"
        orders = {"m": Order(OrderKind.PAUSE, nasty, 1.0)}
        told = Event("paused", "m", run, nasty, "paused", {"value": math.inf, "deep": [{"x": nasty}]})
        await table.publish(Publication("live", 1, orders, 0.0, events=(told,), barred=((run, "m", nasty),)))
        assert "drop table x; -- %s" in contract.read(run)[1]

    play(contract.database.dsn(), work=work)


def test_orders_that_were_told_are_known_to_the_next_guard_whatever_else_stands_in_the_report(
    installed: Database,
) -> None:
    order = OperatorOrder(7, "pause", "m", "ann", "lunch", 1.5, None)
    torn = [operator_order_to_dict(order), {"order_id": "x"}, 7, None]

    async def work(table: Signal) -> None:
        await table.lead()
        assert await table.told_orders() == ()
        for told, known in ((torn, (order,)), ({"a": 1}, ()), ("x", ()), ([], ())):
            await table.publish(publication(report={"told_orders": told}))
            assert await table.told_orders() == known

    play(installed.dsn(), work=work)


def test_standbys_get_wal_with_each_beat_but_not_from_a_dormant_guard(installed: Database) -> None:
    def written() -> int:
        return int(installed.execute("select pg_current_wal_insert_lsn() - '0/0'::pg_lsn")[0][0])

    async def work(table: Signal) -> tuple[int, int]:
        await table.lead()
        await table.publish(publication())
        before = written()
        for _ in range(50):
            await table.publish(publication(mode="dormant"))
        between = written()
        for _ in range(50):
            await table.publish(publication())
        return between - before, written() - between

    dormant, live = play(installed.dsn(), work=work)
    assert live - dormant >= 50 * 30


# -- stuck transactions ------------------------------------------------------------------------------------------------


def test_rows_locked_by_clients_and_operators_do_not_hold_up_a_beat(contract: Contract) -> None:
    run = contract.run()
    contract.operator("pause")

    async def work(table: Signal) -> float:
        await table.lead()
        with contract.database.connect() as stuck, stuck.transaction():
            stuck.execute("select * from migration_guard.operator_order for update")
            stuck.execute("select * from migration_guard.run for update")
            stuck.execute("select migration_guard.order_pause('m', 'ana'), migration_guard.forget('m', 'ana')")
            began = asyncio.get_running_loop().time()
            events = (event(run, Phase.PAUSED),)
            await table.publish(publication(admitted=(run,), barred=((run, "m", ""),), events=events))
            assert await table.claim_rollback(run_of(run), "b", ["x"])
            return asyncio.get_running_loop().time() - began

    assert play(contract.database.dsn(), work=work) < 1.0


@pytest.mark.fault(29)
def test_a_lease_locked_by_hand_fails_the_beat_in_time_naming_who_holds_it_and_the_next_one_succeeds(
    installed: Database,
) -> None:
    async def work(table: Signal) -> None:
        await table.lead()
        await table.publish(publication())
        with installed.connect(application_name="by hand") as stuck, installed.connect() as reader:
            reader.execute("begin; select from migration_guard.lease")
            with stuck.transaction():
                stuck.execute("select * from migration_guard.lease for update")
                with pytest.raises(QueryFailed, match="lock timeout") as caught:
                    await table.publish(publication())
                assert caught.value.sqlstate == "55P03"
                said = str(caught.value)
                assert f"pid {stuck.info.backend_pid} (postgres, by hand), idle in transaction since" in said
                assert str(reader.info.backend_pid) not in said
        await table.publish(publication())

    play(installed.dsn(), work=work)


@pytest.mark.fault(29)
def test_a_leaders_row_that_was_deleted_by_hand_fences_nobody_and_no_term_comes_twice(installed: Database) -> None:
    async def work(table: Signal) -> None:
        first = await table.lead()
        await table.publish(publication(events=(event(1, Phase.PAUSED),)))
        installed.execute("delete from migration_guard.leader")
        with pytest.raises(Unreachable, match="does not lead"):
            await table.publish(publication())
        again = await table.lead()
        assert again.term > first.term
        await table.publish(publication())

    play(installed.dsn(), work=work)


@pytest.mark.fault(32)
def test_a_beat_that_a_dead_line_held_back_is_no_lease_when_it_arrives_at_last(
    installed: Database, make_proxy: Callable[[int], Proxy]
) -> None:
    line = make_proxy(installed.server.port)
    sessions = "select pid from pg_stat_activity where application_name = 'migration_guard/signal' and datname = %s"
    lease = b"select beat, lease_until from migration_guard.lease"

    async def work() -> None:
        table = control_table(line.dsn(installed.dsn()), deadline=0.5)
        await table.lead()
        await table.publish(publication())
        before = installed.execute(lease)
        line.freeze()
        with pytest.raises(DeadlineExceeded):
            await table.publish(publication(epoch=2))
        await asyncio.sleep(0.3)  # a beat that is late by no more than its deadline still counts
        line.heal()
        await asyncio.to_thread(wait_for, lambda: not installed.execute(sessions, [installed.name]))
        assert "comes too late" in installed.server.log_text()
        assert installed.execute(lease) == before
        await table.lead()
        await table.publish(publication(judged_at=asyncio.get_running_loop().time() - 0.2))
        before = installed.execute(lease)
        with pytest.raises(Unreachable, match="too late"):  # as of a process that was frozen before it sent it
            await table.publish(publication(judged_at=asyncio.get_running_loop().time() - 60))
        assert installed.execute(lease) == before
        await table.lead()
        await table.publish(publication())
        await table.close()

    asyncio.run(work())


# -- the one rollback --------------------------------------------------------------------------------------------------


def test_a_rollback_is_claimed_once_across_leaders(contract: Contract) -> None:
    run = contract.run()

    async def work(table: Signal) -> list[bool]:
        await table.lead()
        claims = [await table.claim_rollback(run_of(run), "errors 6 %", ["/bin/undo", "it"]) for _ in range(2)]
        await table.lead()
        return [*claims, await table.claim_rollback(run_of(run), "again", ["x"])]

    assert play(contract.database.dsn(), work=work) == [True, False, False]
    assert contract.database.execute("select because, command, outcome from migration_guard.rollback") == [
        ("errors 6 %", ["/bin/undo", "it"], None)
    ]


@pytest.mark.fault(30)
def test_beats_go_on_without_the_synchronous_standby_also_while_a_claim_waits_for_it(
    make_cluster: MakeCluster, took: Took
) -> None:
    cluster = make_cluster(1)
    primary = cluster.primary
    install(primary.dsn())

    def wait_for_standby(name: str) -> None:
        primary.execute(sql.SQL("alter system set synchronous_standby_names = {}").format(name))
        primary.execute("select pg_reload_conf()")
        wait_for(lambda: primary.execute("show synchronous_standby_names") == [(name,)])

    async def work() -> float:
        table, slowest, loop = control_table(primary.dsn()), 0.0, asyncio.get_running_loop()
        await table.lead()
        wait_for_standby("gone")
        claim = asyncio.create_task(table.claim_rollback(run_of(1), "b", ["x"]))
        while not claim.done():
            began = loop.time()
            await table.publish(publication(events=(event(1, Phase.PAUSED),)))
            slowest = max(slowest, loop.time() - began)
            await asyncio.wait({claim}, timeout=0.5)
        with pytest.raises(DeadlineExceeded):
            claim.result()
        wait_for_standby("replica1")
        assert await table.claim_rollback(run_of(2), "b", ["x"])
        await table.close()
        return slowest

    slowest = asyncio.run(work())
    took(slowest)
    assert slowest < 1.0
    claimed = "select run_id from migration_guard.rollback where run_id = 2"
    wait_for(lambda: cluster.standby.execute(claimed) == [(2,)])
