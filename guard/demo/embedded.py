"""An embedded primary with streaming standbys, from nothing, in about a second.

Servers listen on 127.0.0.1 only, with SCRAM and a password made for the run. They do not outlive the process
that started them. Durability is off by default (``fsync = off``): this is for demonstrations and tests.
This file does not know what is shown or tested.
"""

import atexit
import contextlib
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from guard.demo.account import Account, account, clean_environment, new_directory, reachable_prefix
from guard.demo.binaries import Binaries, NoServerBinaries, find_binaries
from guard.demo.reaper import Reaper
from guard.demo.server import Server, ServerFailed
from guard.demo.waiting import wait_for

__all__ = ["Binaries", "Cluster", "NoServerBinaries", "Server", "ServerFailed", "find_binaries"]

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # TCP is the one door, and a socket's path is limited to some 100 bytes
    "fsync": "off",
    "wal_receiver_status_interval": "1s",  # the default of 10 s makes replay_lag 10 s old
    "wal_retrieve_retry_interval": "500ms",  # the default of 5 s is how long a standby stays away after a cut
    "wal_keep_size": "256MB",  # a standby that was down for a while comes back without a slot
    "log_line_prefix": "%m [%p] user=%u app=%a ",
    "log_lock_waits": "on",
}

# A standby refuses to go on with less than its primary had when the files were copied, and that was
# initdb's default; a primary may still be made smaller.
STANDBY_AT_LEAST = {
    "max_connections": 100,
    "max_wal_senders": 10,
    "max_worker_processes": 8,
    "max_locks_per_transaction": 64,
    "max_prepared_transactions": 0,
}


