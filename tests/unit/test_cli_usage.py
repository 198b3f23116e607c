"""Usage errors exit 2 and say what is allowed; the commands load what they need when they are called."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import command


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pause", "x"], "--reason"),
        (["pause", "x", "--reason", "y", "--for", "5", "--dsn", "dbname=x"], "a bare number has no unit"),
        (["override", "x", "--dsn", "dbname=x"], "say why"),
        (["status", "-c", "/nonexistent/config.toml"], "/nonexistent/config.toml"),
        (["status", "--dsn", "no connection string"], "--dsn must be a connection string"),
        (["alert"], "--test"),
        (["backfill", "x", "--table", "t", "--set", "n = 1", "--batch-time", "5s"], "at most 2 s"),
        (["backfill", "x", "--table", "t", "--set", "n = 1", "--on-guard-lost", "hope"], "wait, proceed or fail"),
        (["exec", "--table", "users", "--", "true"], "such as public.users"),
        (["exec", "--backoff", "5m..5s", "--", "true"], "from the shorter to the longer"),
        (["watch", "--dsn", "dbname=x", "--interval", "500ms"], "1s or longer"),
        (["frobnicate"], "No such command"),
    ],
)
def test_wrong_usage_exits_2_and_says_why(arguments: list[str], words: str) -> None:
    ended = command(*arguments)
    assert ended.code == 2, ended.said
    assert words in ended.err


def test_a_password_that_spills_into_the_address_of_a_command_is_not_shown() -> None:
    ended = command("exec", "--", "true", environment={"DATABASE_URL": "postgres://u:pa@geheim@h/db"})
    assert ended.code == 2
    assert "DATABASE_URL is a URL whose password is not percent-encoded" in ended.err
    assert "geheim" not in ended.said


def test_the_version_is_said() -> None:
    ended = command("--version")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.strip()


def test_several_databases_are_listed_where_one_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        '[database.one]\ndsn = "dbname=a"\nstandbys = []\n[database.two]\ndsn = "dbname=b"\nstandbys = []\n'
    )
    ended = command("pause", "x", "--reason", "y", "-c", str(path))
    assert ended.code == 2
    assert "one, two" in ended.err


def test_knowing_the_commands_loads_neither_pydantic_nor_the_driver() -> None:
    script = "import sys; import guard.cli.app; print(sorted({'pydantic', 'psycopg', 'httpx'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
