"""Fixtures of the acceptance tests: a house with the roles that are shipped."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guard.act.install import DBA_LINES, install
from guard.demo.embedded import Cluster, Server
from guard.demo.proxy import Proxy
from tests.acceptance.house import LAG, LOAD, House
from tests.acceptance.scenario import Play
from tests.fix_http import Endpoint
from tests.fix_matrix import Took
from tests.fix_postgres import Database, MakeCluster, MakeRole
from tests.slack_server import SlackServer, slack_server

Alone = Callable[..., tuple[House, Cluster]]


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    """A server in Slack's place."""
    with slack_server() as server:
        yield server


@pytest.fixture
def roles(database: Database, make_role: MakeRole) -> Iterator[None]:
    """The guard's and the migration's login, with no more than what is shipped gives them."""
    install(database.dsn())
    make_role("guard_login")
    make_role("migrator")
    for line in (*DBA_LINES, "grant migration_guard_guard to guard_login", "grant migration_guard_client to migrator"):
        database.execute(line.encode())
    yield
    database.execute("revoke pg_monitor, pg_signal_backend from migration_guard_guard")


@pytest.fixture
def house(database: Database, roles: None, tmp_path: Path, endpoint: Endpoint, slack: SlackServer) -> Iterator[House]:
    """A database with a table to be migrated; the daemon is not started yet."""
    house = House(database, tmp_path, endpoint, slack)
    house.furnish()
    yield house
    house.close()


@pytest.fixture
def alone(make_cluster: MakeCluster, tmp_path: Path, endpoint: Endpoint, slack: SlackServer) -> Iterator[Alone]:
    """``alone(standbys, **settings)``: a house on servers of its own, for faults that hit a whole server."""
    houses: list[tuple[House, Cluster]] = []

    def make(standbys: int = 0, **settings: str) -> tuple[House, Cluster]:
        cluster = make_cluster(standbys, settings=settings)
        primary = cluster.primary
        install(primary.dsn())
        for role, group in (("guard_login", "guard"), ("migrator", "client")):
            primary.execute(f"create role {role} login password '{primary.password}'".encode())
            primary.execute(f"grant migration_guard_{group} to {role}".encode())
        for line in DBA_LINES:
            primary.execute(line.encode())
        house = House(Database("postgres", primary), tmp_path, endpoint, slack)
        house.furnish()
        houses.append((house, cluster))
        return houses[-1]

    yield make
    for house, _ in houses:
        house.close()


@pytest.fixture
def play(
    house: House, cluster: Cluster, standby: Server, make_proxy: Callable[[int], Proxy], took: Took
) -> Iterator[Play]:
    """A scenario with a guard that watches the standby's lag and the application's load; nothing is started yet."""
    house.rules, house.standbys = LAG + LOAD, f'["{standby.name}"]'
    play = Play(house, cluster, make_proxy, took)
    yield play
    play.close()
