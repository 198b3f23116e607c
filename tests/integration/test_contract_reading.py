"""What a migration reads: whose word holds, and that nobody's word is never taken for permission."""

import subprocess
from collections.abc import Callable, Iterator

import pytest

from guard.act.install import install
from guard.demo.embedded import Binaries, Cluster
from tests.contract import Contract
from tests.fix_postgres import Database, MakeCluster
from tests.waiting import wait_for

pytestmark = pytest.mark.integration
READ = "select kind, because from migration_guard.read_order('m', %s)"


@pytest.fixture
def contract(database: Database) -> Iterator[Contract]:
    contract = Contract(database)
    yield contract
    contract.close()


@pytest.mark.parametrize("order", ["proceed", "pause", "abort"])
def test_the_order_of_the_guard_is_what_an_admitted_run_reads(contract: Contract, order: str) -> None:
    run = contract.admitted_run(order)
    assert contract.read(run) == (order, f"{order} for a test")


def test_proceed_needs_an_admission_of_this_very_run(contract: Contract) -> None:
    contract.admitted_run()
    second = contract.next_run()
    kind, because = contract.read(second)
    assert (kind, "not admitted" in because) == ("pause", True)


def test_an_unregistered_migration_is_told_to_register(contract: Contract) -> None:
    contract.publish({"m": "proceed"})
    kind, because = contract.read(None)
    assert kind == "pause"
    assert "migration_guard.register('m')" in because


def test_an_order_that_is_not_understood_is_no_permission(contract: Contract) -> None:
    run = contract.admitted_run()
    contract.publish({"m": "faster"})
    assert contract.kind(run) == "lost"


@pytest.mark.parametrize(
    ("operator", "guard", "told"),
    [
        (("pause",), "proceed", "pause"),
        (("abort",), "proceed", "abort"),
        (("override",), "pause", "proceed"),
        (("override", "pause"), "pause", "proceed"),
        (("pause", "override"), "pause", "proceed"),
        (("override", "abort"), "proceed", "abort"),
        (("abort", "override"), "proceed", "abort"),
        (("pause",), "abort", "pause"),
    ],
)
def test_abort_beats_override_beats_pause_whichever_came_first(
    contract: Contract, operator: tuple[str, ...], guard: str, told: str
) -> None:
    run = contract.admitted_run(guard)
    for what in operator:
        contract.operator(what)
    assert contract.kind(run) == told


def test_an_order_for_all_holds_for_each_until_withdrawn_or_expired(contract: Contract) -> None:
    run = contract.admitted_run()
    contract.operator("pause", "*")
    assert contract.read(run) == ("pause", "pause by ana: for a test")
    assert contract.withdraw("pause", "*") == 1
    assert contract.withdraw("pause", "*") == 0
    assert contract.kind(run) == "proceed"
    contract.operator("pause", expires="2001-01-01")
    assert contract.kind(run) == "proceed"


def test_a_mute_orders_nothing(contract: Contract) -> None:
    run = contract.admitted_run("pause")
    contract.database.execute("select migration_guard.order_mute('m', 'lag', 'ana')")
    assert contract.kind(run) == "pause"


def test_an_override_needs_no_guard(contract: Contract) -> None:
    run = contract.run()
    assert contract.kind(run) == "lost"
    contract.operator("override", expires="2099-01-01")
    assert contract.kind(run) == "proceed"


def test_a_barred_migration_stays_aborted_until_forgotten_whatever_anyone_orders(contract: Contract) -> None:
    run = contract.admitted_run()
    contract.publish({"m": "proceed"}, barred=((run, "m", "rolled back"),))
    contract.operator("override")
    assert contract.read(run) == ("abort", "rolled back")
    contract.client.execute("select migration_guard.finish(%s, 'aborted')", [run])
    second = contract.next_run()
    assert contract.kind(second) == "abort"
    assert contract.database.execute("select migration_guard.forget('m', 'ana')") == [(second,)]
    contract.publish({"m": "proceed"}, admitted=(second,))
    assert contract.kind(second) == "proceed"


def test_a_run_that_is_over_may_not_go_on(contract: Contract) -> None:
    run = contract.admitted_run()
    contract.client.execute("select migration_guard.finish(%s)", [run])
    assert contract.kind(run) == "abort"


# -- nobody can say ----------------------------------------------------------------------------------------------------


def test_an_expired_lease_is_lost(contract: Contract) -> None:
    run = contract.admitted_run()
    contract.publish({"m": "proceed"}, lease=0.3)
    assert contract.kind(run) == "proceed"
    wait_for(lambda: contract.kind(run) == "lost")
    assert "has been silent for" in contract.read(run)[1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("beat_at = clock_timestamp() + interval '1 hour'", "clock of the server was set back"),
        ("timeline = '000000FF'", "promoted"),
        ("protocol = 2", "protocols"),
        ("mode = 'released'", "was stopped"),
        ("mode = 'dormant'", "dormant"),
    ],
)
def test_a_lease_that_cannot_be_right_is_lost(contract: Contract, change: str, words: str) -> None:
    run = contract.admitted_run()
    contract.database.execute("update migration_guard.run set registered_at = registered_at - interval '1 min'")
    contract.database.execute(b"update migration_guard.lease set " + change.encode())
    kind, because = contract.read(run)
    assert kind == "lost"
    assert words in because


