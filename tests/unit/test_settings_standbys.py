"""`[database.NAME.standby_dsns]`: what is read, what is kept secret, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard.errors import ConfigError, WorldError
from guard.masking import mask
from guard.settings import DatabaseSettings, Settings, asked_standbys, load

HEAD = """
[database.main]
dsn = "host=db1"
standbys = ["replica1", "replica2"]
password_file = "password"
[database.main.standby_dsns]
replica2 = "host=db3 dbname=app user=migration_guard"
"""
LAG = '[[rule]]\nname = "lag"\nmetric = "replication.lag"\npause = "> 5s"\n'
QUEUE = '[[rule]]\nname = "queue"\nmetric = "locks.queued_behind_migration"\ncancel = ">= 3"\n'


def read(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "guard.toml"
    path.touch(mode=0o600)
    path.write_text(text)
    return load(path)


def only(tmp_path: Path, text: str) -> DatabaseSettings:
    (database,) = read(tmp_path, text).databases
    return database


def test_the_password_of_the_database_serves_a_standby_that_has_none_of_its_own(tmp_path: Path) -> None:
    database = only(tmp_path, f'{HEAD}replica1 = "host=db2 password=of-its-own"\n')
    with pytest.raises(WorldError, match="cannot be read"):
        database.standby_conninfo("replica2")
    (tmp_path / "password").write_text("of-the-database")
    assert "password=of-the-database" in database.standby_conninfo("replica2")
    assert "password=of-its-own" in database.standby_conninfo("replica1")
    assert "of-its-own" not in repr(database)
    assert mask("of-its-own of-the-database") == "*** ***"


def test_a_password_in_a_file_that_others_can_read_is_pointed_out(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    path = tmp_path / "guard.toml"
    path.write_text(HEAD + 'replica1 = "postgresql://guard:canary@db2/app"\n' + LAG)
    path.chmod(0o644)
    (warning,) = load(path).warnings
    assert (warning.key, warning.line) == ("database.main.standby_dsns.replica1", 8)
    assert "password_file serves standbys too" in warning.message
    assert "canary" not in warning.message


@pytest.mark.parametrize(
    ("standbys", "rules", "asked"),
    [
        ('["replica1", "replica2"]', LAG, ("replica2",)),
        ('["replica1"]', LAG, ()),
        ("2", LAG, ("replica2",)),
        ("0", LAG, ()),
        ("[]", LAG + 'select = { standby = "replica2" }\n', ("replica2",)),
        ('["replica1", "replica2"]', QUEUE, ()),
    ],
)
def test_who_counts_nowhere_is_not_asked_and_that_is_told(
    tmp_path: Path, standbys: str, rules: str, asked: tuple[str, ...]
) -> None:
    settings = read(tmp_path, HEAD.replace('["replica1", "replica2"]', standbys) + rules)
    assert asked_standbys(settings.databases[0], settings.rules) == asked
    told = [each.key for each in settings.warnings if "is not asked" in each.message]
    assert told == ([] if asked else ["database.main.standby_dsns.replica2"])


@pytest.mark.parametrize(
    ("line", "key", "message"),
    [
        ("replica1 = 3", ".replica1", "connection string of one standby, in quotes"),
        ('replica1 = ""', ".replica1", "connection string of one standby, in quotes"),
        ('replica1 = "what is this"', ".replica1", "must be a connection string"),
        ('replica1 = "host=db2,db3"', ".replica1", "must lead to one host"),
        ('replica1 = "postgresql://guard:pass@word@db2/app"', ".replica1", "not percent-encoded"),
        ('"re\\u0007plica" = "host=db2"', ".re?plica", "is no application_name"),
    ],
)
def test_a_wrong_one_is_told_with_its_line_and_nothing_of_it(tmp_path: Path, line: str, key: str, message: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        read(tmp_path, HEAD + line)
    (found,) = wrong.value.problems
    assert (found.line, found.key) == (8, f"database.main.standby_dsns{key}")
    assert message in found.message
    assert "pass@word" not in str(found)


def test_they_are_a_table(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as wrong:
        read(tmp_path, '[database.main]\ndsn = "host=db1"\nstandbys = []\nstandby_dsns = "host=db2"\n')
    (found,) = wrong.value.problems
    assert (found.line, found.key) == (4, "database.main.standby_dsns")
