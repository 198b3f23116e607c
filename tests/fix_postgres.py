"""Fixtures: real servers, and a fresh database for each test.

One primary and one standby serve all tests of a process (each worker of pytest-xdist has its own).
A test that breaks servers makes its own with ``make_cluster``.
"""

import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest
from psycopg import sql
from psycopg.abc import Params, QueryNoTemplate

from guard.demo.embedded import Binaries, Cluster, Server
from tests.choice import CHOICE

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Database:
    """A database of its own on the shared primary; gone after the test."""

    name: str
    server: Server

    def dsn(self, user: str = "postgres", **more: Any) -> str:
        """A connection string to it; every role's password is the server's unless *more* says otherwise."""
        return self.server.dsn(user, self.name, **more)

    def connect(self, user: str = "postgres", **more: Any) -> psycopg.Connection[Row]:
        """A connection in autocommit mode; the caller closes it."""
        return self.server.connect(user, self.name, **more)

    def execute(self, query: QueryNoTemplate, params: Params | None = None) -> list[Row]:
        """One statement as superuser, committed; its rows, or []."""
        return self.server.execute(query, params, dbname=self.name)


class MakeCluster(Protocol):
    """Starts servers that end with the test."""

    def __call__(
        self, standbys: int = 1, *, settings: Mapping[str, str] | None = None, slots: bool = False
    ) -> Cluster: ...


class MakeRole(Protocol):
    """Creates a login role that goes with the test; its password is the server's."""

    def __call__(self, name: str, options: str = "") -> str: ...


@pytest.fixture(scope="session")
def binaries(request: pytest.FixtureRequest) -> Binaries:
    """The server programs in use; without any the test is skipped, and fails in CI."""
    choice = request.config.stash[CHOICE]
    if isinstance(choice, Binaries):
        return choice
    if os.environ.get("CI") == "true":
        pytest.fail(choice)
    pytest.skip(choice)


@pytest.fixture(scope="session")
def cluster(binaries: Binaries) -> Iterator[Cluster]:
    """The shared primary with one standby, replica1. Leave it as you found it."""
    with Cluster.start(standbys=1, binaries=binaries) as cluster:
        yield cluster


@pytest.fixture
def open_tmp() -> Iterator[Path]:
    """A directory that the servers' account can enter too (as root, pytest's own is closed to it)."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def primary(cluster: Cluster) -> Server:
    """The shared primary."""
    return cluster.primary


@pytest.fixture
def standby(cluster: Cluster) -> Iterator[Server]:
    """The shared standby; it replays and streams again after the test, whatever the test did to it."""
    yield cluster.standby
    cluster.standby.start()
    cluster.lag_off()
    cluster.wait_streaming()


@pytest.fixture
def make_cluster(binaries: Binaries) -> Iterator[MakeCluster]:
    """Servers for one test alone, which it may stop, kill, freeze and promote."""
    made: list[Cluster] = []

    def make(standbys: int = 1, *, settings: Mapping[str, str] | None = None, slots: bool = False) -> Cluster:
        made.append(Cluster.start(standbys=standbys, settings=settings, slots=slots, binaries=binaries))
        return made[-1]

    yield make
    for cluster in made:
        cluster.stop("immediate")


@pytest.fixture
def make_role(primary: Server) -> Iterator[MakeRole]:
    """Roles belong to the whole server, so each goes after the test, and what it owns with the databases."""
    made: list[str] = []

    def make(name: str, options: str = "") -> str:
        create = sql.SQL("create role {} login password {} ").format(sql.Identifier(name), primary.password)
        primary.execute(create + sql.SQL(options))
        made.append(name)
        return name

    yield make
    for name in made:
        primary.execute(sql.SQL("drop owned by {}").format(sql.Identifier(name)))
        primary.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


@pytest.fixture
def make_database(primary: Server, make_role: MakeRole) -> Iterator[Callable[..., Database]]:
    """Databases that go with the test: ``make_database(template="...")``.

    It asks for make_role only to be torn down before it: a role that still owns something cannot go.
    """
    made: list[str] = []

    def make(template: str = "template1") -> Database:
        name = f"t_{secrets.token_hex(5)}"
        statement = sql.SQL("create database {} template {}")
        primary.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        made.append(name)
        return Database(name, primary)

    yield make
    for name in made:
        primary.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def database(make_database: Callable[..., Database]) -> Database:
    """A fresh, empty database on the shared primary."""
    return make_database()