@pytest.mark.fault(70)
def test_a_client_of_another_protocol_is_told_so_and_may_not_go_on(contract: Contract) -> None:
    run = contract.run(protocol=7)
    contract.publish({"m": "proceed"}, admitted=(run,))
    kind, because = contract.read(run)
    assert (kind, "protocols (1, 7, 1)" in because) == ("lost", True)


def test_a_deleted_lease_is_lost_and_the_next_beat_makes_it_anew(contract: Contract) -> None:
    run = contract.admitted_run()
    contract.database.execute("delete from migration_guard.lease")
    assert contract.kind(run) == "lost"
    contract.publish({"m": "proceed"})
    assert contract.kind(run) == "proceed"


def test_a_dead_observing_guard_stops_nobody(contract: Contract) -> None:
    run = contract.run()
    contract.publish({"m": "pause"}, mode="observing", lease=-1, admitted=(run,))
    assert contract.kind(run) == "proceed"
    contract.database.execute("delete from migration_guard.lease")  # as a crash does
    assert contract.kind(run) == "proceed"


def test_a_guard_that_no_longer_only_observes_is_obeyed_by_runs_that_it_admitted_then(contract: Contract) -> None:
    run = contract.run()
    contract.publish({"m": "proceed"}, mode="observing", admitted=(run,))
    contract.publish({"m": "pause"}, mode="live")
    assert contract.kind(run) == "pause"


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_under_an_old_snapshot_it_is_lost_and_never_an_old_proceed(contract: Contract, level: str) -> None:
    run = contract.admitted_run()
    with contract.database.connect() as reader:
        reader.execute(f"begin isolation level {level}".encode())
        reader.execute("select 1")
        contract.publish({"m": "pause"})
        assert reader.execute(READ, [run]).fetchall()[0][0] == "lost"


def test_within_a_transaction_each_question_sees_the_newest_order(contract: Contract) -> None:
    run = contract.admitted_run()
    with contract.database.connect() as reader, reader.transaction():
        assert reader.execute(READ, [run]).fetchall()[0][0] == "proceed"
        contract.publish({"m": "pause"})
        assert reader.execute(READ, [run]).fetchall()[0][0] == "pause"


# -- other servers, other databases ------------------------------------------------------------------------------------


def test_a_crash_a_standby_and_a_promotion_all_lose_the_lease(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    primary, standby = cluster.primary, cluster.standby
    contract = Contract(Database("postgres", primary))
    run = contract.admitted_run()
    contract.operator("pause", "other")
    cluster.wait_replayed()
    assert standby.execute(READ, [run]) == [("lost", "this server is a standby")]

    standby.promote()
    kind, because = standby.execute(READ, [run])[0]
    assert (kind, "there is no lease" in because) == ("lost", True)
    assert standby.execute("select count(*) from migration_guard.operator_order") == [(1,)]
    assert contract.kind(run) == "proceed"  # the old primary, while its guard still beats
    contract.publish({"m": "proceed"}, lease=0.0)
    assert contract.kind(run) == "lost"  # and no longer

    contract.publish({"m": "proceed"})
    primary.kill()
    primary.start()
    kind, because = contract.read(run)
    assert (kind, "there is no lease" in because) == ("lost", True)
    contract.close()


def test_a_copy_of_the_database_is_lost(contract: Contract, cluster: Cluster, binaries: Binaries) -> None:
    run = contract.admitted_run()
    contract.operator("override", "copied")
    dump = [binaries.path("pg_dump"), contract.database.dsn(), "--no-owner"]
    text = subprocess.run(dump, check=True, capture_output=True, text=True).stdout
    restored = Database(contract.database.name + "_copy", contract.database.server)
    contract.database.server.execute(f"create database {restored.name}".encode())
    try:
        psql = [binaries.path("psql"), "-q", restored.dsn()]
        subprocess.run(psql, input=text, check=True, capture_output=True, text=True)
        assert restored.execute("select count(*) from migration_guard.lease") == [(1,)]  # pg_dump takes it along
        for name in ("m", "copied"):
            query = "select kind, because from migration_guard.read_order(%s, %s)"
            assert restored.execute(query, [name, run]) == [
                ("lost", "this database is a copy: its schema migration_guard belongs to another one")
            ]
    finally:
        contract.database.server.execute(f"drop database {restored.name} with (force)".encode())


def test_a_logical_copy_has_no_lease(make_database: Callable[..., Database], make_cluster: MakeCluster) -> None:
    source_server = make_cluster(0, settings={"wal_level": "logical"}).primary
    source = Contract(Database("postgres", source_server), subscribers_prepared=True)
    run = source.admitted_run()
    target = make_database()
    install(target.dsn())
    target.execute("truncate migration_guard.installation")
    source_server.execute("create publication everything for all tables")
    target.execute(f"create subscription s connection '{source_server.dsn()}' publication everything".encode())
    try:
        wait_for(lambda: target.execute("select 1 from migration_guard.admission") != [], within=20)
        wait_for(lambda: target.execute("select 1 from migration_guard.installation") != [], within=20)
        source.publish({"m": "proceed"})  # beats go on
        kind, because = target.execute(READ, [run])[0]
        assert (kind, "is a copy" in because) == ("lost", True)
        assert target.execute("select 1 from migration_guard.lease") == []
    finally:
        target.execute("drop subscription s")
        source.close()
