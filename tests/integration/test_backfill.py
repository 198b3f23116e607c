"""A backfill changes each row that is to be changed once, whatever happens meanwhile, and tells what it knows."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from guard.client.backfill import (
    BackfillRefused,
    Definition,
    Ended,
    Hooks,
    Progress,
    Stopped,
    preview,
    run,
)
from tests.backfilling import COUNT, FILL, QUICK, SMALL, counts, stop_after, stopped, thousand_rows
from tests.beating import Beating, Connection, only_run
from tests.fix_postgres import Database

pytestmark = pytest.mark.integration


@pytest.fixture
def guard(database: Database) -> Iterator[Beating]:
    guard = Beating(database)
    yield guard
    guard.stop()


@pytest.fixture
def connection(guard: Beating, database: Database) -> Iterator[Connection]:
    with thousand_rows(database) as connection:
        yield connection


def test_what_matches_is_changed_in_batches_and_a_last_pass_says_that_nothing_is_left(
    guard: Beating, connection: Connection, database: Database
) -> None:
    connection.execute("update t set region = 'us' where id % 10 = 1")
    seen: list[Progress] = []
    ended = run(connection, "m", FILL, manner=SMALL, hooks=Hooks(on_progress=seen.append))
    assert ended == Ended(rows=900, still=0, batches=20, passes=2, verified="nothing left")
    assert [each.batch for each in seen[:9]] == [100] * 9
    assert max(each.rows for each in seen) == 900
    assert connection.execute("select region, count(*) from t group by 1 order by 1").fetchall() == [
        ("eu", 900),
        ("us", 100),
    ]
    assert only_run(database, "outcome rows_done") == ("done", 900)
    again = run(connection, "m", FILL, manner=QUICK)
    assert (again.before, again.rows, again.verified) == (True, 900, "nothing left")


KEYS = {
    "smallint": "g",
    "bigint": "g - 500",
    "uuid": "md5(g::text)::uuid",
    "text": "'ключ %s; -- \"' || g",
    "timestamptz": "now() + g * interval '1 us'",
    "date": "date '2020-01-01' + g",
}


def test_a_table_is_cut_by_its_key_of_any_plain_type_and_each_row_is_changed_once(
    guard: Beating, connection: Connection, database: Database
) -> None:
    for type_, key in KEYS.items():
        connection.execute("drop table t")
        connection.execute(f'create table t ("the Key" {type_} primary key, n int default 0)'.encode())
        connection.execute(f"insert into t select {key} from generate_series(1, 1000) g".encode())  # noqa: S608
        connection.execute("set timezone = 'UTC'")
        with pytest.raises(Stopped):
            run(connection, type_, COUNT, manner=SMALL, hooks=stop_after(3))
        connection.execute("set timezone = 'Asia/Tokyo'")
        ended = run(connection, type_, COUNT, manner=SMALL)
        assert (ended.rows, ended.still, ended.verified) == (1000, 1000, "once"), type_
        assert counts(database) == [(1, 1000)], type_


def test_a_partitioned_table_is_one_table(guard: Beating, connection: Connection, database: Database) -> None:
    connection.execute("drop table t")
    connection.execute("create table t (id int primary key, n int default 0) partition by range (id)")
    connection.execute("create table t1 partition of t for values from (0) to (500)")
    connection.execute("create table t2 partition of t for values from (500) to (2000)")
    connection.execute("insert into t select g from generate_series(1, 1000) g")
    assert run(connection, "m", COUNT, manner=SMALL).rows == 1000
    assert counts(database) == [(1, 1000)]


def test_who_comes_with_the_same_name_goes_on_and_with_another_definition_is_refused(
    guard: Beating, connection: Connection, database: Database
) -> None:
    stopped(connection, COUNT, 3)
    assert counts(database) == [(0, 700), (1, 300)]
    other = Definition("t", set_="n = n + 2")
    with pytest.raises(
        BackfillRefused, match=r"another definition \(table public\.t by id, 300 rows done\).*--restart"
    ):
        run(connection, "m", other, manner=QUICK)
    run(connection, "m", COUNT, manner=SMALL)
    assert counts(database) == [(1, 1000)]
    assert run(connection, "m", other, manner=replace(QUICK, anew=True)).rows == 1000
    assert counts(database) == [(3, 1000)]


def test_rows_that_come_behind_its_back_are_found_by_a_further_pass_and_told_where_they_never_end(
    guard: Beating, connection: Connection, database: Database
) -> None:
    keys = iter(range(0, -100, -1))

    def insert(_: Progress) -> None:
        if (key := next(keys)) > limit:
            database.execute("insert into t values (%s)", [key])

    limit = -15  # while the first pass is at work, and a little longer
    ended = run(connection, "m", FILL, manner=SMALL, hooks=Hooks(on_progress=insert))
    assert (ended.rows, ended.passes, ended.verified) == (1015, 4, "nothing left")
    assert database.execute("select count(*) from t where region is null") == [(0,)]

    limit = -1000
    database.execute("update t set region = null")
    ended = run(connection, "m", FILL, manner=replace(QUICK, anew=True, max_batch=100, passes=2), hooks=Hooks(insert))
    assert (ended.passes, ended.verified, ended.well) == (2, "still coming", False)
    limit = 0
    assert run(connection, "m", FILL, manner=QUICK).verified == "nothing left"
    assert database.execute("select count(*) from t where region is null") == [(0,)]


def test_rows_that_match_as_before_are_counted_and_not_changed_again(
    guard: Beating, connection: Connection, database: Database
) -> None:
    some = Definition("t", set_="n = n + 1, region = case when id > 10 then 'eu' end", where="region is null")
    for _ in range(2):
        ended = run(connection, "m", some, manner=SMALL)
        assert (ended.rows, ended.still, ended.verified, ended.well) == (1000, 10, "still match", False)
    assert counts(database) == [(1, 1000)]


def test_an_empty_table_and_one_in_which_nothing_matches_are_done_at_once(
    guard: Beating, connection: Connection
) -> None:
    nothing = run(connection, "m", Definition("t", set_="n = 1", where="id < 0"), manner=SMALL)
    assert (nothing.rows, nothing.passes, nothing.verified) == (0, 1, "nothing left")
    connection.execute("truncate t")
    assert run(connection, "n", COUNT, manner=QUICK).verified == "nothing left"


# -- what is refused ---------------------------------------------------------------------------------------------------


REFUSED = [
    ("", Definition("nowhere", set_="n = 1"), "There is no table nowhere"),
    ("", Definition("a.b.c.d", set_="n = 1"), "is no name of a table"),
    ("create view v as select * from t", Definition("v", set_="n = 1"), "public.v is no table"),
    ("create table two (a int, b int, primary key (a, b))", Definition("two", set_="a = 1"), "a key of several"),
    ("create table bare (a int)", Definition("bare", set_="a = 1"), "has no primary key"),
    ("", Definition("t", set_="n = 1", key="nope"), "has no column nope"),
    (
        "",
        Definition("t", set_="n = 1", key="n"),
        r"no unique index of its own.*create unique index concurrently on public\.t \(n\);",
    ),
    ("create unique index on t (region)", Definition("t", set_="n = 1", key="region"), "set not null"),
    ("create table j (k numeric primary key)", Definition("j", set_="k = 1"), "of type numeric; a key may be"),
    ("", Definition("t", set_="n = 'x"), "PostgreSQL refuses it: unterminated quoted string"),
    ("", Definition("t", set_="n = 1; drop table t"), "PostgreSQL refuses it: "),
    ("", Definition("t", set_="n = 1", where="true; drop table t"), "PostgreSQL refuses it: "),
    ("", Definition("t", set_="n = 1 -- where id = 5", where="nope"), 'column "nope" does not exist'),
    ("", Definition("t", set_="id = id + 100000"), "SET changes the key"),
]
"""What is prepared, what is wanted, and what it is refused with."""


def test_what_cannot_be_done_in_batches_is_refused_in_words_and_nothing_is_changed(
    guard: Beating, connection: Connection, database: Database
) -> None:
    for prepare, definition, words in REFUSED:
        if prepare:
            connection.execute(prepare.encode())
        with pytest.raises(BackfillRefused, match=words):
            run(connection, "m", definition, manner=replace(QUICK, anew=True))
        assert database.execute("select count(*), sum(n), min(id), max(id) from t") == [(1000, 0, 1, 1000)], words


def test_own_sql_may_hold_percent_signs_braces_and_comments(
    guard: Beating, connection: Connection, database: Database
) -> None:
    odd = Definition("t", set_="region = '{%s}' -- all", where="coalesce(region, '%%') <> '{%s}' /* {} */ -- yes")
    assert run(connection, "m", odd, manner=SMALL).verified == "nothing left"
    assert database.execute("select distinct region from t") == [("{%s}",)]


def test_rows_that_a_trigger_or_a_policy_keeps_as_they_are_are_not_said_to_be_done(
    guard: Beating, connection: Connection, database: Database
) -> None:
    connection.execute(
        "create function keep() returns trigger language plpgsql as 'begin return null; end';"
        "create trigger keep before update on t for each row when (old.id in (12, 999)) execute function keep()"
    )
    ended = run(connection, "m", FILL, manner=SMALL)
    assert (ended.rows, ended.verified, ended.well) == (998, "still coming", False)
    connection.execute("drop trigger keep on t")
    assert run(connection, "m", FILL, manner=SMALL).verified == "nothing left"
    connection.execute(
        "update t set region = null; alter table t force row level security, enable row level security;"
        "create policy seen on t for select using (true); create policy kept on t for update using (id > 10)"
    )
    ended = run(connection, "m", FILL, manner=replace(SMALL, anew=True))
    assert (ended.rows, ended.verified) == (990, "still coming")
    assert database.execute("select count(*) from t where region is null") == [(10,)]


def test_own_sql_reads_the_tables_that_it_names_whatever_the_statement_of_a_batch_is_made_of(
    guard: Beating, connection: Connection, database: Database
) -> None:
    for name in ("at", "found", "span", "changed", "counted"):
        connection.execute(f"create table {name} as select true as there, 7 as last_key, 'right' as words".encode())
        region, where = f"(select words from {name})", f"n = 0 and (select there from {name})"  # noqa: S608
        own = Definition("t", set_=f"region = {region}", where=where)
        run(connection, "m", own, manner=replace(SMALL, anew=True))
        assert database.execute("select distinct region from t") == [("right",)], name
        connection.execute("update t set region = null")


def test_a_key_that_another_session_could_read_as_another_day_is_refused(
    guard: Beating, connection: Connection, database: Database
) -> None:
    connection.execute("create table days (k date primary key, n int not null default 0)")
    connection.execute("insert into days select '2024-01-01'::date + g from generate_series(0, 364) g")
    connection.execute("set datestyle = 'SQL, DMY'")
    with pytest.raises(BackfillRefused, match="set datestyle to ISO first"):
        run(connection, "m", Definition("days", set_="n = n + 1"), manner=SMALL)
    connection.execute("set datestyle = 'ISO, DMY'")
    stopped(connection, Definition("days", set_="n = n + 1"), 2)
    connection.execute("set datestyle = 'ISO, MDY'")
    run(connection, "m", Definition("days", set_="n = n + 1"), manner=SMALL)
    assert database.execute("select n, count(*) from days group by n") == [(1, 365)]


def test_a_cursor_that_a_crash_would_lose_is_trusted_only_where_rows_cannot_be_changed_twice(
    guard: Beating, connection: Connection, database: Database
) -> None:
    database.execute("alter table migration_guard.backfill set unlogged")
    with pytest.raises(BackfillRefused, match="UNLOGGED: a crash would lose how far it was"):
        run(connection, "m", COUNT, manner=QUICK)
    assert counts(database) == [(0, 1000)]
    assert run(connection, "n", FILL, manner=QUICK).verified == "nothing left"


def test_a_dry_run_shows_the_plan_and_changes_nothing_and_refuses_to_read_a_table_whole_for_each_batch(
    guard: Beating, connection: Connection, database: Database
) -> None:
    connection.execute("analyze t")
    found = preview(connection, FILL, SMALL)
    assert (found.table, found.key, found.tuples, found.matching, found.batches) == ("public.t", "id", 1000, 1000, 10)
    assert any("Index Scan" in line for line in found.plan), found.plan
    connection.execute("create table countries (code text, name text)")
    looked_up = Definition("t", set_="region = (select name from countries where countries.code = t.region)")
    preview(connection, looked_up, SMALL)  # while it is small nothing is wrong with it
    connection.execute("insert into countries select g::text, repeat('x', 100) from generate_series(1, 10000) g")
    for look in (lambda: preview(connection, looked_up, SMALL), lambda: run(connection, "m", looked_up, manner=QUICK)):
        with pytest.raises(BackfillRefused, match=r"the whole of public\.countries") as refused:
            look()
        assert "create index concurrently on public.countries (code);" in str(refused.value)
    connection.execute("create index on countries (code)")
    preview(connection, looked_up, SMALL)
    assert database.execute("select count(*) from t where region is not null or n > 0") == [(0,)]
    assert database.execute("select count(*) from migration_guard.backfill") == [(0,)]