class Cluster:
    """A primary and its standbys, replica1, replica2 and so on; each name is its application_name too.

    Use start(); stop() or the end of the with block ends all servers and deletes the directory where start()
    made it.
    """

    def __init__(self, directory: Path, *, binaries: Binaries, who: Account, made: Sequence[Path]) -> None:
        self.directory = directory
        self.binaries = binaries
        self.password = secrets.token_urlsafe(18)
        self._who = who
        self.made = made  # deleted at the end
        self._reaper = Reaper(directory, who, remove=made)
        self._started_by = os.getpid()
        self.primary = self._server("primary")
        self.standbys: list[Server] = []
        atexit.register(self._stop_at_exit)

    @classmethod
    def start(
        cls,
        directory: Path | None = None,
        *,
        standbys: int = 1,
        settings: Mapping[str, str] | None = None,
        slots: bool = False,
        binaries: Binaries | None = None,
    ) -> Self:
        """Make and start a primary and *standbys* standbys, and wait until all of them stream.

        *directory* keeps data and logs afterwards and must be empty or new; without it a temporary one is
        used and deleted. *settings* are lines of postgresql.conf for all servers. *slots*: each standby
        has a physical replication slot of its own name.

        Raises NoServerBinaries and ServerFailed; PermissionError where the servers' account
        cannot enter *directory*.
        """
        who = account()
        original = binaries or find_binaries()
        prefix, copied = reachable_prefix(original.bin_dir.parent, who)
        usable = Binaries(prefix / original.bin_dir.name, original.version, original.source)
        made = [] if copied is None else [copied]
        if directory is None:
            directory = new_directory(who, "migration-guard-")
            made.append(directory)
        else:
            directory = _prepare(directory.absolute(), who)
        cluster = cls(directory, binaries=usable, who=who, made=made)
        try:
            cluster._build(standbys, settings or {}, slots=slots)
        except BaseException:
            cluster.stop("immediate")
            raise
        return cluster

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def servers(self) -> list[Server]:
        """The primary, then the standbys."""
        return [self.primary, *self.standbys]

    @property
    def standby(self) -> Server:
        """The first standby."""
        return self.standbys[0]

    def wait_streaming(self, within: float = 30.0) -> None:
        """Wait until the primary sees every standby in state ``streaming``."""
        wanted = {standby.name for standby in self.standbys}
        query = "select application_name from pg_stat_replication where state = 'streaming'"
        wait_for(
            lambda: wanted <= {row[0] for row in self.primary.execute(query)},
            within=within,
            message=lambda: f"{sorted(wanted)} to stream:\n" + "\n".join(s.log_text()[-800:] for s in self.standbys),
        )

    def wait_replayed(self, within: float = 30.0) -> None:
        """Wait until every standby has replayed all that the primary has written by now."""
        lsn = self.primary.execute("select pg_current_wal_lsn()")[0][0]
        query = "select pg_last_wal_replay_lsn() >= %s::pg_lsn"
        wait_for(
            lambda: all(standby.execute(query, [lsn])[0][0] for standby in self.standbys),
            within=within,
            message=f"the standbys to replay up to {lsn}",
        )

    def lag_on(self, standby: Server | None = None) -> None:
        """Stop replay on *standby* (the first one): replay lag grows one second a second while WAL comes."""
        (standby or self.standby).pause_replay()

    def lag_off(self, standby: Server | None = None) -> None:
        """End lag_on()."""
        (standby or self.standby).resume_replay()

    def stop(self, mode: str = "fast") -> None:
        """Stop all servers (standbys last, so that they get the last WAL) and delete what start() made."""
        atexit.unregister(self._stop_at_exit)
        for server in self.servers:
            server.stop("immediate" if mode == "immediate" else "fast")
        self._reaper.close()
        for path in self.made:
            shutil.rmtree(path, ignore_errors=True)

    # -- making it -------------------------------------------------------------------------------------

    def _server(self, name: str) -> Server:
        return Server(name, self.directory, binaries=self.binaries, who=self._who, password=self.password)

    def _build(self, standbys: int, settings: Mapping[str, str], *, slots: bool) -> None:
        self._initdb()
        self.primary.configure(self._settings(settings))
        names = [f"replica{n}" for n in range(1, standbys + 1)]
        for name in names:  # cold copies: the primary has never run
            self.standbys.append(self._copy_primary(name, settings, slot=slots))
        self.primary.start()
        for standby in self.standbys:
            standby.follow(self.primary.port, self.primary)
            if slots:
                self.primary.execute("select pg_create_physical_replication_slot(%s, true)", [standby.name])
            standby.start()
        self.wait_streaming()

    def _settings(self, settings: Mapping[str, str]) -> dict[str, str]:
        preload = "pg_stat_statements"
        extra = {"shared_preload_libraries": preload} if self.binaries.has_library(preload) else {}
        return {**SETTINGS, **extra, **settings}

    def _initdb(self) -> None:
        pwfile = self.directory / "pwfile"
        pwfile.touch(mode=0o600)
        self._who.own(pwfile)
        pwfile.write_text(self.password)
        # A database without -E and --locale takes them from the environment: SQL_ASCII under LC_ALL=C.
        locale = "C" if sys.platform == "darwin" else "C.UTF-8"
        try:
            self._run(
                [
                    *(self.binaries.path("initdb"), "-D", str(self.primary.data_dir), "-U", "postgres"),
                    *("-A", "scram-sha-256", "--pwfile", str(pwfile), "-E", "UTF8", f"--locale={locale}"),
                    *("--no-sync", "--no-instructions"),
                ]
            )
        finally:
            pwfile.unlink()

    def _copy_primary(self, name: str, settings: Mapping[str, str], *, slot: bool) -> Server:
        standby = self._server(name)
        self._run(["/bin/cp", "-Rp", str(self.primary.data_dir), str(standby.data_dir)])
        for key, least in STANDBY_AT_LEAST.items():
            if key in settings:
                standby.configure({key: str(max(least, int(settings[key])))})
        if slot:
            standby.configure({"primary_slot_name": name})
        (standby.data_dir / "standby.signal").touch()
        return standby

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.directory,
            env=clean_environment(os.environ),
            text=True,
            check=False,
            **self._who.popen,
        )
        if done.returncode:
            raise ServerFailed(f"{command[0]} failed ({done.returncode}):\n{done.stdout[-2000:]}")

    def _stop_at_exit(self) -> None:
        if os.getpid() == self._started_by:  # not in a forked child
            with contextlib.suppress(Exception):
                self.stop("immediate")


def _prepare(directory: Path, who: Account) -> Path:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise ServerFailed(f"{directory} is not empty")
    who.own(directory)
    if not who.reaches(directory):
        raise PermissionError(f"{directory}: the servers run as uid {who.uid}, who cannot enter it")
    return directory
