"""Commands with several hosts in the connection string: they find the primary, and `check` says what each host is."""

import json
from pathlib import Path

import pytest

from guard.demo.embedded import Cluster, Server
from guard.demo.server import free_port
from tests.command import command
from tests.fix_postgres import Database, MakeCluster

pytestmark = pytest.mark.acceptance


def dsn(database: Database, *ports: int) -> str:
    hosts = ",".join("127.0.0.1" for _ in ports)
    listed, password = ",".join(map(str, ports)), database.server.password
    return f"host={hosts} port={listed} user=postgres password={password} dbname={database.name}"


def configuration(path: Path, conninfo: str) -> str:
    file = path / "config.toml"
    file.touch(mode=0o600)
    file.write_text(
        f'[guard]\nstate_directory = "{path}"\n[database.main]\ndsn = "{conninfo}"\nstandbys = ["replica1"]'
    )
    return str(file)


def remarks(path: Path, conninfo: str) -> list[tuple[str, str]]:
    """Grade and words of what `check` says of the database."""
    said = json.loads(command("check", "--json", "-c", configuration(path, conninfo)).out)
    return [(each["grade"], each["what"]) for each in said if each["place"] == "database main"]


def test_check_names_each_host_with_its_role_and_timeline(
    database: Database, cluster: Cluster, standby: Server, tmp_path: Path
) -> None:
    cluster.wait_replayed()
    installed = command("install", "--dsn", dsn(database, standby.port, cluster.primary.port))
    assert "schema migration_guard made" in installed.out, installed.said
    cluster.wait_replayed()
    nobody, primary = free_port(), cluster.primary.port
    found = remarks(tmp_path, dsn(database, nobody, standby.port, primary))
    assert ("fine", f"host 127.0.0.1:{standby.port} is a standby, timeline 1") in found
    assert ("fine", f"host 127.0.0.1:{primary} is a primary, timeline 1") in found
    (refused,) = [words for grade, words in found if grade == "warning" and f"host 127.0.0.1:{nobody}: " in words]
    assert "Connection refused" in refused
    assert any(words.startswith("PostgreSQL ") for _, words in found)  # and all else is checked on the primary
    assert any("schema migration_guard is there" in words for _, words in found)
    status = command("status", "--dsn", dsn(database, standby.port, primary))
    assert "is a standby" not in status.said


@pytest.mark.fault(21)
def test_check_and_status_say_that_no_host_is_a_primary(database: Database, standby: Server, tmp_path: Path) -> None:
    words = f"no host leads: 127.0.0.1:{standby.port} is a standby; 127.0.0.1:{standby.port} is a standby"
    found = remarks(tmp_path, dsn(database, standby.port, standby.port))
    assert any(grade == "problem" and words in what for grade, what in found), found
    ended = command("status", "--dsn", dsn(database, standby.port, standby.port))
    assert ended.code == 3
    assert words in ended.said


@pytest.mark.fault(19)
def test_check_finds_two_primaries_and_a_host_of_another_cluster(make_cluster: MakeCluster, tmp_path: Path) -> None:
    cluster, other = make_cluster(1), make_cluster(0).primary
    other.execute(f"alter user postgres password '{cluster.password}'".encode())
    old, new = cluster.primary, cluster.standby
    new.promote()
    found = remarks(tmp_path, dsn(Database("postgres", old), other.port, old.port, new.port))
    names = f"127.0.0.1:{old.port} (timeline 1), 127.0.0.1:{new.port} (timeline 2)"
    assert ("problem", f"2 hosts say that they are the primary: {names}") in found
    assert any(f"host 127.0.0.1:{other.port} belongs to another cluster" in words for _, words in found)
