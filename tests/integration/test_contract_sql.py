"""The contract for SQL: registering, waiting and refusing, for migrations that are not written in Python."""

import subprocess
import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest

from guard.demo.embedded import Binaries
from tests.contract import Contract
from tests.fix_postgres import Database
from tests.fix_sessions import Background
from tests.shipped import as_client
from tests.waiting import wait_for

pytestmark = pytest.mark.integration
Start = Callable[[str, str], Background]


@pytest.fixture
def contract(database: Database) -> Iterator[Contract]:
    contract = Contract(database)
    yield contract
    contract.close()


# -- registering -------------------------------------------------------------------------------------------------------


def test_a_second_run_of_a_name_is_refused_while_the_first_lives(contract: Contract) -> None:
    first = contract.run()
    with (
        pytest.raises(psycopg.errors.ObjectInUse, match=rf"m is already running \(run {first}"),
        contract.database.connect() as other,
    ):
        other.execute("select migration_guard.register('m')")
    contract.run("another")


def test_a_dead_run_gives_way_and_is_marked_gone(contract: Contract) -> None:
    first = contract.run()
    second = contract.next_run()
    assert second > first
    assert contract.run_row(first, "outcome") == ("gone",)


def test_a_finished_run_frees_its_name_at_once(contract: Contract) -> None:
    first = contract.run()
    assert contract.client.execute("select migration_guard.finish('m')").fetchall() == [(True,)]
    assert contract.client.execute("select migration_guard.finish('m')").fetchall() == [(False,)]
    contract.run()
    assert contract.run_row(first, "outcome") == ("done",)


def test_the_same_session_that_registers_anew_begins_a_new_run(contract: Contract) -> None:
    first = contract.run()
    second = contract.client.execute("select migration_guard.register('m')").fetchall()[0][0]
    assert contract.run_row(first, "outcome") == ("gone",)
    contract.client.execute("select migration_guard.finish(%s::bigint)", [second])
    held = "select count(*) from pg_locks where locktype = 'advisory' and pid = %s"
    assert contract.database.execute(held, [contract.client.info.backend_pid]) == [(0,)]


def test_runs_that_are_not_exclusive_live_side_by_side(contract: Contract) -> None:
    runs = {contract.run(exclusive=False), contract.run(exclusive=False)}
    assert len(runs) == 2
    with pytest.raises(psycopg.errors.ObjectInUse):
        contract.run()


def test_a_pooled_run_takes_no_lock_and_still_keeps_a_second_away(contract: Contract) -> None:
    first = contract.run(pooled=True)
    pooled_session = contract.client
    held = "select count(*) from pg_locks where locktype = 'advisory' and pid = %s"
    assert contract.database.execute(held, [pooled_session.info.backend_pid]) == [(0,)]
    for pooled in (True, False):
        with pytest.raises(psycopg.errors.ObjectInUse, match="last seen"):
            contract.run(pooled=pooled)
    contract.database.execute("update migration_guard.run set last_seen = last_seen - interval '3 min'")
    contract.run()
    assert contract.run_row(first, "outcome") == ("gone",)


def test_a_pooled_run_is_refused_beside_one_with_a_session(contract: Contract) -> None:
    contract.run()
    with pytest.raises(psycopg.errors.ObjectInUse):
        contract.run(pooled=True)


