"""Making, printing and removing the DDL gate, and who may."""

import contextlib
import subprocess
from collections.abc import Callable, Iterator

import psycopg
import pytest

from guard.act.ddl_gate import OFF, DdlGate, gate_sql, install_gate, remove_gate
from guard.act.install import install, uninstall
from guard.demo.embedded import Binaries
from guard.errors import NotInstalled, NotPermitted, QueryFailed, WorldError
from tests.fix_postgres import Database, MakeRole
from tests.gated import GATE, Gated, Refused

pytestmark = pytest.mark.integration
HERE = "select evtname from pg_event_trigger"


@pytest.fixture
def gated(database: Database) -> Iterator[Gated]:
    gated = Gated(database)
    yield gated
    gated.close()


def test_it_is_switched_off_by_a_line_made_anew_by_the_command_and_removed_without_a_trace(gated: Gated) -> None:
    gated.refused()
    gated.database.execute(OFF.encode())
    gated.passes()
    assert install_gate(gated.database.dsn(), GATE) == ()
    gated.refused()
    install(gated.database.dsn())  # an upgrade of the schema leaves the gate as it is
    gated.refused()
    assert remove_gate(gated.database.dsn())
    assert not remove_gate(gated.database.dsn())
    gated.passes()
    install_gate(gated.database.dsn(), GATE)
    assert uninstall(gated.database.dsn(), force=True)
    gated.passes()
    assert gated.database.execute(HERE) == []
    assert gated.database.execute("select to_regnamespace('migration_guard_gate')") == [(None,)]


def test_the_printed_script_makes_the_same_gate(make_database: Callable[..., Database], binaries: Binaries) -> None:
    odd = DdlGate(("o'brien", "/*note*/''", "back\\slash"), ("100%_*", 'q"', "/*when_lost*/'closed'"), "open")
    by_hand, by_install = make_database(), make_database()
    texts = []
    for database in (by_hand, by_install):
        install(database.dsn())
        if database is by_hand:
            psql = [binaries.path("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", database.dsn()]
            subprocess.run(psql, input=gate_sql(odd), text=True, check=True)
        else:
            assert install_gate(database.dsn(), odd) == odd.roles  # the server has none of them
        dump = [binaries.path("pg_dump"), "--schema-only", "--schema=migration_guard_gate", database.dsn()]
        text = subprocess.run(dump, capture_output=True, text=True, check=True).stdout
        texts.append([line for line in text.splitlines() if "restrict" not in line])
    assert texts[0] == texts[1]
    note = "select obj_description(oid, 'pg_event_trigger') from pg_event_trigger"
    assert by_hand.execute(note) == by_install.execute(note)


def test_names_and_roles_stand_for_themselves(database: Database, make_role: MakeRole) -> None:
    odd, plain = make_role("mg_t_o'b\\%"), make_role("mg_t_other")
    install(database.dsn())
    database.execute("grant create on schema public to public")
    install_gate(database.dsn(), DdlGate((odd,), ("50%_*",)))
    cases = ((odd, "50%_off", True), (odd, "50 off", False), (odd, "50% off", False), (plain, "50%_off", False))
    for role, name, held in cases:
        said = pytest.raises(Refused) if held else contextlib.nullcontext()
        with database.connect(role, application_name=name) as session, said:
            session.execute("create table x (); drop table x")


def test_whoever_owns_what_it_reads_can_alter_neither_the_trigger_nor_its_function(gated: Gated) -> None:
    function = "migration_guard_gate.ddl_gate()"
    with gated.database.connect() as reader:
        reader.execute("set role migration_guard_gate")  # as what a view in place of a table would run
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="must be owner of function"):
            reader.execute(f"alter function {function} security invoker set search_path = evil".encode())
    owner = "select rolsuper from pg_roles join pg_proc on proowner = pg_roles.oid where proname = 'ddl_gate'"
    assert gated.database.execute(owner) == [(True,)]


def test_it_is_not_made_where_somebody_could_be_its_role_or_owns_its_schema(
    gated: Gated, make_database: Callable[..., Database], make_role: MakeRole
) -> None:
    somebody = make_role("mg_t_somebody")
    gated.database.execute(f"grant migration_guard_gate to {somebody}".encode())
    try:
        with pytest.raises(QueryFailed, match="can log in, or has members"):
            install_gate(gated.database.dsn(), GATE)
    finally:
        gated.database.execute(f"revoke migration_guard_gate from {somebody}".encode())
    taken = make_database()
    install(taken.dsn())
    taken.execute(f"create schema migration_guard_gate authorization {somebody}".encode())
    with pytest.raises(QueryFailed, match="schema migration_guard_gate belongs to another role"):
        install_gate(taken.dsn(), GATE)


def test_who_may_not_make_an_event_trigger_is_told_who_may(database: Database, make_role: MakeRole) -> None:
    owner = make_role("mg_t_owner", "createrole")
    database.execute(f"alter database {database.name} owner to {owner}".encode())
    with pytest.raises(NotInstalled, match="run: migration-guard install"):
        install_gate(database.dsn(), GATE)
    install(database.dsn(owner), roles=False)
    with pytest.raises(NotPermitted, match=r"for a superuser to make.*--ddl-gate --print"):
        install_gate(database.dsn(owner), GATE)
    assert database.execute(HERE) == []
    install_gate(database.dsn(), GATE)
    install(database.dsn(owner), roles=False)  # the schema is its own as before
    with pytest.raises(NotPermitted, match="must be owner of event trigger migration_guard_ddl_gate"):
        uninstall(database.dsn(owner))
    assert database.execute("select to_regnamespace('migration_guard') is null") == [(False,)]
    with pytest.raises(WorldError, match="roles in"):
        gate_sql(DdlGate(()))
    with pytest.raises(WorldError, match="cannot stand"):
        gate_sql(DdlGate(("$migration_guard_gate$",)))
