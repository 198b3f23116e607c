"""What is known of a tool by its command and its project's files: never more than is true."""

import json
from pathlib import Path

import pytest

from guard.exec.tools import Tool, known

# As drizzle-kit 0.31.11 and psql 18 print it.
APPLIED = "[✓] Pulling schema from database...\x1b[32m[✓] Changes applied\x1b[0m\n"
CANCELLED = """error: canceling statement due to user request
    at node_modules/pg/lib/client.js:631:17 {
  length: 99,
  severity: 'ERROR',
  code: '57014',
  detail: undefined
}
"""


def project(directory: Path, **files: str) -> Path:
    """Files of a project; a `__` in a name is a slash."""
    for name, text in files.items():
        file = directory / name.replace("__", "/").replace("_json", ".json").replace("_dot_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return directory


def scripts(directory: Path, **lines: str) -> Path:
    """A project whose package.json has these scripts; a `__` in a name is a colon."""
    named = {name.replace("__", ":"): line for name, line in lines.items()}
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "package.json").write_text(json.dumps({"name": directory.name, "scripts": named}))
    return directory


def tool(command: str, directory: Path) -> Tool:
    """The tool that is known."""
    found = known(command.split(), directory)
    assert found is not None
    return found


def claims(command: str, directory: Path) -> tuple[bool, bool]:
    """Whether a cancel takes all back, and whether it may be run again."""
    found = tool(command, directory)
    return found.one_transaction, found.repeatable


@pytest.mark.parametrize(
    "command",
    [
        "drizzle-kit push",
        "node_modules/.bin/drizzle-kit push --config=drizzle.config.ts",
        "node --enable-source-maps node_modules/drizzle-kit/bin.cjs push",
        "npx drizzle-kit push",
        "npx --yes drizzle-kit@0.31.11 push --force",
        "npx -p drizzle-kit@0.31.11 -p pg drizzle-kit push",
        "npm exec -- drizzle-kit push",
        "npm run db:push",
        "npm run -s db:push -- --force",
        "npm --prefix . run db:push",
        "pnpm db:push",
        "pnpm run db:push",
        "pnpm -C . db:push",
        "pnpm --dir=. run db:push --force",
        "pnpm exec drizzle-kit push",
        "pnpm drizzle-kit push",
        "pnpm dlx drizzle-kit push",
        "yarn db:push",
        "yarn drizzle-kit push",
        "bun run db:push",
        "bunx drizzle-kit push",
        "env -u X NODE_ENV=production pnpm db:push",
        "nice -n 5 dotenv -e .env -- pnpm db:push",
        "pnpm twice",
        "pnpm after",
    ],
)
def test_push_is_seen_behind_any_wrapper(tmp_path: Path, command: str) -> None:
    scripts(
        tmp_path,
        db__push="drizzle-kit push",
        twice="npm run db:push",
        after="tsc && drizzle-kit generate && pnpm db:push",
    )
    found = tool(command, tmp_path)
    assert (found.name, found.one_transaction, found.repeatable) == (
        "drizzle-kit push",
        False,
        "--force" not in command,
    )
    assert found.failure(0, "") != ""


def test_a_script_is_looked_up_where_the_package_manager_does(tmp_path: Path) -> None:
    scripts(tmp_path, db="pnpm --filter @shop/db run push", cd="cd packages/db && pnpm push")
    inner = scripts(tmp_path / "packages" / "db", push="drizzle-kit push")
    (inner / "package.json").write_text((inner / "package.json").read_text().replace('"db"', '"@shop/db"'))
    (inner / "src").mkdir()
    for command in ("pnpm db", "pnpm cd", "pnpm -C packages/db push", "npm --prefix packages/db run push"):
        assert claims(command, tmp_path) == (False, True), command
    assert claims("pnpm push", inner / "src") == (False, True)
    assert known(["pnpm", "push"], tmp_path) is None


@pytest.mark.parametrize(
    "script",
    [
        "psql -f seed.sql && drizzle-kit migrate",
        "drizzle-kit migrate; ./seed",
        "with-secrets drizzle-kit migrate",
        "./x | drizzle-kit migrate",
    ],
)
def test_what_runs_beside_a_tool_or_cannot_be_followed_takes_every_claim_back(tmp_path: Path, script: str) -> None:
    scripts(tmp_path, db=script)
    assert claims("pnpm db", tmp_path) == (False, False)
    assert tool("pnpm db", tmp_path).history != ""


def test_a_success_that_must_be_said_is_asked_for_although_another_tool_runs_after_it(tmp_path: Path) -> None:
    scripts(tmp_path, db="drizzle-kit push && psql -c 'analyze'", predb="./prepare")
    found = tool("npm run db", tmp_path)
    assert found.failure(0, CANCELLED) != ""
    assert (found.one_transaction, found.repeatable) == (False, False)


