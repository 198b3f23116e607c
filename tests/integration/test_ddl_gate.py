"""The DDL gate: while paused no DDL of a migration begins, and nobody else ever notices that it is there."""

import subprocess
from collections.abc import Iterator

import psycopg
import pytest

from guard.act.ddl_gate import OFF, DdlGate, install_gate
from guard.act.install import install
from guard.demo.embedded import Binaries
from tests.fix_postgres import Database, MakeRole
from tests.gated import GATE, Gated
from tests.shipped import as_client
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

LOCKS = """
    select count(*) from pg_locks l join pg_class c on c.oid = l.relation
      join pg_namespace n on n.oid = c.relnamespace and starts_with(n.nspname, 'migration_guard')
    where l.pid = pg_backend_pid()
"""
"""What the calling session has locked of the guard's."""


@pytest.fixture
def gated(database: Database) -> Iterator[Gated]:
    gated = Gated(database)
    yield gated
    gated.close()


def test_while_paused_ddl_is_refused_before_it_asks_for_a_lock_and_afterwards_it_passes(gated: Gated) -> None:
    ddl = (
        "alter table t add column a int",
        "create index concurrently t_id on t (id)",
        "create index t_id2 on t (id)",
        "comment on table t is 'x'",
        "create view seen as select * from t",
        "drop table t cascade",
    )
    copy = "create table copied as select * from t"
    gated.contract.publish({"m": "pause"})
    with gated.database.connect() as reader:
        reader.execute("begin; lock table t in access exclusive mode")  # whoever asks for a lock on it waits
        for statement in ddl:
            words = gated.refused(statement)
            assert words == "migration m must wait (pause): pause for a test", statement
        reader.execute("rollback; begin; lock table t in exclusive mode")
        gated.refused(copy)  # to understand it the server has to read: it has asked for no more than that
        reader.execute("rollback")
    assert gated.database.execute("select count(*) from pg_index where indrelid = 't'::regclass") == [(0,)]
    gated.contract.publish({"m": "proceed"})
    for statement in (copy, *ddl):
        gated.session.execute(statement.encode())