@pytest.mark.parametrize("name", ["*", "", "x" * 201])
def test_a_name_that_cannot_be_told_apart_is_refused(contract: Contract, name: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        contract.run(name)


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[2J", "a\x7f", "a\tb"])
def test_a_name_that_could_pass_for_other_lines_is_refused(contract: Contract, name: str) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="control characters"):
        contract.run(name)


def test_a_name_with_a_nul_does_not_reach_the_server(contract: Contract) -> None:
    with pytest.raises(psycopg.DataError, match="NUL"):
        contract.run("a\0b")


@pytest.mark.fault(64)
@pytest.mark.parametrize("name", ['"; drop table x;--', "läßt'sö", "%s", "x" * 100, "a\\b"])
def test_any_other_name_is_only_a_text(contract: Contract, name: str) -> None:
    run = contract.run(name)
    contract.publish({name: "proceed"}, admitted=(run,))
    assert contract.kind(run, name) == "proceed"
    assert contract.kind(contract.run(), name) == "lost"  # a run of another name


# -- in a batch's own transaction --------------------------------------------------------------------------------------


def test_require_proceed_returns_or_raises_what_retriers_know_and_never_waits(contract: Contract) -> None:
    contract.admitted_run()
    ask = "select migration_guard.require_proceed('m')"
    contract.client.execute(ask)
    contract.publish({"m": "pause"})
    with pytest.raises(psycopg.errors.LockNotAvailable, match="pause for a test"), contract.client.transaction():
        contract.client.execute(ask)
    contract.publish({"m": "proceed"}, lease=0)
    with pytest.raises(psycopg.errors.LockNotAvailable, match="lost"):
        contract.client.execute(ask)
    contract.operator("abort")
    with pytest.raises(psycopg.Error, match="is aborted: abort by ana") as caught:
        contract.client.execute(ask)
    assert caught.value.sqlstate == "MG001"


def test_require_proceed_refuses_an_old_snapshot(contract: Contract) -> None:
    contract.admitted_run()
    contract.client.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with pytest.raises(psycopg.Error, match="old snapshot") as caught, contract.client.transaction():
        contract.client.execute("select migration_guard.require_proceed('m')")
    assert caught.value.sqlstate == "MG002"


def test_require_proceed_goes_on_without_a_guard_where_the_run_chose_so(contract: Contract) -> None:
    contract.run(on_guard_lost="proceed")
    contract.client.execute("select migration_guard.require_proceed('m')")


def test_try_batch_is_false_while_the_guard_holds_the_lock_or_says_no_and_never_waits(contract: Contract) -> None:
    run = contract.admitted_run()

    def may_begin() -> bool:
        with contract.client.transaction():
            return bool(contract.client.execute("select migration_guard.try_batch('m')").fetchall()[0][0])

    assert may_begin()
    for name in ("m", "*"):
        contract.guard.execute("select pg_advisory_lock(migration_guard.lock_key(%s))", [name])
        assert not may_begin()
        contract.guard.execute("select pg_advisory_unlock(migration_guard.lock_key(%s))", [name])
        assert may_begin()
    contract.publish({"m": "pause"})
    assert not may_begin()
    contract.publish({"m": "proceed"}, lease=0)
    assert not may_begin()
    assert contract.kind(run) == "lost"


def test_while_a_batch_runs_the_guard_cannot_have_the_lock_of_the_pause(contract: Contract) -> None:
    contract.admitted_run()
    take = "select pg_try_advisory_lock(migration_guard.lock_key('m'))"
    with contract.client.transaction():
        assert contract.client.execute("select migration_guard.try_batch('m')").fetchall() == [(True,)]
        assert contract.guard.execute(take).fetchall() == [(False,)]
    assert contract.guard.execute(take).fetchall() == [(True,)]


# -- CALL checkpoint ---------------------------------------------------------------------------------------------------


def admit_when_it_comes(contract: Contract, order: str) -> int:
    """Wait for a run, and give it *order*."""
    query = "select max(run_id) from migration_guard.run where ended_at is null"
    run: int = wait_for(lambda: contract.database.execute(query)[0][0])
    contract.publish({"m": order}, epoch=3, admitted=(run,))
    return run


def test_call_checkpoint_registers_and_waits_with_no_lock_and_no_snapshot(
    contract: Contract, background: Start
) -> None:
    script = background(as_client(contract.database.dsn()), "call migration_guard.checkpoint('m', '200 ms')")
    run = admit_when_it_comes(contract, "pause")
    wait_for(lambda: contract.run_row(run, "acknowledged_epoch") == (3,))
    look = """select a.backend_xid, count(l) from pg_stat_activity a
              left join pg_locks l on l.pid = a.pid and l.locktype = 'relation'
              where a.pid = %s and a.wait_event = 'PgSleep' group by 1"""
    assert wait_for(lambda: contract.database.execute(look, [script.pid])) == [(None, 0)]
    horizon = "select coalesce(age(backend_xmin), 0) from pg_stat_activity where pid = %s and wait_event = 'PgSleep'"
    for _ in range(20):
        contract.database.execute("select pg_current_xact_id()")
    # An old snapshot would keep VACUUM from its work: its age would stay above the 20 transactions.
    wait_for(lambda: (rows := contract.database.execute(horizon, [script.pid])) != [] and rows[0][0] < 15)
    assert script.running
    contract.publish({"m": "proceed"}, epoch=4)
    script.wait()
    assert script.error is None
    assert contract.run_row(run, "acknowledged_epoch outcome") == (4, None)
    script.restart("call migration_guard.checkpoint('m')")
    script.wait(2)
    assert contract.database.execute("select count(*) from migration_guard.run") == [(1,)]


def test_call_checkpoint_raises_when_aborted(contract: Contract, background: Start) -> None:
    script = background(as_client(contract.database.dsn()), "call migration_guard.checkpoint('m', '50 ms')")
    admit_when_it_comes(contract, "abort")
    script.wait()
    assert script.error is not None
    assert script.error.sqlstate == "MG001"


def test_call_checkpoint_fails_inside_a_transaction(contract: Contract) -> None:
    with (
        contract.database.connect() as client,
        pytest.raises(psycopg.errors.InvalidTransactionTermination),
        client.transaction(),
    ):
        client.execute("call migration_guard.checkpoint('m')")
    assert contract.database.execute("select count(*) from migration_guard.run") == [(0,)]


def test_call_checkpoint_asks_under_read_committed_whatever_the_default(contract: Contract, background: Start) -> None:
    alter = f"alter database {contract.database.name} set default_transaction_isolation to 'repeatable read'"
    contract.database.execute(alter.encode())
    script = background(as_client(contract.database.dsn()), "call migration_guard.checkpoint('m', '50 ms')")
    admit_when_it_comes(contract, "proceed")
    script.wait()
    assert script.error is None


def test_a_psql_script_waits_between_its_statements_and_fails_as_one_transaction(
    contract: Contract, binaries: Binaries
) -> None:
    contract.database.execute("create table t (n int)")
    contract.database.execute("grant insert on t to public")
    script = "insert into t values (1); call migration_guard.checkpoint('m', '50 ms'); insert into t values (2);"
    psql = [binaries.path("psql"), "-q", "-v", "ON_ERROR_STOP=1", as_client(contract.database.dsn())]
    admits = threading.Thread(target=admit_when_it_comes, args=(contract, "proceed"))
    admits.start()
    lines = script.replace("; ", ";\n")
    done = subprocess.run(psql, input=lines, capture_output=True, text=True, check=False, timeout=30)
    admits.join()
    assert (done.returncode, contract.database.execute("select n from t")) == (0, [(1,), (2,)]), done.stderr
    assert "waits (" in done.stderr
    one = subprocess.run([*psql, "-c", script], capture_output=True, text=True, check=False, timeout=30)
    assert one.returncode != 0
    assert "invalid transaction termination" in one.stderr
    assert contract.database.execute("select count(*) from t") == [(2,)]


def test_a_guard_that_sleeps_is_not_lost_until_it_has_had_the_time_to_wake(contract: Contract) -> None:
    run = contract.run(on_guard_lost="proceed")
    contract.publish(mode="dormant")
    ask = "select migration_guard.require_proceed('m', %s), migration_guard.try_batch('m', %s)"
    with pytest.raises(psycopg.errors.LockNotAvailable, match="a registration wakes it"):
        contract.database.execute(ask, [run, run])
    assert contract.database.execute("select migration_guard.try_batch('m', %s)", [run]) == [(False,)]
    contract.database.execute("update migration_guard.run set registered_at = registered_at - interval '15 s'")
    assert contract.database.execute("select migration_guard.try_batch('m', %s)", [run]) == [(True,)]
    contract.database.execute("select migration_guard.require_proceed('m', %s)", [run])
