"""A disk under the database fills up: paused before WAL stops the server, held where nothing can be written."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from guard.client import Migration
from guard.demo.account import account
from guard.demo.embedded import Server
from guard.errors import GuardError
from tests.acceptance.conftest import Alone
from tests.acceptance.house import FRESH_FOR, LEASE, LOAD, NOISE, House
from tests.fix_matrix import Took
from tests.tools import tool
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk"),
]

MB = 2**20
SLOTS = """
[[rule]]
name   = "slots"
metric = "replication.retained_bytes"
pause  = "> 40MB"
resume = "< 20MB for 300ms"
"""


@pytest.fixture
def small_disk(open_tmp: Path) -> Iterator[Callable[[int], Path]]:
    """``small_disk(megabytes)``: a directory on a disk of its own that the servers' account owns."""
    mounted: list[Path] = []

    def mount(megabytes: int) -> Path:
        place = open_tmp / f"disk{len(mounted)}"
        place.mkdir()
        options = f"size={megabytes}m,mode=0700,uid={account().uid},gid={account().gid}"
        done = subprocess.run([tool("mount"), "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=False)
        if done.returncode:
            pytest.skip("this machine's root may not mount a tmpfs")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run([tool("umount"), "--lazy", str(place)], check=True)


def move_wal(primary: Server, disk: Path) -> None:
    """Put the WAL on a disk of its own, as an administrator does: server down, a link in its place."""
    primary.stop()
    wal = primary.data_dir / "pg_wal"
    subprocess.run(["/bin/cp", "-Rp", f"{wal}/.", str(disk)], check=True)
    shutil.rmtree(wal)
    wal.symlink_to(disk)
    primary.start()


class Work(threading.Thread):
    """A registered migration that executes a statement for each batch until it is over or told to abort."""

    def __init__(self, house: House, batch: str) -> None:
        super().__init__(name="work", daemon=True)
        self._dsn, self._batch = house.database.dsn("migrator", application_name="migration:work"), batch
        self.starts: list[float] = []
        self.over = threading.Event()
        self.trouble = ""

    def run(self) -> None:
        try:
            with (
                psycopg.connect(self._dsn, autocommit=True) as connection,
                Migration(connection, "work", poll=0.05) as migration,
            ):
                while not self.over.is_set():
                    migration.checkpoint()
                    self.starts.append(time.time())
                    connection.execute(self._batch.encode())
        except (psycopg.Error, GuardError) as error:
            self.trouble = str(error)

    def end(self) -> None:
        """Wait for its end."""
        self.over.set()
        self.join(10)
        assert not self.is_alive()


@pytest.mark.fault(31, 43)
def test_wal_that_a_dead_consumers_slot_keeps_pauses_the_migration_before_the_disk_is_full(
    alone: Alone, small_disk: Callable[[int], Path], took: Took
) -> None:
    house, cluster = alone(min_wal_size="32MB", max_wal_size="48MB", wal_keep_size="0")
    primary, disk = cluster.primary, small_disk(160)
    move_wal(primary, disk)
    primary.execute("select pg_create_physical_replication_slot('gone', true)")
    house.rules = SLOTS
    house.serve()
    # At 40 MB a second at most: what is written until a pause takes effect must fit on so small a disk.
    work = Work(house, f"select pg_sleep(0.05), pg_logical_emit_message(true, 'fill', repeat('x', {2 * MB}))")
    work.start()
    paused = house.wait_event("paused", within=20)
    took(paused[1] - house.wait_event("started")[1])
    assert "slot gone, inactive" in paused[2]
    wait_for(lambda: time.time() > paused[1] + 2)
    assert work.starts[-1] < paused[1] + FRESH_FOR + NOISE
    assert work.trouble == ""
    assert "PANIC" not in primary.log_text()
    assert shutil.disk_usage(disk).free > 40 * MB
    primary.execute("select pg_drop_replication_slot('gone')")
    primary.execute("checkpoint")
    house.wait_event("resumed")
    work.end()
    assert work.trouble == ""


@pytest.mark.fault(31)
def test_where_the_guard_can_write_nothing_any_more_migrations_hold_and_go_on_when_there_is_room(
    alone: Alone, small_disk: Callable[[int], Path], took: Took
) -> None:
    house, cluster = alone()
    disk = small_disk(40)
    (disk / "space").mkdir(mode=0o700)
    account().own(disk / "space")
    cluster.primary.execute(f"create tablespace small location '{disk / 'space'}'".encode())
    for table in ("event", "lease", "run"):
        house.database.execute(f"alter table migration_guard.{table} set tablespace small".encode())
    house.rules = LOAD
    daemon = house.serve()
    work = Work(house, "select pg_sleep(0.02)")  # writes nothing, so that only the guard's word can stop it
    work.start()
    wait_for(lambda: work.starts)
    fill(house, disk)
    house.load(9)
    full = time.time()
    daemon.wait_says("No space left on device", within=10)
    wait_for(lambda: time.time() > full + LEASE + FRESH_FOR + 1)
    took(work.starts[-1] - full)
    assert work.starts[-1] < full + LEASE + FRESH_FOR + NOISE
    assert cluster.primary.running
    house.load(0)
    (disk / "ballast").unlink()
    wait_for(lambda: work.starts[-1] > full + LEASE + FRESH_FOR + 1, within=15, message="batches to begin again")
    work.end()
    assert work.trouble == ""


def fill(house: House, disk: Path) -> None:
    """Fill the disk, then what room is left in the pages that the table of events has."""
    with (disk / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while True:
            ballast.write(b"\0" * 8192)
    note = """insert into migration_guard.event (kind, migration, because, phase, term, epoch, guard_id)
              values ('note', 'x', %s, '', 0, 0, '')"""
    for size in (4000, 400, 40, 1):
        with contextlib.suppress(psycopg.errors.DiskFull):
            while True:
                house.database.execute(note, ["x" * size])