def test_an_autocommit_script_stops_between_two_statements_and_goes_on_later(gated: Gated, binaries: Binaries) -> None:
    gated.contract.publish({"m": "proceed"})
    script = """
        \\set VERBOSITY verbose
        create table if not exists a ();
        do $$ begin while not exists (select from t) loop perform pg_sleep(0.02); end loop; end $$;
        create table b ();
    """
    dsn = as_client(gated.database.dsn(application_name="migration:m"))
    psql = [binaries.path("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", dsn]
    with subprocess.Popen(psql, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdin is not None
        running.stdin.write(script)
        running.stdin.close()
        wait_for(lambda: gated.database.execute("select to_regclass('a') is not null") == [(True,)], within=15)
        gated.contract.publish({"m": "pause"}, epoch=2)
        gated.database.execute("insert into t values (1)")
        assert running.wait(15) == 3
        assert running.stderr is not None
        assert "55P03: migration m must wait (pause)" in running.stderr.read()
    assert gated.database.execute("select to_regclass('a') is null, to_regclass('b') is null") == [(False, True)]
    gated.contract.publish({"m": "proceed"}, epoch=3)
    subprocess.run(psql, input=script, check=True, text=True)
    assert gated.database.execute("select to_regclass('b') is null") == [(False,)]


def test_a_transaction_that_is_refused_lets_go_of_all_that_it_has_locked(gated: Gated) -> None:
    gated.contract.publish({"m": "proceed"})
    gated.session.execute("begin")
    gated.session.execute("alter table t add column a int")
    gated.contract.publish({"m": "pause"})
    gated.refused("alter table t add column b int")
    held = "select count(*) from pg_locks where pid = %s and locktype = 'relation'"
    assert gated.database.execute(held, [gated.session.info.backend_pid]) == [(0,)]
    gated.session.execute("rollback")


def test_nobody_else_notices_it_whatever_state_it_is_in(gated: Gated, make_role: MakeRole) -> None:
    bare = make_role("mg_t_bare")  # no rights at all, not even on the schema
    gated.database.execute("revoke all on schema migration_guard from public")
    gated.contract.publish({"m": "pause", "*": "pause"})
    temporary = "create temp table mine (id int); drop table mine"
    patience = "-c lock_timeout=15s"
    sessions = [
        gated.database.connect(bare, application_name="migration:m", options=patience),  # a name alone proves nothing
        gated.database.connect(application_name="migration:m", options=patience),
        gated.migration("web"),  # nor does the role, where names are given
    ]

    def assert_unnoticed() -> None:
        for session in sessions:
            with session.transaction():
                session.execute(temporary.encode())
                assert session.execute(LOCKS).fetchall() == [(0,)]
        gated.refused()

    try:
        assert_unnoticed()
        with gated.database.connect() as stuck:
            stuck.execute("begin; lock table migration_guard.lease, migration_guard.operator_order")
            assert_unnoticed()
        for broken in (
            "delete from migration_guard.lease",
            "revoke usage on schema migration_guard from migration_guard_gate",
            "drop function migration_guard_gate.order_here()",
            "drop schema migration_guard cascade",
        ):
            gated.database.execute(broken.encode())
            assert_unnoticed()
    finally:
        for session in sessions:
            session.close()


def test_a_gate_that_cannot_read_is_closed_and_says_what_is_missing(gated: Gated) -> None:
    for broken, words in (
        (
            "drop function migration_guard_gate.order_here()",
            "function migration_guard_gate.order_here() does not exist",
        ),
        ("drop table migration_guard.lease", 'relation "migration_guard.lease" does not exist'),
        ("drop schema migration_guard cascade", 'relation "migration_guard.run" does not exist'),
    ):
        gated.database.execute(broken.encode())
        assert words in gated.refused()
        assert gated.refused().startswith("migration m must wait (lost): the gate cannot read what the guard says: ")
        install(gated.database.dsn())
        install_gate(gated.database.dsn(), GATE)
    gated.database.execute("drop schema migration_guard cascade")
    gated.database.execute(OFF.encode())
    gated.passes()


def test_a_gate_that_is_open_says_so_and_lets_the_migration_go_on(gated: Gated) -> None:
    install_gate(gated.database.dsn(), DdlGate(GATE.roles, GATE.application_names, "open"))
    notices: list[str] = []
    gated.session.add_notice_handler(lambda notice: notices.append(str(notice.message_primary)))
    gated.passes()
    no_guard = (
        "DDL of migration m begins without a guard: there is no lease: no guard has spoken since this server started"
    )
    assert notices == [no_guard] * 2
    with gated.database.connect() as stuck:
        stuck.execute("begin; lock table migration_guard.lease")
        gated.passes()
    assert "canceling statement due to lock timeout (55P03)" in notices[-1]
    gated.contract.publish({"m": "pause"})
    gated.refused()
    gated.contract.publish({"m": "abort"})
    with pytest.raises(psycopg.DatabaseError, match="aborted: abort for a test"):
        gated.passes()


def test_without_a_guard_it_is_closed_until_an_operator_overrides(gated: Gated) -> None:
    assert gated.refused() == (
        "migration m must wait (lost): there is no lease: no guard has spoken since this server started"
    )
    gated.contract.publish({"m": "proceed"}, mode="released")
    assert "the guard g1 was stopped" in gated.refused()
    gated.contract.publish({"m": "proceed"}, lease=0)
    assert "the guard g1 has been silent for" in gated.refused()
    gated.contract.publish({"m": "proceed"})
    gated.passes()
    for column, value, why in (
        ("timeline", "'0000FFFF'", "this server has been promoted since"),
        ("beat_at", "clock_timestamp() + interval '1 min'", "the last beat lies in the future"),
        ("protocol", "2", "another protocol"),
    ):
        gated.database.execute(f"update migration_guard.lease set {column} = {value}".encode())  # noqa: S608
        assert why in gated.refused()
        gated.contract.publish({"m": "proceed"})
    gated.session.execute("begin isolation level repeatable read")
    assert "an old snapshot (repeatable read)" in gated.refused()
    gated.session.execute("rollback")
    gated.database.execute("update migration_guard.installation set database_oid = 1")
    assert "this one is a copy" in gated.refused()
    gated.database.execute("delete from migration_guard.installation")
    assert "holds no installation" in gated.refused()
    install(gated.database.dsn())
    gated.database.execute("delete from migration_guard.lease")
    gated.refused()
    gated.contract.operator("override")
    gated.passes()
    gated.contract.run("m")
    gated.contract.publish()
    gated.passes()


def test_a_guard_that_sleeps_lets_pass_who_comes_and_one_that_has_died_asleep_does_not(gated: Gated) -> None:
    gated.contract.publish(mode="dormant", lease=0)
    assert "is silent now" in gated.refused()  # another session with the number of the one that led
    gated.contract.guard.execute("set application_name = 'migration_guard/signal'")
    gated.passes()
    gated.contract.run("m")  # who has registered waits for the guard to wake
    assert "not admitted yet" in gated.refused()
    gated.contract.publish({"m": "proceed"})
    gated.passes()  # as the child of whoever has registered
    gated.contract.publish(mode="dormant", lease=0)
    gated.contract.client.close()
    gated.database.execute("update migration_guard.run set ended_at = now(), outcome = 'gone'")
    gated.passes()
    pid = gated.contract.guard.info.backend_pid
    gated.contract.guard.close()
    gone = "select count(*) from pg_stat_activity where pid = %s"
    wait_for(lambda: gated.database.execute(gone, [pid]) == [(0,)], within=15)
    assert "was dormant, and is silent now" in gated.refused()


def test_operators_and_aborted_runs_are_heeded_as_by_whoever_asks(gated: Gated) -> None:
    gated.contract.publish({"m": "proceed"})
    gated.contract.operator("pause")
    assert gated.refused() == "migration m must wait (pause): pause by ana: for a test"
    gated.contract.operator("override")
    gated.passes()
    gated.contract.withdraw("override")
    gated.contract.withdraw("pause")
    gated.contract.operator("pause", "*")
    gated.refused()
    gated.contract.operator("abort", "*")
    with pytest.raises(psycopg.DatabaseError, match="migration m is aborted: abort by ana") as caught:
        gated.passes()
    assert caught.value.sqlstate == "MG001"
    gated.contract.withdraw("abort", "*")
    gated.contract.withdraw("pause", "*")
    gated.contract.publish({"m": "proceed"}, barred=((7, "m", "wrong data"),))
    with pytest.raises(psycopg.DatabaseError, match="migration m is aborted: wrong data"):
        gated.passes()
    gated.passes(gated.migration("migration:other"))
    gated.database.execute("select migration_guard.forget('m', 'ana')")
    gated.passes()


def test_a_session_is_of_its_own_run_else_of_its_name_else_of_the_unregistered(gated: Gated) -> None:
    install_gate(gated.database.dsn(), DdlGate(GATE.roles))
    gated.contract.publish({"m": "proceed", "*": "pause"})
    gated.passes()
    nameless, empty, ours = (gated.migration(name) for name in ("tool", "migration:", "migration_guard/install"))
    assert "migration * must wait (pause)" in gated.refused(by=nameless)
    assert "migration * must wait (pause)" in gated.refused(by=empty)
    gated.passes(ours)
    assert "migration unseen must wait (pause)" in gated.refused(by=gated.migration("migration:unseen"))
    gated.contract.publish({"m": "proceed"})
    gated.passes(nameless)
    nameless.execute("select migration_guard.register('own')")
    assert "migration own must wait (pause): not admitted yet" in gated.refused(by=nameless)
    gated.contract.publish({"own": "proceed", "*": "pause"})
    gated.passes(nameless)
    whose = "update migration_guard.run set usename = %s"
    gated.database.execute(whose, ["other"])  # an earlier session with the same number
    assert "migration * must wait (pause)" in gated.refused(by=nameless)
    gated.database.execute(whose, ["shipped_client"])
    nameless.execute("select migration_guard.finish('own')")
    assert "migration * must wait (pause)" in gated.refused(by=nameless)


def test_a_section_that_a_run_has_fenced_is_not_broken_by_a_pause(gated: Gated) -> None:
    gated.session.execute("select migration_guard.register('m')")
    run = gated.database.execute("select max(run_id) from migration_guard.run")[0][0]
    gated.contract.publish({"m": "proceed"}, admitted=(run,))
    gated.session.execute("select migration_guard.declare_fence(%s, 'cut-over')", [run])
    gated.contract.publish({"m": "pause"}, admitted=(run,))
    gated.passes()
    gated.session.execute("select migration_guard.lift_fence(%s)", [run])
    gated.refused()
