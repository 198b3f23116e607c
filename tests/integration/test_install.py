"""Installing and removing the schema: idempotent, reviewable, and careful about copies and subscribers."""

import subprocess
from collections.abc import Callable

import pytest

from guard.act.install import DBA_LINES, install, install_sql, uninstall
from guard.demo.embedded import Binaries
from guard.errors import NotInstalled, NotPermitted, QueryFailed, Unreachable, WorldError, WrongServer
from tests.contract import Contract
from tests.fix_postgres import Database, MakeCluster, MakeRole

pytestmark = pytest.mark.integration
TABLES = "select relname from pg_class where relnamespace = 'migration_guard'::regnamespace and relkind = 'r' "
LOGGED = TABLES + "and relpersistence = 'p'"


def test_installing_again_changes_no_row(database: Database) -> None:
    contract = Contract(database)
    run = contract.admitted_run()
    contract.operator("pause", "other")
    again = install(database.dsn())
    assert not again.made
    assert contract.kind(run) == "proceed"
    assert database.execute("select count(*) from migration_guard.operator_order") == [(1,)]
    contract.close()


def test_the_printed_script_makes_the_same_schema(make_database: Callable[..., Database], binaries: Binaries) -> None:
    by_hand, by_install = make_database(), make_database()
    psql = [binaries.path("psql"), "-q", "-v", "ON_ERROR_STOP=1", by_hand.dsn()]
    for _ in range(2):  # by hand, too, it may be run again
        subprocess.run(psql, input=install_sql(), capture_output=True, text=True, check=True)
    install(by_install.dsn())
    dump = [binaries.path("pg_dump"), "--schema-only"]
    texts = [
        subprocess.run([*dump, d.dsn()], capture_output=True, text=True, check=True).stdout
        for d in (by_hand, by_install)
    ]
    by_hand_lines, by_install_lines = ([line for line in text.splitlines() if "restrict" not in line] for text in texts)
    assert by_hand_lines == by_install_lines
    assert by_hand.execute("select version, database_name from migration_guard.installation") == [(2, by_hand.name)]


def test_what_only_a_superuser_may_grant_is_printed_and_not_run() -> None:
    text = install_sql()
    for line in DBA_LINES:
        assert f"--   {line}" in text
    assert not any(line.startswith("grant pg_") for line in text.splitlines())


def test_without_roles_none_are_made_or_spoken_of() -> None:
    text = install_sql(roles=False)
    assert "create role" not in text
    assert "to migration_guard_client" not in text.replace(DBA_LINES[0], "").replace(DBA_LINES[1], "")


def test_an_owner_of_the_database_without_more_rights_can_install_without_roles(
    database: Database, make_role: MakeRole
) -> None:
    owner = make_role("mg_t_owner")
    database.execute(f"alter database {database.name} owner to {owner}".encode())
    report = install(database.dsn(owner), roles=False)
    assert report.made
    with database.connect(owner) as session:
        assert session.execute("select migration_guard.register('m') > 0").fetchall() == [(True,)]


def test_a_role_without_rights_is_told_so(database: Database, make_role: MakeRole) -> None:
    with pytest.raises(NotPermitted, match="permission denied for database"):
        install(database.dsn(make_role("mg_t_weak")), roles=False)


def test_a_publication_for_all_tables_is_refused_unless_it_can_do_no_harm(
    make_database: Callable[..., Database],
) -> None:
    refused, unlogged, prepared = make_database(), make_database(), make_database()
    for database in (refused, unlogged, prepared):
        database.execute("create publication everything for all tables")
    with pytest.raises(WorldError, match="everything is FOR ALL TABLES"):
        install(refused.dsn())
    assert refused.execute("select to_regnamespace('migration_guard')") == [(None,)]
    install(unlogged.dsn(), unlogged=True)
    assert unlogged.execute(LOGGED) == []
    assert install(unlogged.dsn(), unlogged=True).made is False
    install(prepared.dsn(), subscribers_prepared=True)
    assert len(prepared.execute(LOGGED)) > 5


def test_only_what_goes_with_a_crash_is_unlogged_by_default(database: Database) -> None:
    install(database.dsn())
    assert database.execute(TABLES + "and relpersistence = 'u' order by 1") == [("fence",), ("lease",)]


def test_a_copied_schema_is_refused_until_it_is_asked_to_start_afresh(
    database: Database, make_database: Callable[..., Database]
) -> None:
    contract = Contract(database)
    run = contract.admitted_run()
    contract.operator("override", "*")
    contract.close()
    database.server.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [database.name]
    )
    copy = make_database(template=database.name)
    query = "select kind, because from migration_guard.read_order('m', %s)"
    assert copy.execute(query, [run])[0][0] == "lost"
    with pytest.raises(WrongServer, match=f"copy of database {database.name}.*--restamp"):
        install(copy.dsn())
    assert install(copy.dsn(), restamp=True).restamped
    assert copy.execute("select count(*) from migration_guard.operator_order") == [(0,)]
    assert copy.execute("select database_name from migration_guard.installation") == [(copy.name,)]
    assert install(copy.dsn(), restamp=True).restamped is False


def test_a_renamed_database_is_no_copy(database: Database) -> None:
    install(database.dsn())
    renamed = Database(f"{database.name}_renamed", database.server)
    database.server.execute(f"alter database {database.name} rename to {renamed.name}".encode())
    try:
        assert install(renamed.dsn()).made is False
    finally:
        database.server.execute(f"alter database {renamed.name} rename to {database.name}".encode())


@pytest.mark.fault(70)
def test_a_newer_schema_is_left_alone(database: Database) -> None:
    install(database.dsn())
    database.execute("update migration_guard.installation set version = 99")
    with pytest.raises(NotInstalled, match="version 99"):
        install(database.dsn())


def test_a_standby_is_refused(make_cluster: MakeCluster) -> None:
    with pytest.raises(WrongServer, match="standby"):
        install(make_cluster().standby.dsn())


def test_installing_waits_for_no_lock_for_long(database: Database) -> None:
    install(database.dsn())
    with database.connect() as other, other.transaction():
        other.execute("lock table migration_guard.run")
        with pytest.raises(QueryFailed, match="lock timeout"):
            install(database.dsn())


def test_uninstall_leaves_nothing_and_waits_for_the_guard_to_go(database: Database) -> None:
    contract = Contract(database)
    contract.admitted_run()
    with pytest.raises(WorldError, match="Guard g1"):
        uninstall(database.dsn())
    contract.close()
    assert uninstall(database.dsn(), force=True)
    assert not uninstall(database.dsn())
    assert database.execute("select count(*) from pg_namespace where nspname = 'migration_guard'") == [(0,)]
    assert database.execute(
        "select count(*) from pg_proc p where pronamespace::regnamespace::text like 'migration%'"
    ) == [(0,)]


def test_no_password_is_in_the_error_of_a_failed_connection(database: Database) -> None:
    with pytest.raises(Unreachable) as caught:
        install(database.dsn(password="hunter2"))
    assert "hunter2" not in str(caught.value)