def test_what_runs_before_a_script_by_its_name_counts(tmp_path: Path) -> None:
    scripts(tmp_path, predb="./prepare", db="drizzle-kit migrate")
    assert claims("pnpm db", tmp_path) == (False, False)


@pytest.mark.parametrize(
    "command",
    [
        "./migrate.sh",
        "python migrate.py",
        "drizzle-kit generate",
        "drizzle-kit studio",
        "pnpm install",
        "npm run nothing",
        "npm run",
        "sh migrate.sh",
        "alembic current",
        "alembic upgrade head --sql",
        "./manage.py runserver",
        "dbmate status",
        "flyway info",
        "pnpm loop",
        "env",
    ],
)
def test_of_anything_else_nothing_is_said(tmp_path: Path, command: str) -> None:
    scripts(tmp_path, loop="pnpm loop")
    assert known(command.split(), tmp_path) is None


def test_a_line_that_a_shell_would_refuse_is_not_followed(tmp_path: Path) -> None:
    scripts(tmp_path, db="drizzle-kit push 'oops")
    assert known(["pnpm", "db"], tmp_path) is None
    (tmp_path / "package.json").write_text("[")
    assert known(["pnpm", "db"], tmp_path) is None


def test_drizzle_migrate_is_one_transaction_unless_a_file_ends_it_or_none_is_found(tmp_path: Path) -> None:
    assert claims("npx drizzle-kit migrate", tmp_path) == (False, False)
    project(
        tmp_path,
        drizzle_dot_config_dot_ts='export default { out: "./sql" }',
        sql__0000_dot_sql="alter table t add a int;",
    )
    assert claims("npx drizzle-kit migrate", tmp_path) == (True, True)
    project(tmp_path, sql__0001_dot_sql="create function f() returns trigger as $$\nbegin\nend;\n$$ language plpgsql;")
    assert claims("npx drizzle-kit migrate", tmp_path) == (True, True)
    project(tmp_path, sql__0002_dot_sql="alter table t add b int;\nCOMMIT;--> statement-breakpoint")
    assert claims("npx drizzle-kit migrate", tmp_path) == (False, False)


def test_a_file_that_drizzle_would_pass_over_is_named_before_it_runs(tmp_path: Path) -> None:
    entries = [{"when": when, "tag": tag} for when, tag in ((2, "0000_a"), (4, "0001_b"), (3, "0002_c"), (5, "0003_d"))]
    project(tmp_path, drizzle__meta___journal_json=json.dumps({"entries": entries[:2]}))
    assert tool("npx drizzle-kit migrate", tmp_path).warns == ""
    (tmp_path / "drizzle/meta/_journal.json").write_text(json.dumps({"entries": entries}))
    assert tool("npx drizzle-kit migrate", tmp_path).warns.startswith("0002_c: older than a file before it")
    (tmp_path / "drizzle/meta/_journal.json").write_text('{"entries": [{"tag": 1}]}')
    assert tool("npx drizzle-kit migrate", tmp_path).warns == ""


def test_alembic_is_one_transaction_where_its_files_can_be_read_and_say_nothing_else(tmp_path: Path) -> None:
    assert claims("alembic upgrade head", tmp_path) == (False, False)
    project(
        tmp_path, alembic_dot_ini="[alembic]\nscript_location = %(here)s/db\n", db__env_dot_py="context.configure()"
    )
    assert claims("alembic upgrade head", tmp_path) == (True, True)
    assert claims("python3.12 -m alembic -c alembic.ini upgrade head", tmp_path) == (True, True)
    assert claims("poetry run alembic upgrade +1", tmp_path) == (True, False)
    project(tmp_path, db__env_dot_py="context.configure(transaction_per_migration=True)")
    assert claims("uv run alembic upgrade head", tmp_path) == (False, True)
    project(tmp_path, db__versions__1_dot_py="with op.get_context().autocommit_block():")
    assert claims("alembic upgrade head", tmp_path) == (False, False)


def test_django_and_dbmate_may_be_run_again_unless_a_file_takes_its_transaction_away(tmp_path: Path) -> None:
    project(tmp_path, shop__migrations__1_dot_py="class Migration: ...", db__migrations__1_dot_sql="-- migrate:up")
    for command in ("python manage.py migrate shop", "./manage.py migrate", "django-admin migrate", "dbmate --wait up"):
        assert claims(command, tmp_path) == (False, True), command
    project(
        tmp_path,
        shop__migrations__2_dot_py="atomic = False",
        db__migrations__2_dot_sql="-- migrate:up transaction:false",
    )
    for command in ("python manage.py migrate shop", "dbmate -d db/migrations up"):
        assert claims(command, tmp_path) == (False, False), command


