"""One PostgreSQL server on loopback: made, started, stopped, killed, frozen, asked.

Its connections are checked to reach *this* server, since a left-over one may hold the port.
This file knows nothing of replication but the commands that a standby understands.
"""

import contextlib
import os
import random
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import psycopg
from psycopg import conninfo
from psycopg.abc import Params, QueryNoTemplate

from guard.demo.account import Account, clean_environment
from guard.demo.binaries import Binaries
from guard.demo.waiting import wait_for
from guard.errors import WorldError

Row = tuple[Any, ...]

_STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}


class ServerFailed(WorldError):
    """A server program failed or a server did not come up; the message ends with its log."""


def free_port() -> int:
    """A TCP port that nobody listens on.

    Below 32768, where Linux and macOS take no ports for outgoing connections: so a server that is
    stopped for a while finds its port still free.
    """
    for _ in range(200):
        port = random.randint(20000, 32000)  # noqa: S311 - not a secret
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise ServerFailed("no free TCP port between 20000 and 32000 on 127.0.0.1")


class Server:
    """One server, whose data directory *directory/name* exists already (see Cluster.start).

    *password* is that of ``postgres`` and serves as the default for every role in dsn(). The log is
    *directory/name.log*.
    """

    def __init__(self, name: str, directory: Path, *, binaries: Binaries, who: Account, password: str) -> None:
        self.name = name
        self.data_dir = directory / name
        self.log_file = directory / f"{name}.log"
        self.password = password
        self.port = free_port()
        self._binaries = binaries
        self._who = who
        self._process: subprocess.Popen[bytes] | None = None
        self._frozen: set[int] = set()
        self._was_up = False

    def __repr__(self) -> str:
        return f"<Server {self.name} port={self.port} pid={self._process and self._process.pid}>"

    # -- talking to it ---------------------------------------------------------------------------------

    def dsn(self, user: str = "postgres", dbname: str = "postgres", **more: Any) -> str:
        """A connection string over TCP; *more* are further libpq parameters (password, application_name)."""
        return conninfo.make_conninfo(
            host="127.0.0.1", port=self.port, user=user, dbname=dbname, **{"password": self.password, **more}
        )

    def connect(self, user: str = "postgres", dbname: str = "postgres", **more: Any) -> psycopg.Connection[Row]:
        """A new connection in autocommit mode; the caller closes it."""
        # client_encoding: under PGCLIENTENCODING=SQL_ASCII psycopg returns bytes for text.
        defaults = {"connect_timeout": 5, "client_encoding": "UTF8"}
        return psycopg.connect(self.dsn(user, dbname, **{**defaults, **more}), autocommit=True)

    def execute(self, query: QueryNoTemplate, params: Params | None = None, *, dbname: str = "postgres") -> list[Row]:
        """Run one statement as superuser in autocommit mode on a connection of its own; its rows, or []."""
        with self.connect(dbname=dbname, application_name="embedded") as connection:
            cursor = connection.execute(query, params)
            return cursor.fetchall() if cursor.description else []

    def log_text(self) -> str:
        """All that the server has logged since it was made."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    # -- its life --------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """The postmaster's process id. Raises ServerFailed while the server is down."""
        if not self.running or self._process is None:
            raise ServerFailed(f"{self.name} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the postmaster lives (frozen or not)."""
        return self._process is not None and self._process.poll() is None

    def configure(self, settings: Mapping[str, str]) -> None:
        """Append *settings* to postgresql.conf (the last one counts); reload or restart is the caller's."""
        with (self.data_dir / "postgresql.conf").open("a") as conf:
            for key, value in settings.items():
                quoted = str(value).replace("'", "''")
                conf.write(f"{key} = '{quoted}'\n")

    def start(self, within: float = 60.0) -> None:
        """Start it and wait until it answers as *this* server. Does nothing where it runs.

        A killed standby has to replay first what it had. Raises ServerFailed, with the end of its log.
        """
        if self.running:
            return
        wait_for(
            lambda: self._launch(within),
            within=within,
            every=0.2,
            message=lambda: f"{self.name} to start; its log ends:\n{self._log_tail()}",
        )

    def _launch(self, within: float) -> bool:
        """One attempt; False where trying again helps: the port was taken, a killed server's children still end."""
        seen = len(self.log_text())
        self.configure({"port": str(self.port)})
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [self._binaries.path("postgres"), "-D", str(self.data_dir)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.data_dir.parent,  # ours may be closed to the server's account
                env=clean_environment(os.environ),
                start_new_session=True,  # Ctrl-C in the terminal is not for the server
                **self._who.popen,
            )
        ours = False
        with contextlib.suppress(TimeoutError):
            wait_for(lambda: not self.running or self._is_ours(), within=within, ignoring=(psycopg.Error,))
            ours = self.running
        if ours:
            self._was_up = True
            return True
        log_text = self.log_text()[seen:]
        if not self.running and "Address already in use" in log_text and not self._was_up:
            self.port = free_port()  # somebody was quicker; nobody has been told of the port yet
        elif self.running or "pre-existing shared memory block" not in log_text:
            self.stop("immediate")
            raise ServerFailed(f"{self.name} did not start; its log ends:\n{self._log_tail()}")
        return False

    def _is_ours(self) -> bool:
        query = "select current_setting('data_directory'), split_part(pg_read_file('postmaster.pid'), E'\\n', 1)"
        data_dir, pid = self.execute(query)[0]
        return Path(data_dir) == self.data_dir and self._process is not None and int(pid) == self._process.pid

    def _log_tail(self) -> str:
        return "\n".join(self.log_text().splitlines()[-15:])

    def stop(self, mode: Literal["smart", "fast", "immediate"] = "fast", within: float = 30.0) -> None:
        """Stop it as pg_ctl would, frozen processes thawed first; killed where *within* seconds pass."""
        if self._process is None:
            return
        self._thaw_all()
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(_STOP_SIGNALS[mode])
        try:
            self._process.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL to the postmaster, as a crash of the machine's kind; its children follow by themselves."""
        if self._process is None:
            return
        self._thaw_all()
        self._process.kill()
        self._process.wait(30)

    def restart(self, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
        """Stop in *mode*, then start on the same port."""
        self.stop(mode)
        self.start()

    # -- faults ----------------------------------------------------------------------------------------

    def freeze(self, pid: int | None = None) -> None:
        """SIGSTOP the postmaster, or the server process *pid*: the kernel goes on acknowledging for it."""
        frozen = self.pid if pid is None else pid
        os.kill(frozen, signal.SIGSTOP)
        self._frozen.add(frozen)

    def thaw(self, pid: int | None = None) -> None:
        """SIGCONT what freeze() stopped; no harm where it was not stopped or has ended."""
        thawed = self.pid if pid is None else pid
        self._frozen.discard(thawed)
        with contextlib.suppress(ProcessLookupError):
            os.kill(thawed, signal.SIGCONT)

    @contextlib.contextmanager
    def frozen(self, pid: int | None = None) -> Iterator[None]:
        """freeze() for the length of a with block."""
        stopped = self.pid if pid is None else pid
        self.freeze(stopped)
        try:
            yield
        finally:
            self.thaw(stopped)

    def _thaw_all(self) -> None:
        for pid in tuple(self._frozen):
            self.thaw(pid)

    # -- what a standby understands --------------------------------------------------------------------

    def in_recovery(self) -> bool:
        """Whether this is a standby now."""
        return bool(self.execute("select pg_is_in_recovery()")[0][0])

    def pause_replay(self) -> None:
        """Stop replaying WAL and wait until it has stopped; WAL still arrives."""
        self.execute("select pg_wal_replay_pause()")
        wait_for(
            lambda: self.execute("select pg_get_wal_replay_pause_state()")[0][0] == "paused",
            message=f"{self.name} to stop replaying",
        )

    def resume_replay(self) -> None:
        """Go on replaying WAL."""
        self.execute("select pg_wal_replay_resume()")

    def promote(self) -> None:
        """Make this standby a primary of its own timeline, and wait until it is one."""
        self.execute("select pg_promote(true, 30)")
        wait_for(lambda: not self.in_recovery(), message=f"{self.name} to be promoted")

    def follow(self, port: int, upstream: "Server") -> None:
        """Have this standby fetch its WAL from *port* with *upstream*'s password (a proxy, say)."""
        self.configure({"primary_conninfo": primary_conninfo(port, self.name, upstream.password)})
        if self.running:
            self.execute("select pg_reload_conf()")

    def walreceiver_pid(self) -> int:
        """The process that receives WAL; waits for it. For freeze()."""
        query = "select pid from pg_stat_wal_receiver where pid is not null"
        return int(wait_for(lambda: self.execute(query), message=f"a walreceiver on {self.name}")[0][0])


def primary_conninfo(port: int, name: str, password: str) -> str:
    """How the standby *name* reaches its primary; *name* becomes its application_name there."""
    return conninfo.make_conninfo(
        host="127.0.0.1",
        port=port,
        user="postgres",
        password=password,
        application_name=name,
        connect_timeout=5,
    )
