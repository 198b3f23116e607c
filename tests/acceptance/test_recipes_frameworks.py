"""The pages of docs/recipes for Alembic and Django, run as they are written beside the real guard."""

from __future__ import annotations

import pytest

from tests.acceptance.beside import Beside, Start
from tests.recipes import Recipe, recipe
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance

REVISION = """
from alembic import op
revision, down_revision = {0!r}, {1!r}
def upgrade():
    op.execute({2!r})
def downgrade():
    pass
"""
REVISIONS = {
    "0001": "alter table users add column email_lower text",
    "0002": "update users set email_lower = lower(email)",
    "0003": "create table audit (id int)",
}
DJANGO = {
    "settings.py": """
import os
DATABASES = {"default": {
    "ENGINE": "django.db.backends.postgresql",
    "NAME": os.environ["PGDATABASE"],
    "OPTIONS": {"application_name": "migration:shop", "options": "-c lock_timeout=500ms"},
}}
DATABASES["default"] |= {key: os.environ["PG" + key] for key in ("HOST", "PORT", "USER", "PASSWORD")}
INSTALLED_APPS = ["shop"]
""",
    "shop/__init__.py": "",
    "shop/migrations/__init__.py": "",
    "shop/migrations/0001_initial.py": """
from django.db import migrations, models
class Migration(migrations.Migration):
    initial = True
    operations = [migrations.CreateModel(
        "User",
        [("id", models.AutoField(primary_key=True)), ("email", models.TextField())],
        options={"db_table": "users"},
    )]
""",
    "shop/migrations/0002_user_email_lower.py": """
from django.db import migrations, models
class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]
    operations = [migrations.AddField("user", "email_lower", models.TextField(null=True))]
""",
}


def alembic(*numbers: str, each: bool = False) -> Recipe:
    """The page with revisions of an application beside its own; *each* in a transaction of its own, as it says."""
    page = recipe("alembic")
    files = {path: text for path, text in page.files.items() if "versions" not in path or "index" in numbers}
    if each:
        changed = files["migrations/env.py"].replace("configure(", "configure(transaction_per_migration=True, ")
        assert changed != files["migrations/env.py"]
        files["migrations/env.py"] = changed
    before = None
    for number in numbers:
        if number in REVISIONS:
            files[f"migrations/versions/{number}.py"] = REVISION.format(number, before, REVISIONS[number])
            before = number
    return Recipe(page.name, files)


def at(beside: Beside) -> list[str]:
    """The revision at which the database is."""
    if beside.database.execute("select to_regclass('alembic_version')::text") == [(None,)]:
        return []
    return [row[0] for row in beside.database.execute("select version_num from alembic_version")]


def objects(beside: Beside) -> tuple[bool, bool]:
    """Whether there are the column of 0001 and the table of 0003."""
    query = (
        "select exists (select from pg_attribute where attrelid = 'users'::regclass and attname = 'email_lower'), "
        "to_regclass('audit') is not null"
    )
    [(column, table)] = beside.database.execute(query)
    return column, table


@pytest.mark.parametrize("each", [False, True], ids=["one_transaction", "transaction_per_migration"])
def test_alembic_takes_back_its_transaction_for_a_pause_and_runs_again_after_it(beside: Beside, *, each: bool) -> None:
    running = beside.run(alembic("0001", "0002", "0003", each=each), "sh", "-eu", "migrate.sh")
    beside.pause_in_flight("alembic")
    running.wait_says("must wait (pause)", within=30)
    wait_for(lambda: beside.outcomes("alembic")[-1] is None, within=30)  # the next try waits
    beside.assert_at_rest()
    assert at(beside) == (["0001"] if each else [])
    assert objects(beside) == (each, False)
    beside.well()
    running.ends()
    assert at(beside) == ["0003"]
    assert objects(beside) == (True, True)
    assert len(beside.batches()) == 1
    beside.assert_filled()


def test_alembic_tries_a_revision_again_that_others_queued_behind_and_waits_between_two_and_in_an_autocommit_block(
    beside: Beside, background: Start
) -> None:
    database, page = beside.database, alembic("0001", "0002", "index")
    with beside.gate_shut():
        beside.pile_up(lambda: beside.run(page, "python", "stepwise.py"), background)
        paused = beside.pause_at_gate("alembic")
    beside.wait_acknowledged(paused, "alembic")
    beside.assert_at_rest()
    assert at(beside) == ["0002"]
    with database.connect() as reader:
        # An index that is half built, which is gone only once the reader is: until then the block is at work.
        database.execute("create index users_email_lower on users (id)")
        reader.execute("begin; select count(*) from users")
        beside.well()
        waits = "select 1 from pg_stat_activity where query like 'drop index%' and wait_event = 'virtualxid'"
        wait_for(lambda: database.execute(waits), within=30, message=beside.running[-1].text)
        resumed = beside.wait_event("resumed", "alembic", after=paused)
        beside.house.load(9)
        paused = beside.wait_event("paused", "alembic", after=resumed)
    beside.wait_acknowledged(paused, "alembic")
    beside.assert_at_rest(snapshot=1.0)
    assert at(beside) == ["0002"]
    beside.well()
    beside.running[-1].ends()
    assert at(beside) == ["0003"]
    query = "select indisvalid, pg_get_indexdef(indexrelid, 1, true) from pg_index where indexrelid = to_regclass(%s)"
    assert database.execute(query, ["users_email_lower"]) == [(True, "email_lower")]
    beside.assert_filled()
    assert beside.outcomes("alembic")[-1] == "done"


def test_django_waits_between_two_batches_of_a_data_migration_and_asks_before_an_index(beside: Beside) -> None:
    page = recipe("django")
    whole = Recipe(page.name, {**DJANGO, **page.files})
    running = beside.run(whole, "python", "-m", "django", "migrate", "--fake-initial", "--settings", "settings")
    history = "select name from django_migrations order by id"
    beside.pause_in_flight()
    beside.assert_at_rest()
    assert len(beside.batches()) == 1
    assert [row[0][:4] for row in beside.database.execute(history)] == ["0001", "0002"]
    beside.well()
    running.ends()
    beside.assert_kept_to_orders()
    beside.assert_filled()
    assert [row[0][:4] for row in beside.database.execute(history)] == ["0001", "0002", "0003", "0004"]
    assert beside.database.execute("select indisvalid from pg_index where indrelid = 'users'::regclass") == 2 * [
        (True,)
    ]
    assert (beside.outcomes()[-1], beside.outcomes("users-email-index")) == ("done", ["done"])