def test_where_their_files_are_not_found_nothing_is_claimed_of_django_and_dbmate(tmp_path: Path) -> None:
    for command in ("python manage.py migrate", "dbmate up", "dbmate -d elsewhere up"):
        assert claims(command, tmp_path) == (False, False), command
    project(tmp_path, src__apps__shop__migrations__1_dot_py="class Migration: atomic = False")
    project(tmp_path, shop__migrations__1_dot_py="class Migration: ...")
    assert claims("django-admin migrate", tmp_path) == (False, False)


def test_flyway_may_be_run_again_and_never_with_clean(tmp_path: Path) -> None:
    assert claims("flyway -url=jdbc:x migrate", tmp_path) == (False, True)
    assert tool("flyway migrate", tmp_path).refuses == ""
    assert "drops every object" in tool("flyway clean migrate", tmp_path).refuses


@pytest.mark.parametrize(
    ("arguments", "together", "warned"),
    [
        ("-f a.sql", False, True),
        ("-1f a.sql", True, True),
        ("-X -v ON_ERROR_STOP=1 --single-transaction --file=a.sql", True, False),
        ("-v ON_ERROR_STOP=off -1 -f a.sql", True, True),
        ("-1 -f set.sql", True, False),
        ("-1 -v ON_ERROR_ROLLBACK=on -f a.sql", False, True),
        ("-1 -f commits.sql", False, True),
        ("-1 -f missing.sql", False, True),
        ("-1", False, True),
        ("-c analyze", True, False),
        ("-c vacuum", False, False),
        ("-c analyze -c analyze", False, True),
        ("--no-such-option", False, True),
    ],
)
def test_psql_is_one_transaction_where_it_is_told_so_and_its_script_keeps_to_it(
    tmp_path: Path, arguments: str, together: bool, warned: bool
) -> None:
    project(
        tmp_path, a_dot_sql="select 1;", set_dot_sql="\\set ON_ERROR_STOP on\n", commits_dot_sql="select 1; commit;"
    )
    found = tool(f"psql postgresql://h/d {arguments}", tmp_path)
    assert (found.one_transaction, found.repeatable, bool(found.warns)) == (together, False, warned)


def test_the_exit_code_0_of_push_is_not_believed(tmp_path: Path) -> None:
    push = tool("npx drizzle-kit push", tmp_path)
    assert push.failure(0, APPLIED) == ""
    assert push.failure(0, "[i] No changes detected\n") == ""
    assert push.failure(0, CANCELLED) == (
        "drizzle-kit push ended with exit code 0, but did not say “[✓] Changes applied” or “No changes detected”; "
        "it said: canceling statement due to user request (SQLSTATE 57014)"
    )
    assert push.failure(0, "").endswith("“No changes detected”")


def test_an_error_that_psql_goes_on_after_is_a_failure(tmp_path: Path) -> None:
    psql = tool("psql -f a.sql", tmp_path)
    said = "psql:a.sql:1: ERROR:  canceling statement due to user request\nCREATE TABLE\n"
    assert psql.failure(0, said).endswith("but said: psql:a.sql:1: ERROR:  canceling statement due to user request")
    assert psql.failure(0, "CREATE TABLE\n") == ""
    assert "canceling" in psql.failure(3, said)


def test_a_failure_is_told_with_what_the_tool_said_or_that_it_said_nothing(tmp_path: Path) -> None:
    migrate = tool("npx drizzle-kit migrate", tmp_path)
    assert migrate.failure(0, "") == ""
    assert migrate.failure(1, "") == "drizzle-kit migrate ended with exit code 1, and said no reason"
    assert migrate.failure(-15, "") == "drizzle-kit migrate was ended by SIGTERM"
    assert migrate.failure(1, "  code: '55P03',\n").endswith("exit code 1: SQLSTATE 55P03")
    terminated = "      throw er; // Unhandled\n\nError: Connection terminated unexpectedly\n    at Socket\n"
    assert migrate.failure(1, terminated).endswith("exit code 1: Connection terminated unexpectedly")
    refused = migrate.failure(1, "Error: cannot reach postgresql://migrator:s3cret@db1/app\n")
    assert "postgresql://migrator@db1/app" in refused
    assert len(migrate.failure(1, "error: " + "x" * 10_000)) < 300


def test_what_push_does_with_data_is_said_before_it_runs(tmp_path: Path) -> None:
    assert "it asks" in tool("npx drizzle-kit push", tmp_path).warns
    assert "without a question" in tool("npx drizzle-kit push --force", tmp_path).warns
