"""Who leads: one guard at a time, in a database that is its own; whoever was passed writes nothing more."""

import asyncio
import dataclasses
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard.act.control_table import ControlTable
from guard.act.install import install
from guard.act.leading import STANDS_STILL
from guard.act.own_term import OwnTerm
from guard.errors import Fenced, HeldByAnother, NotInstalled, Unreachable, WrongServer
from guard.model import Event, OrderKind, Phase
from guard.ports import Done, Leadership, Signal
from tests.contract import Contract
from tests.fix_matrix import Took
from tests.fix_postgres import Database, MakeCluster, MakeRole
from tests.signalling import event, play, publication, run_of, state

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


@pytest.mark.fault(6)
def test_a_second_guard_is_told_who_leads(installed: Database) -> None:
    async def work(first: Signal, second: Signal) -> str:
        await first.lead()
        with pytest.raises(HeldByAnother) as caught:
            await second.lead()
        await first.publish(publication())
        return str(caught.value)

    words = play(installed.dsn(), installed.dsn(), work=work)
    assert "Guard g1" in words
    assert "pid " in words


@pytest.mark.fault(6)
def test_the_same_guard_come_back_ends_its_old_session_at_once_and_the_old_one_is_fenced(
    installed: Database, tmp_path: Path, took: Took
) -> None:
    own = OwnTerm(tmp_path / "term")

    async def work(old: Signal, new: Signal) -> None:
        before = await old.lead()
        with took.within(2.0):
            after = await new.lead()
        assert after.term == before.term + 1 == own.last()
        for _ in range(2):  # and it does not reconnect by itself to write with the old term
            with pytest.raises(Unreachable):
                await old.publish(publication())
        await new.publish(publication())

    play(installed.dsn(), installed.dsn(), work=work, guard_ids=("g1", "g1"), own=own)


def test_one_of_the_same_name_from_elsewhere_is_ended_only_once_nobody_has_asked_for_a_while(
    installed: Database,
) -> None:
    async def work(dead: Signal, new: Signal) -> float:
        before = await dead.lead()
        began = asyncio.get_running_loop().time()
        assert (await new.lead()).term == before.term + 1
        return asyncio.get_running_loop().time() - began

    waited = play(installed.dsn(), installed.dsn(), work=work, guard_ids=("g1", "g1"))
    assert STANDS_STILL < waited < STANDS_STILL + 2.0


@pytest.mark.fault(6)
@pytest.mark.parametrize("beating", [True, False])
def test_one_of_the_same_name_that_is_at_work_keeps_the_lead_beating_or_dormant(
    installed: Database, beating: bool
) -> None:
    async def work(alive: ControlTable, new: Signal) -> None:
        before = await alive.lead()

        async def live() -> None:
            while True:
                await (alive.publish(publication()) if beating else alive.still_leads())
                await asyncio.sleep(1.0)

        living = asyncio.create_task(live())
        with pytest.raises(HeldByAnother, match="under the same id, and it is at work"):
            await new.lead()
        assert not living.done()
        living.cancel()
        await asyncio.wait({living})
        assert installed.execute("select term from migration_guard.leader") == [(before.term,)]

    play(installed.dsn(), installed.dsn(), work=work, guard_ids=("g1", "g1"))


def test_a_dormant_guards_sign_of_life_writes_no_wal_and_tells_it_that_it_lost_the_lead(installed: Database) -> None:
    async def work(table: ControlTable) -> None:
        await table.lead()
        written = "select pg_current_wal_insert_lsn() - '0/0'::pg_lsn"

        async def cost() -> int:
            before = installed.execute(written)[0][0]
            for _ in range(20):
                await table.still_leads()
            return int(installed.execute(written)[0][0] - before)

        # A row that is locked costs more. The server may write something of its own meanwhile, but not each time.
        assert min([await cost() for _ in range(5)]) < 20 * 50
        assert table.usable
        installed.execute("update migration_guard.leader set term = term + 1, guard_id = 'g9'")
        with pytest.raises(Unreachable, match="does not lead any more"):
            await table.still_leads()
        assert not table.usable

    play(installed.dsn(), work=work)


