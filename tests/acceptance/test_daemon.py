"""The daemon as a process: it starts once, stops in time, takes up a new file or keeps the old."""

import contextlib
import signal
import socket
import sys
import time
from collections.abc import Callable

import pytest

from guard.act.install import install
from guard.demo.embedded import Cluster, Server
from guard.demo.proxy import Proxy
from tests.acceptance.house import NOISE, QUEUE, House, Process
from tests.fix_matrix import Took
from tests.fix_postgres import Database, MakeRole
from tests.fix_sessions import Background
from tests.slack_server import HANG
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance


@pytest.mark.fault(4)
def test_it_stops_within_five_seconds_with_slack_hung_and_the_database_frozen(
    house: House, proxy: Proxy, took: Took
) -> None:
    house.dsn = proxy.dsn(house.database.dsn("guard_login"))
    house.slack.script += [HANG] * 20
    daemon = house.serve()
    house.wait_migrating()
    wait_for(lambda: house.slack.tried, message="Slack to be told of the start")
    proxy.freeze()
    asked = time.monotonic()
    daemon.send(signal.SIGTERM)
    assert daemon.wait(7) == 0
    took(time.monotonic() - asked)
    assert time.monotonic() - asked < 5


@pytest.mark.fault(4)
def test_stopped_on_purpose_it_says_so_and_the_migration_waits_at_once(house: House) -> None:
    daemon = house.serve()
    migrating = house.wait_migrating()
    daemon.send(signal.SIGTERM)
    assert daemon.wait(5) == 0
    ended = time.time()
    assert house.lease()["mode"] == "released"
    wait_for(lambda: any("was stopped" in line["words"] for line in migrating.lines("waits")))
    assert max(migrating.starts) < ended + 0.5


@pytest.mark.fault(6)
def test_a_second_guard_exits_with_3_naming_the_holder_and_changes_nothing(house: House) -> None:
    house.serve()
    migrating = house.wait_migrating()
    before = house.lease()
    second = house.serve(identity="second", state="state2", wait=False)
    assert second.wait(10) == 3
    assert "Guard acceptance on 127.0.0.1 (pid" in second.text()
    assert "leads this database" in second.text()
    assert (house.lease()["term"], house.lease()["guard_id"]) == (before["term"], "acceptance")
    migrating.wait_starts()


def test_a_second_daemon_with_the_same_state_is_refused_before_it_can_fence_the_first(house: House) -> None:
    house.serve()
    second = house.serve(wait=False)
    assert second.wait(10) == 3
    assert "Another daemon is using the state directory" in second.text()


@pytest.mark.fault(9)
def test_reloading_an_invalid_file_keeps_the_old_one_and_says_where_it_is_wrong(house: House) -> None:
    daemon = house.serve()
    migrating = house.wait_migrating()
    house.file.write_text(house.file.read_text().replace('"> 5"', '"> 5 furlongs"'))
    line = 1 + house.file.read_text().splitlines().index('pause   = "> 5 furlongs"')
    daemon.send(signal.SIGHUP)
    daemon.wait_says("the configuration stays as it was")
    assert f"reload refused: {house.file}:{line}: " in daemon.text()
    house.load(4)
    migrating.wait_starts(10)
    house.load(9)
    house.wait_event("paused")


@pytest.mark.fault(10)
def test_reloading_a_valid_file_takes_effect_without_a_restart(house: House, took: Took) -> None:
    daemon = house.serve()
    migrating = house.wait_migrating()
    house.load(4)
    migrating.wait_starts()
    house.rules = house.rules.replace('"> 5"', '"> 3"')
    house.write()
    daemon.send(signal.SIGHUP)
    with took.within(0.1 + 0.5 + 2 * NOISE):
        assert "> 3" in house.wait_event("paused", within=3)[2]
    # A rule that is gone holds nobody up, nor does what it last said.
    house.rules = house.rules.replace('"> 3"', '"> 8"')
    house.rules = house.rules.replace('"load"', '"other"').replace('"< 2 for', '"< 7 for')
    house.write()
    daemon.send(signal.SIGHUP)
    house.wait_event("resumed", within=5)


