"""Checks of the data as PostgreSQL answers them: which rows, which value, and that they can do no harm."""

import asyncio

import pytest

from guard.act.checks import Checks
from guard.model import Answer, Check
from tests.fix_matrix import Took
from tests.fix_postgres import Database
from tests.shipped import as_guard
from tests.waiting import wait_for

pytestmark = pytest.mark.integration


def ask(database: Database, *checks: Check, within: float = 15.0, dsn: str = "") -> tuple[Answer, ...]:
    return asyncio.run(Checks(dsn or database.dsn()).ask(checks, within=within))


def rows(database: Database, query: str) -> Answer:
    (answer,) = ask(database, Check("c", query))
    return answer


def value(database: Database, query: str) -> Answer:
    (answer,) = ask(database, Check("c", query, same=True))
    return answer


def test_offending_rows_are_named_by_their_columns_the_first_twenty_of_them(database: Database) -> None:
    database.execute("create table t (id int primary key, region text)")
    assert rows(database, "select id from public.t where region is null -- none") == Answer("c")
    database.execute(
        "insert into t select g, case g when 2 then 'a, b' when 3 then 'null' end from generate_series(1, 3) g"
    )
    assert rows(database, "select id, region from public.t order by id;").offending == (
        "id=1, region=null",
        'id=2, region="a, b"',
        'id=3, region="null"',
    )
    database.execute("insert into t select g from generate_series(4, 30) g")
    many = rows(database, "select id from public.t where region is null order by id")
    assert (len(many.offending), many.more) == (20, True)
    assert rows(database, "select from public.t where id = 1").offending == ("a row without columns",)
    (long,) = rows(database, "select repeat('x', 1000) as text").offending
    assert (len(long), long.endswith("...")) == (203, True)


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("select 1.50::numeric", "select 1.5::numeric", True),
        ("select count(*), sum(g) from generate_series(1, 3) g", "select 3 as count, 6 as sum", True),
        ("select 10::numeric as n", "select 1 as n", False),
        ("select repeat('x', 1000) || 'a' as n", "select repeat('x', 1000) || 'b' as n", False),
        ('select \'{"a": 1, "b": 2}\'::jsonb as n', 'select \'{"b": 2, "a": 1}\'::jsonb as n', True),
        ("select null::int as n", "select 'null'::text as n", False),
        ("select array[1, 2] as n", "select array[2, 1] as n", False),
        ("select 'NaN'::numeric as n", "select 'NaN'::float8 as n", True),
        ("select sum(1), sum(2)", "select sum(3), sum(2)", False),
    ],
)
def test_a_value_is_the_same_where_its_columns_are(database: Database, before: str, after: str, same: bool) -> None:
    one, other = value(database, before), value(database, after)
    assert (one.why, other.why, one.value == other.value) == ("", "", same), (one, other)


@pytest.mark.fault(65)
@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("selekt", "syntax error"),
        ("select id from public.missing", "does not exist"),
        ("create table written ()", "syntax error"),
        ("select 1; create table written ()", "syntax error"),
        ("select set_config('transaction_read_only', 'off', true)", "read-write mode must be set before"),
        ("select nextval('public.written')", "read-only transaction"),
        ("select pg_sleep(60)", "statement timeout"),
    ],
)
def test_what_cannot_be_answered_says_why_in_time_and_writes_nothing(
    database: Database, query: str, said: str, took: Took
) -> None:
    database.execute("create sequence written")
    with took.within(12.0):
        (answer, next_one) = ask(database, Check("c", query), Check("d", "select 1"), within=2.0)
    assert said in answer.why
    assert (answer.offending, answer.value) == ((), "")
    assert next_one.offending == ("?column?=1",) or next_one.why.startswith("not asked: the checks before it")
    assert database.execute("select is_called from written") == [(False,)]


def test_a_value_of_no_row_or_of_two_is_none_and_what_the_role_may_not_read_is_said(database: Database) -> None:
    assert value(database, "select 1 where false").why == "the query returned no row, not one"
    assert value(database, "select 1 from generate_series(1, 2)").why == "the query returned more than one row, not one"
    database.execute("create table secret (n int)")
    (answer,) = ask(database, Check("c", "select n from public.secret"), dsn=as_guard(database.dsn()))
    assert "permission denied for table secret" in answer.why


def test_a_server_that_is_not_there_is_an_answer_too(database: Database) -> None:
    (answer,) = ask(database, Check("c", "select 1"), within=2.0, dsn="host=127.0.0.1 port=1 user=x dbname=x")
    assert "Connection refused" in answer.why or "refused" in answer.why.lower()


def test_each_has_a_transaction_of_its_own_and_no_session_is_left(database: Database) -> None:
    one, other = ask(database, Check("a", "select now() as at", same=True), Check("b", "select now() as at", same=True))
    assert one.value != other.value
    gone = "select from pg_stat_activity where application_name like 'migration_guard/verify%%' and datname = %s"
    wait_for(lambda: database.execute(gone, [database.name]) == [], message="its session to end")