@pytest.mark.parametrize("mode", ["live", "dormant", "observing"])
def test_the_last_word_to_a_server_that_is_left_pauses_whoever_is_still_there(contract: Contract, mode: str) -> None:
    run = contract.run()

    async def work(table: ControlTable) -> None:
        await table.lead()
        await table.publish(publication(mode=mode, admitted=(run,)))
        last_word = asyncio.create_task(table.leave("db2 (timeline 2) leads now"))
        await asyncio.sleep(0)
        with pytest.raises(Unreachable, match="another host leads"):  # nothing comes after it
            await table.publish(publication(admitted=(run,)))
        await last_word

    play(contract.database.dsn(), work=work)
    kind, because = contract.read(run)
    assert (kind, because) == {
        "observing": ("proceed", "the guard only observes"),
    }.get(mode, ("pause", "db2 (timeline 2) leads now"))


@pytest.mark.fault(7)
def test_a_guard_whose_term_was_passed_writes_nothing_more(contract: Contract) -> None:
    run = contract.run()

    async def work(table: Signal) -> None:
        await table.lead()
        await table.publish(publication(OrderKind.PAUSE, admitted=(run,)))
        contract.database.execute("update migration_guard.leader set term = term + 1, guard_id = 'g9'")
        calls = (
            lambda: table.publish(publication()),
            lambda: table.claim_rollback(run_of(run), "b", ["x"]),
            lambda: table.finish_rollback(run, "ok", ""),
        )
        with pytest.raises(Fenced, match="term"):
            await calls[0]()
        for call in calls:
            with pytest.raises(Unreachable):
                await call()

    play(contract.database.dsn(), work=work)
    assert contract.kind(run) == "pause"
    assert contract.database.execute("select count(*) from migration_guard.rollback") == [(0,)]


def test_every_write_checks_the_term_itself(contract: Contract) -> None:
    run = contract.run()
    passed = [
        "guard_publish('g0', 0, 'live', 1, '{}', 10, 0)",
        f"guard_claim_rollback('g0', 0, {run}, 'm', 'b', '{{x}}')",
        f"guard_finish_rollback('g0', 0, {run}, 'ok', '')",
    ]
    for call in passed:
        with pytest.raises(Exception, match="term 0 was passed"):
            contract.guard.execute(f"select migration_guard.{call}".encode())


def test_a_leader_whose_session_ended_has_to_lead_anew(installed: Database) -> None:
    async def work(table: Signal) -> tuple[int, int]:
        first = await table.lead()
        installed.execute("select pg_terminate_backend(pid) from migration_guard.leader")
        with pytest.raises(Unreachable):
            await table.publish(publication())
        second = await table.lead()
        await table.publish(publication())
        return first.term, second.term

    first, second = play(installed.dsn(), work=work)
    assert second == first + 1


@pytest.mark.fault(26)
def test_its_own_old_session_that_the_server_is_slow_to_end_is_no_other_guard(installed: Database) -> None:
    async def work(table: ControlTable) -> tuple[int, int]:
        first = await table.lead()
        [(pid,)] = installed.execute("select pid from migration_guard.leader")
        os.kill(pid, signal.SIGSTOP)
        try:
            await table.close()
            with pytest.raises(Unreachable, match=r"our own old session .* has not ended yet"):
                await table.lead()
        finally:
            os.kill(pid, signal.SIGCONT)
        return first.term, (await table.lead()).term

    first, second = play(installed.dsn(), work=work)
    assert second == first + 1


def test_a_leader_passed_by_another_process_of_its_name_does_not_take_the_lead_back(installed: Database) -> None:
    async def work(one: Signal, two: Signal) -> None:
        await one.lead()
        await two.lead()
        with pytest.raises(Unreachable):
            await one.publish(publication())
        with pytest.raises(Fenced, match="give each guard an id of its own"):
            await one.lead()
        await two.publish(publication())

    play(installed.dsn(), installed.dsn(), work=work, guard_ids=("g1", "g1"))


def test_another_session_with_the_right_term_may_not_write(contract: Contract) -> None:
    contract.lead()
    with contract.database.connect() as other, pytest.raises(Exception, match="does not lead"):
        other.execute("select migration_guard.guard_publish('g1', %s, 'live', 1, '{}', 10, 0)", [contract.term])


def test_a_new_leader_takes_up_states_epoch_and_events(contract: Contract) -> None:
    runs = [contract.run(name) for name in ("m", "n", "o")]
    written: list[int] = []

    async def first(table: Signal) -> None:
        await table.lead()
        events = (event(runs[0], Phase.RUNNING), event(runs[0], Phase.PAUSED), event(runs[1], Phase.DONE))
        written.append(await table.publish(publication(epoch=7, events=events)))

    async def second(table: Signal) -> Leadership:
        return await table.lead()

    play(contract.database.dsn(), work=first)
    contract.client.execute("select migration_guard.acknowledge(%s, 9)", [runs[2]])
    found = play(contract.database.dsn(), work=second, guard_ids=("g2",))
    # The second is done for the guard and open in its own row: it must not be met again as if it were new.
    assert found.states == (state(runs[0], Phase.PAUSED), state(runs[1], Phase.DONE))
    assert (found.epoch, found.last_event_id) == (9, written[0])


