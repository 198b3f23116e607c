"""Guard, schema and client of different versions: refused or held in words, and going on when they fit again."""

import signal
import time

import psycopg
import pytest

from guard.act.install import uninstall
from tests.acceptance.house import FRESH_FOR, LEASE, NOISE, House
from tests.command import command
from tests.fix_matrix import Took
from tests.version_one import OldClient, OldGuard, install_version_one
from tests.waiting import wait_for

pytestmark = [pytest.mark.acceptance, pytest.mark.fault(70)]


def become(house: House, version: int, protocol: int) -> None:
    """Have the schema be as another version would have installed it, for all that this one asks of it."""
    house.database.execute("update migration_guard.installation set version = %s, protocol = %s", [version, protocol])
    [(body,)] = house.database.execute(
        "select pg_get_functiondef('migration_guard.read_order(text, bigint)'::regprocedure)"
    )
    said = [f"protocol := {number};" for number in range(3)]
    spoken = next(words for words in said if words in body)
    house.database.execute(body.replace(spoken, said[protocol]).encode())


@pytest.mark.parametrize(
    ("version", "protocol", "todo"),
    [(0, 0, "run: migration-guard install"), (1, 1, "run: migration-guard install"), (3, 2, "upgrade this program")],
)
def test_a_guard_does_not_begin_on_a_schema_of_another_version(
    house: House, version: int, protocol: int, todo: str
) -> None:
    become(house, version, protocol)
    daemon = house.serve(wait=False)
    assert daemon.wait() == 3
    assert f"is of version {version} (protocol {protocol}), this program of version 2 (protocol 1)" in daemon.text()
    assert "Traceback" not in daemon.text()
    checked = command("check", "-c", str(house.file))
    assert checked.code == 3
    age = "newer" if version > 2 else "older"
    assert f"is of version {version}.{protocol}, {age} than this program, which is for 2.1" in checked.out
    assert todo in checked.out


def test_a_schema_that_is_upgraded_under_guard_and_client_holds_both_in_words_until_they_fit_again(
    house: House, took: Took
) -> None:
    daemon = house.serve()
    migrating = house.wait_migrating()
    become(house, 3, 2)
    upgraded = time.time()
    house.database.execute("select pg_terminate_backend(pid) from migration_guard.leader")
    daemon.wait_says("cannot signal: Schema migration_guard is of version 3 (protocol 2)")
    words = "the database speaks protocol 2, this client 1: upgrade the older"
    wait_for(lambda: any(words in line["words"] for line in migrating.lines("waits")), message=words)
    took(migrating.lines("waits")[-1]["at"] - upgraded)
    assert max(migrating.starts) < upgraded + FRESH_FOR + NOISE
    become(house, 2, 1)
    migrating.wait_starts(within=10 + LEASE)
    daemon.send(signal.SIGTERM)
    assert daemon.wait() == 0
    house.assert_each_row_once(migrating)


def test_a_migration_of_the_first_version_goes_on_through_the_upgrade_and_heeds_the_new_daemon(
    house: House, took: Took
) -> None:
    uninstall(house.database.dsn())
    install_version_one(house.database)
    before = OldGuard(house.database.dsn("guard_login"))
    client = OldClient(house.database.dsn("migrator", application_name="migration:backfill"), "backfill")
    try:
        before.publish({"backfill": client.run})
        client.batch()
        upgraded = command("install", environment={"MIGRATION_GUARD_DSN": house.database.dsn()})
        assert (upgraded.code, upgraded.err) == (0, "")
        assert "upgraded from version 1; restart the guard with this program" in upgraded.out
        before.publish({"backfill": client.run})
        client.batch()
        before.close()
        house.serve()
        house.wait_event("started")  # until then the earlier guard's lease may still stand
        wait_for(lambda: client.told() == "proceed")
        client.batch()
        house.load(9)
        house.wait_event("paused")
        paused = time.time()
        wait_for(lambda: client.told() == "pause")
        took(time.time() - paused)
        with pytest.raises(psycopg.errors.LockNotAvailable, match="backfill must wait"):
            client.batch()
        house.wait_event("effective")  # as the earlier client acknowledges
        house.load(0)
        house.wait_order("proceed")
        client.batch()
        assert client.finish()
        house.wait_event("soaking")
        house.assert_all_told()
    finally:
        client.close()
        before.close()