@pytest.mark.fault(21)
def test_a_standby_or_a_database_without_the_schema_is_refused_with_its_cause(
    house: House, cluster: Cluster, standby: Server
) -> None:
    elsewhere = house.database.server.dsn("guard_login", "postgres")
    cluster.wait_replayed()
    there = standby.dsn("guard_login", house.database.name, password=house.database.server.password)
    for house.dsn, cause in ((elsewhere, "run migration-guard install"), (there, "This server is a standby")):
        daemon = house.serve(wait=False)
        assert daemon.wait(10) == 3
        assert cause in daemon.text()
        assert "Traceback" not in daemon.text()


@pytest.mark.fault(9)
def test_a_reload_that_only_a_restart_can_carry_out_is_refused_in_words_and_changes_nothing(house: House) -> None:
    daemon = house.serve()
    migrating = house.wait_migrating()
    for old, new, words in (
        ('lease = "3s"', 'lease = "9s"', "[guard] lease changed: that takes a restart"),
        ("user=guard_login", "user=postgres", "[database.main] dsn changed: that takes a restart"),
    ):
        text = house.file.read_text()
        assert old in text
        house.file.write_text(text.replace(old, new).replace('"> 5"', '"> 3"'))
        daemon.send(signal.SIGHUP)
        daemon.wait_says(words)
        house.file.write_text(text)
    house.load(4)
    migrating.wait_starts(5)


@pytest.mark.fault(10)
def test_who_is_no_longer_named_after_a_reload_is_not_cancelled_with_the_migration(
    house: House, background: Callable[[str, str], Background], make_role: MakeRole
) -> None:
    make_role("batch")
    house.database.execute("create table u (); grant all on u to batch; grant all on t to migrator")
    house.rules = QUEUE
    house.write()
    house.file.write_text(house.file.read_text().replace('["migrator"]', '["migrator", "batch"]'))
    daemon = Process([sys.executable, "-m", "guard", "serve", "-c", str(house.file)], house.directory / "daemon.log")
    house.processes.append(daemon)
    daemon.wait_says("guarding ")
    house.write()
    for _ in range(3):
        daemon.send(signal.SIGHUP)  # and again while the first exchanges its probes
    daemon.wait_says("configuration reloaded")
    hold = "lock table {}; select pg_sleep(60)"
    named, other = (background(house.database.dsn(u), hold.format(t)) for u, t in (("migrator", "t"), ("batch", "u")))
    with house.database.connect() as admin:
        for query in ["select count(*) from t"] * 2 + ["select count(*) from u"] * 2:
            background(house.database.dsn(), query).wait_blocked(admin)
    named.wait()
    assert "canceling statement due to user request" in str(named.error)
    house.wait_event("cancelled")
    assert other.running
    assert "Traceback" not in daemon.text()


@pytest.mark.fault(21)
def test_one_of_several_databases_that_cannot_be_led_yet_is_guarded_as_soon_as_it_can(
    house: House, make_database: Callable[..., Database]
) -> None:
    late = make_database()
    house.more = f'[database.late]\ndsn = "{late.dsn("guard_login")}"\nstandbys = []'
    daemon = house.serve()
    daemon.wait_says("late: Schema migration_guard is not there")
    house.wait_migrating()
    install(late.dsn())
    wait_for(lambda: late.execute("select mode from migration_guard.lease") == [("dormant",)])


@pytest.mark.fault(21)
def test_many_databases_that_do_not_answer_keep_neither_the_start_nor_the_others_waiting(
    house: House, took: Took
) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(8):
            silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))  # it is never asked to accept
            dsn = f"host=127.0.0.1 port={silent.getsockname()[1]} dbname=x user=x"
            house.more += f'[database.silent{number}]\ndsn = "{dsn}"\nstandbys = []\n'
        with took.within(13.0):  # one after the other they would take 16 s beside the start
            house.serve()
        house.wait_migrating()
