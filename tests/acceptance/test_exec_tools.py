"""What is known of Alembic, Django and dbmate, held against these tools themselves."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard.demo.embedded import Binaries
from tests.acceptance.processes import ROOT, Process
from tests.executing import QUICK, Bench, benched
from tests.fix_postgres import Database
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance

HELD = "select pg_sleep(case when exists (select from hold) then 60 else 0 end)"
ALEMBIC = {
    "alembic.ini": "[alembic]\nscript_location = %(here)s/revisions\n",
    "revisions/env.py": """
from alembic import context
from sqlalchemy import create_engine, pool

with create_engine("postgresql+psycopg://", poolclass=pool.NullPool).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
""",
    "revisions/versions/one.py": """
from alembic import op

revision, down_revision = "one", None


def upgrade():
    op.execute("create table alembic_one ()")
""",
    "revisions/versions/two.py": f"""
from alembic import op

revision, down_revision = "two", "one"


def upgrade():
    op.execute("create table alembic_two ()")
    op.execute("{HELD}")
""",
}
DJANGO = {
    "manage.py": """
import os
import sys

from django.conf import settings
from django.core.management import execute_from_command_line

given = {key: os.environ["PG" + key] for key in ("HOST", "PORT", "USER", "PASSWORD")}
database = {"ENGINE": "django.db.backends.postgresql", "NAME": os.environ["PGDATABASE"], **given}
settings.configure(INSTALLED_APPS=["shop"], DATABASES={"default": database})
execute_from_command_line(sys.argv)
""",
    "shop/__init__.py": "",
    "shop/migrations/__init__.py": "",
    "shop/migrations/0001_one.py": """
from django.db import migrations


class Migration(migrations.Migration):
    operations = [migrations.RunSQL("create table django_one ()")]
""",
    "shop/migrations/0002_two.py": f"""
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_one")]
    operations = [migrations.RunSQL("create table django_two ()"), migrations.RunSQL("{HELD}")]
""",
}
DBMATE = {
    "db/migrations/1_one.sql": "-- migrate:up\ncreate table dbmate_one ();\n-- migrate:down\n",
    "db/migrations/2_two.sql": f"-- migrate:up\ncreate table dbmate_two ();\n{HELD};\n-- migrate:down\n",
}
COMMANDS = {
    "alembic": [sys.executable, "-m", "alembic", "upgrade", "head"],
    "django": [sys.executable, "manage.py", "migrate", "--no-input"],
    "dbmate": ["dbmate", "--no-dump-schema", "migrate"],
}
LEFT = {"alembic": [], "django": ["django_one"], "dbmate": ["dbmate_one"]}
"""What is there after a cancel: of Alembic nothing, since it is one transaction; of the others the first migration."""
WHOLE = {tool: [f"{tool}_one", f"{tool}_two"] for tool in COMMANDS}


@pytest.fixture
def bench(database: Database, binaries: Binaries, tmp_path: Path) -> Iterator[Bench]:
    """A guard that orders what the test says, and a project of each tool."""
    for path, text in {**ALEMBIC, **DJANGO, **DBMATE}.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    with benched(database, binaries, tmp_path) as bench:
        yield bench


def start(bench: Bench, tool: str) -> Process:
    """The tool under guard in its project, by its own name; it finds the server as it usually does."""
    given = bench.environment
    url = "postgres://{PGUSER}:{PGPASSWORD}@{PGHOST}:{PGPORT}/{PGDATABASE}?sslmode=disable".format(**given)
    path = f"{sysconfig.get_path('scripts')}:/usr/bin:/bin"
    guarded = [sys.executable, "-m", "guard", "exec", "--name", tool, *QUICK, "--", *COMMANDS[tool]]
    process = Process(
        ["sh", "-c", 'cd "$0" && exec "$@"', str(bench.directory), *guarded],
        bench.directory / f"{tool}.log",
        {**given, "PYTHONPATH": str(ROOT), "PATH": path, "DATABASE_URL": url},
    )
    bench.processes.append(process)
    return process


def there(bench: Bench, tool: str) -> list[str]:
    """The tables of a tool."""
    query = "select relname::text from pg_class where relkind = 'r' and relname like %s order by 1"
    return [row[0] for row in bench.database.execute(query, [f"{tool}\\_%o%"]) if row[0] in WHOLE[tool]]


def at_work(bench: Bench) -> set[str]:
    """The tools that wait in their second migration, by the name that their sessions bear."""
    query = "select application_name from pg_stat_activity where wait_event = 'PgSleep' and query like '%from hold%'"
    return {row[0].removeprefix("migration:") for row in bench.database.execute(query)}


def test_a_cancel_leaves_what_is_known_of_the_tool_and_the_next_try_does_the_rest(bench: Bench) -> None:
    bench.database.execute("insert into hold default values")
    running = {tool: start(bench, tool) for tool in COMMANDS}

    def said() -> str:
        return "\n".join(process.text()[-2000:] for process in running.values())

    wait_for(lambda: at_work(bench) == set(COMMANDS), within=40, message=lambda: f"{at_work(bench)} only:\n{said()}")
    bench.guard.say("pause")
    wait_for(lambda: not at_work(bench), within=30, message=said)
    for process in running.values():
        process.wait_says("try 1 of 10 did not get through", within=30)
    assert {tool: there(bench, tool) for tool in COMMANDS} == LEFT
    bench.database.execute("delete from hold")
    bench.guard.say("proceed")
    for process in running.values():
        assert process.wait(60) == 0, process.text()[-3000:]
    assert {tool: there(bench, tool) for tool in COMMANDS} == WHOLE
