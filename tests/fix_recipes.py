"""Fixtures: a guard that serves all recipes of a module, and a new table for each of them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard.act.install import DBA_LINES, install
from guard.demo.embedded import Cluster
from tests.acceptance.beside import Beside
from tests.acceptance.house import LAG, LOAD, QUEUE, House
from tests.fix_http import Endpoint
from tests.fix_postgres import Database
from tests.slack_server import slack_server

ROLES = {"guard_login": "migration_guard_guard", "migrator": "migration_guard_client", "shop": ""}
"""Who logs in, and what is granted to them."""


@pytest.fixture(scope="module")
def shared_database(cluster: Cluster) -> Iterator[Database]:
    """A database for a whole module, with the roles that are shipped and one of an application."""
    database = Database(f"t_{secrets.token_hex(5)}", cluster.primary)
    primary = cluster.primary
    primary.execute(f"create database {database.name}".encode())
    install(database.dsn())
    for role, group in ROLES.items():
        primary.execute(f"create role {role} login password '{primary.password}'".encode())
        if group:
            primary.execute(f"grant {group} to {role}".encode())
    for line in DBA_LINES:
        primary.execute(line.encode())
    yield database
    primary.execute(b"revoke pg_monitor, pg_signal_backend from migration_guard_guard")
    primary.execute(f"drop database {database.name} with (force)".encode())
    for role in ROLES:
        primary.execute(f"drop role {role}".encode())


@pytest.fixture(scope="module")
def guarded(shared_database: Database, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beside]:
    """The daemon, which pauses for the standby's lag and for the application's load, and cancels for a lock queue."""
    endpoint = Endpoint()
    with slack_server() as slack:
        house = House(shared_database, tmp_path_factory.mktemp("house"), endpoint, slack)
        house.rules, house.standbys = LAG + LOAD + QUEUE, f'["{cluster.standby.name}"]'
        house.load(0)
        house.serve()
        yield Beside(house, cluster.standby, cluster.binaries.bin_dir)
        house.close()
    endpoint.close()


@pytest.fixture
def beside(guarded: Beside, tmp_path: Path) -> Iterator[Beside]:
    """A place to run a recipe: the module's guard, and a table and a directory of its own."""
    guarded.renew(tmp_path)
    yield guarded
    guarded.close()