def test_a_state_that_cannot_be_read_is_left_out_and_the_rest_kept(installed: Database) -> None:
    async def work(table: Signal) -> Leadership:
        await table.lead()
        strange = Event("paused", "x", 99, "", "paused", {"state": {"phase": "of another world"}})
        await table.publish(publication(events=(strange, event(1, Phase.PAUSED))))
        return await table.lead()

    assert play(installed.dsn(), work=work).states == (state(1, Phase.PAUSED),)


def test_a_forgotten_run_is_not_taken_up(installed: Database) -> None:
    async def work(table: Signal) -> Leadership:
        await table.lead()
        await table.publish(publication(events=(event(1, Phase.ABORTED),)))
        installed.execute("insert into migration_guard.forgotten values ('m', 1, 'ana')")
        return await table.lead()

    assert play(installed.dsn(), work=work).states == ()


# -- refusing ----------------------------------------------------------------------------------------------------------


async def lead(table: Signal) -> None:
    await table.lead()


def test_without_the_schema_it_says_how_to_install(database: Database) -> None:
    with pytest.raises(NotInstalled, match="migration-guard install"):
        play(database.dsn(), work=lead)


@pytest.mark.parametrize("column", ["version", "protocol"])
def test_another_version_is_refused(installed: Database, column: str) -> None:
    installed.execute(b"update migration_guard.installation set %s = 99" % column.encode())
    with pytest.raises(NotInstalled, match="99"):
        play(installed.dsn(), work=lead)


def test_a_role_outside_the_group_is_told_what_to_grant(installed: Database, make_role: MakeRole) -> None:
    with pytest.raises(NotInstalled, match="grant migration_guard_guard"):
        play(installed.dsn(make_role("mg_t_out")), work=lead)


def test_a_copied_schema_is_refused(installed: Database) -> None:
    installed.execute("update migration_guard.installation set database_oid = 1, database_name = 'shop'")
    with pytest.raises(WrongServer, match="copy of database shop"):
        play(installed.dsn(), work=lead)


def test_a_standby_is_refused(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    install(cluster.primary.dsn())
    cluster.wait_replayed()
    with pytest.raises(WrongServer, match="standby"):
        play(cluster.standby.dsn(), work=lead)


def test_the_guards_own_role_is_enough(contract: Contract, make_role: MakeRole) -> None:
    user = make_role("mg_t_guard")
    contract.database.execute(f"grant migration_guard_guard to {user}".encode())
    run = contract.run()

    async def work(old: Signal, new: ControlTable) -> None:
        await old.lead()
        await new.lead()
        events = (event(run, Phase.PAUSED),)
        await new.publish(publication(events=events, admitted=(run,), barred=((run, "x", ""),), report={}))
        assert await new.claim_rollback(run_of(run), "b", ["x"])
        await new.finish_rollback(run, "ok", "")
        assert await new.prune(0) == 0

    play(contract.database.dsn(user), contract.database.dsn(user), work=work, guard_ids=("g1", "g1"))


def test_what_guards_have_done_of_late_is_known_to_the_next_unless_it_was_forgotten(contract: Contract) -> None:
    run, forgiven = contract.run(), contract.run("forgiven")

    async def work(first: Signal, second: Signal) -> tuple[Done, ...]:
        await first.lead()
        paused = dataclasses.replace(event(run, Phase.PAUSED), payload={"notice": {}})
        gone = Event("cancelled", "forgiven", forgiven, "", "paused", {})
        cancelled = [dataclasses.replace(paused, kind="cancelled", run_id=None), dataclasses.replace(gone)]
        await first.publish(publication(events=(paused, *cancelled, dataclasses.replace(paused, kind="resumed"))))
        contract.database.execute("insert into migration_guard.forgotten values ('forgiven', %s, 'ada')", [forgiven])
        await first.close()
        return (await second.lead()).recent

    recent = play(*2 * (contract.database.dsn(),), work=work)
    assert [(done.kind, done.migration, done.told) for done in recent] == [
        ("paused", "m", True),
        ("cancelled", "m", True),
    ]
    assert all(0 <= done.age < 30 for done in recent)
