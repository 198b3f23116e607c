"""Least privilege: each group can do its part, and no more."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.contract import Contract
from tests.fix_postgres import Database, MakeRole

pytestmark = pytest.mark.integration


@pytest.fixture
def contract(database: Database) -> Iterator[Contract]:
    contract = Contract(database)
    yield contract
    contract.close()


@pytest.fixture
def logins(contract: Contract, make_role: MakeRole) -> dict[str, str]:
    """A login for each group."""
    names = {part: make_role(f"mg_t_{part}") for part in ("guard", "client", "operator", "nobody")}
    for part in ("guard", "client", "operator"):
        contract.database.execute(f"grant migration_guard_{part} to {names[part]}".encode())
    contract.database.execute("create table app (n int)")
    return names


def refused(contract: Contract, user: str, statement: str) -> bool:
    with contract.database.connect(user) as session:
        try:
            session.execute(statement.encode())
        except psycopg.errors.InsufficientPrivilege:
            return True
        return False


@pytest.mark.fault(68)
@pytest.mark.parametrize(
    ("part", "statement"),
    [
        ("client", "update migration_guard.lease set mode = 'live'"),
        ("client", "delete from migration_guard.lease"),
        ("client", "select * from migration_guard.lease for update"),
        ("client", "update migration_guard.run set outcome = 'done'"),
        (
            "client",
            "insert into migration_guard.operator_order (kind, migration, owner) values ('override', 'm', 'me')",
        ),
        ("client", "select migration_guard.order_override('m', 'me')"),
        ("client", "select migration_guard.guard_lead('me')"),
        ("client", "insert into migration_guard.admission values (1, 'm', now(), 1, 1, 'live')"),
        ("guard", "select * from app"),
        ("guard", "do $$ begin lock table app in access share mode; end $$"),
        ("guard", "delete from migration_guard.event"),
        ("guard", "update migration_guard.event set because = ''"),
        ("guard", "update migration_guard.run set note = ''"),
        ("guard", "update migration_guard.operator_order set withdrawn_at = now()"),
        ("guard", "select migration_guard.order_override('m', 'me')"),
        ("operator", "update migration_guard.lease set mode = 'live'"),
        ("operator", "update migration_guard.operator_order set reason = ''"),
        ("operator", "delete from migration_guard.operator_order"),
        ("operator", "delete from migration_guard.forgotten"),
        ("operator", "select * from app"),
        ("nobody", "select * from migration_guard.lease"),
        ("nobody", "select migration_guard.lock_key('m')"),
        ("nobody", "create table migration_guard.mine ()"),
        ("guard", "create table migration_guard.mine ()"),
    ],
)
def test_a_role_may_do_no_more_than_its_part(
    contract: Contract, logins: dict[str, str], part: str, statement: str
) -> None:
    assert refused(contract, logins[part], statement)


@pytest.mark.fault(68)
def test_a_client_role_can_run_a_whole_migration(contract: Contract, logins: dict[str, str]) -> None:
    with contract.database.connect(logins["client"], application_name="migration:m") as client:
        run = client.execute("select migration_guard.register('m')").fetchall()[0][0]
        contract.publish({"m": "proceed"}, admitted=(run,))
        client.execute("call migration_guard.checkpoint('m')")
        client.execute("select migration_guard.require_proceed('m'), migration_guard.try_batch('m')")
        client.execute("select migration_guard.progress(%s, 5, 1)", [run])
        row = contract.run_row(run, "usename application_name rows_done pid backend_start")
        assert row[:4] == (logins["client"], "migration:m", 5, client.info.backend_pid)
        started = "select backend_start from pg_stat_activity where pid = %s"
        assert contract.database.execute(started, [row[3]]) == [(row[4],)]
        assert client.execute("select migration_guard.finish('m')").fetchall() == [(True,)]


@pytest.mark.fault(68)
def test_nobody_can_speak_for_a_run_of_another_user(contract: Contract, logins: dict[str, str]) -> None:
    run = contract.run()
    with contract.database.connect(logins["client"]) as other:
        for call in ("finish(%s::bigint)", "progress(%s, 1, 1)", "acknowledge(%s, 9)"):
            statement = f"select migration_guard.{call}".encode()
            assert other.execute(statement, [run]).fetchall() == [(False,)]
    assert contract.run_row(run, "outcome acknowledged_epoch") == (None, 0)


def test_a_hostile_search_path_changes_nothing(contract: Contract, logins: dict[str, str]) -> None:
    with contract.database.connect(logins["client"]) as client:
        client.execute("create temp table run (migration text)")
        client.execute("set search_path = pg_temp, pg_catalog")
        run = client.execute("select migration_guard.register('m')").fetchall()[0][0]
        assert client.execute("select migration_guard.acknowledge(%s, 1)", [run]).fetchall() == [(True,)]
    assert contract.run_row(run, "usename") == (logins["client"],)


@pytest.mark.fault(68)
def test_an_operator_role_can_give_and_take_back_every_order(contract: Contract, logins: dict[str, str]) -> None:
    run = contract.admitted_run()
    with contract.database.connect(logins["operator"]) as operator:
        for what, told in (("pause", "pause"), ("override", "proceed"), ("abort", "abort")):
            operator.execute(f"select migration_guard.order_{what}('m', 'ana')".encode())
            assert contract.kind(run) == told
            assert operator.execute("select migration_guard.withdraw('m', %s, 'ana')", [what]).fetchall() == [(1,)]
        operator.execute("select migration_guard.order_mute('m', 'lag', 'ana'), migration_guard.forget('m', 'ana')")
    assert contract.kind(run) == "proceed"
