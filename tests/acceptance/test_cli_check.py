"""`check` names every problem in plain words, with what to do, and by the exit code."""

import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from guard.demo.embedded import Cluster
from tests.command import command
from tests.fix_postgres import Database, MakeRole

pytestmark = pytest.mark.acceptance

NOTHING_THERE = """
[guard]
state_directory = "{folder}/file/state"
[database.main]
dsn = "host=127.0.0.1 port=9 dbname=app user=migration_guard password=hush-hush"
standbys = ["replica1"]
[prometheus]
url = "http://127.0.0.1:9"
[[rule]]
name = "checkout errors"
prometheus = "sum(x)"
pause = "> 1% for 30s"
[rollback]
command = ["{folder}/rollback"]
[slack]
webhook_url_file = "{folder}/webhook"
"""


def write(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def configuration(path: Path, database: Database, user: str, more: str = "") -> str:
    dsn = database.dsn(user).replace('"', '\\"')
    text = f'[guard]\nstate_directory = "{path}"\n[database.main]\ndsn = "{dsn}"\nstandbys = ["replica1"]\n{more}\n'
    return write(path / "config.toml", text)


@pytest.fixture
def guard_role(database: Database, make_role: MakeRole) -> Callable[..., str]:
    """A login role that is all that a guard should be, but for what is left out."""

    def make(*without: str) -> str:
        role = make_role("cli_guard")
        assert command("install", "--dsn", database.dsn()).code == 0
        for group in {"migration_guard_guard", "pg_monitor", "pg_signal_backend"} - set(without):
            database.execute(f"grant {group} to {role}".encode())
        return role

    return make


def test_every_problem_of_a_bare_machine_is_named_and_it_exits_3(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    ended = command("check", "-c", write(tmp_path / "config.toml", NOTHING_THERE.format(folder=tmp_path)))
    assert ended.code == 3, ended.said
    problems = [
        line.split(":")[0].removeprefix("problem").strip() for line in ended.out.splitlines() if "problem " in line
    ]
    wanted = ["state directory", "rollback", "database main", 'rule "checkout errors"', "slack"]
    assert [each for each in problems if each in wanted] == wanted, ended.out
    assert ended.out.count("→") >= len(wanted)
    assert "hush-hush" not in ended.said
    assert "Traceback" not in ended.said


def test_the_example_file_names_every_problem_of_a_machine_without_database_hook_and_credential() -> None:
    example = Path(__file__).parents[2] / "config.example.toml"
    ended = command("check", "-c", str(example))
    assert ended.code == 3, ended.said
    for words in (
        "rollback: /etc/migration-guard/rollback: No such file",
        "database main: /etc/migration-guard/db1-password cannot be read",
        "database main: no connection to PostgreSQL",
        'rule "checkout errors": no number',
        'rule "checkout p99": no number',
        "slack: /etc/migration-guard/slack-webhook cannot be read",
    ):
        assert f"problem  {words}" in ended.out, ended.out


def test_a_missing_password_hides_no_other_problem(tmp_path: Path) -> None:
    text = '[database.main]\ndsn = "host=127.0.0.1 port=9"\npassword_file = "nowhere"\nstandbys = []\n'
    ended = command("check", "-c", write(tmp_path / "config.toml", text))
    assert f"database main: {tmp_path}/nowhere cannot be read" in ended.out
    assert "database main: no connection to PostgreSQL" in ended.out


def test_five_mistakes_in_a_file_are_five_lines_and_it_exits_2(tmp_path: Path) -> None:
    path = write(
        tmp_path / "config.toml",
        '[guard]\npoll_interval = 5\nlaese = "10s"\n[database.main]\ndsn = "dbname=app"\nstandbys = "one"\n'
        '[[rule]]\nname = "lag"\nmetric = "replication.lag"\npause = "> 5 for 3s"\n'
        '[rollback]\ncommand = ["rollback"]\n',
    )
    ended = command("check", "-c", path)
    assert ended.code == 2, ended.said
    lines = ended.err.splitlines()
    assert [int(line.removeprefix(f"{path}:").split(":")[0]) for line in lines] == [2, 3, 6, 10, 12], ended.err


def test_a_machine_where_all_is_well_exits_0(
    tmp_path: Path, database: Database, guard_role: Callable[..., str], cluster: Cluster
) -> None:
    cluster.wait_streaming()
    ended = command("check", "-c", configuration(tmp_path, database, guard_role()))
    assert ended.code == 0, ended.said
    assert "standbys streaming: replica1" in ended.out


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("migration_guard_guard", "may not write the guard's tables"),
        ("pg_monitor", "lacks pg_monitor"),
    ],
)
def test_a_missing_right_is_a_problem_with_the_grant_that_mends_it(
    tmp_path: Path, database: Database, guard_role: Callable[..., str], missing: str, words: str
) -> None:
    ended = command("check", "-c", configuration(tmp_path, database, guard_role(missing)))
    assert ended.code == 3
    assert words in ended.out
    assert f"grant {missing} to cli_guard" in ended.out


def test_the_standby_itself_is_refused(tmp_path: Path, cluster: Cluster) -> None:
    standby = Database("postgres", cluster.standby)
    ended = command("check", "-c", configuration(tmp_path, standby, "postgres"))
    assert ended.code == 3
    assert "this server is a standby" in ended.out


def test_a_role_that_also_serves_the_application_is_refused(
    tmp_path: Path, database: Database, guard_role: Callable[..., str], make_role: MakeRole
) -> None:
    role = make_role("cli_migrator")
    config = configuration(tmp_path, database, guard_role(), f'[migrations]\nroles = ["{role}", "nobody_here"]')
    with (
        psycopg.connect(database.dsn(role, application_name="web")),
        psycopg.connect(database.dsn(role, application_name="backfill")),
    ):
        ended = command("check", "-c", config, "--json")
    assert ended.code == 3
    said = [each["what"] for each in json.loads(ended.out) if each["grade"] == "problem"]
    assert said == [
        "role nobody_here of [migrations] does not exist",
        f"role {role} serves backfill, web: every one of them counts as a migration",
    ]


@pytest.mark.fault(68)
def test_a_guard_that_may_do_more_than_its_part_is_warned_of_each_power(
    tmp_path: Path, database: Database, guard_role: Callable[..., str]
) -> None:
    role = guard_role()
    config = configuration(tmp_path, database, role)
    assert "the guard has no use" not in (shipped := command("check", "-c", config).out)
    assert "of the application" not in shipped
    database.execute(f"alter role {role} createrole bypassrls".encode())
    database.execute(f"create table theirs (); grant update on theirs to {role}".encode())
    assert "may change tables of the application (1, such as public.theirs)" in command("check", "-c", config).out
    database.execute(f"alter table theirs owner to {role}; alter schema migration_guard owner to {role}".encode())
    ended = command("check", "-c", config)
    assert "has CREATEROLE, BYPASSRLS, which the guard has no use for" in ended.out
    assert "owns tables of the application (1, such as public.theirs)" in ended.out
    assert "owns the schema migration_guard" in ended.out


@pytest.mark.fault(68)
def test_a_superuser_and_a_publication_for_all_tables_are_warned_of(tmp_path: Path, database: Database) -> None:
    assert command("install", "--dsn", database.dsn()).code == 0
    database.execute("create publication everything for all tables")
    ended = command("check", "-c", configuration(tmp_path, database, "postgres"))
    assert "is a superuser" in ended.out
    assert "publication everything is FOR ALL TABLES" in ended.out
