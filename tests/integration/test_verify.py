"""The query that has the last word on a rollback: what counts as yes, and that it can do no harm."""

import asyncio

import pytest

from guard.act import verify
from guard.act.verify import Verification
from tests.fix_matrix import Took
from tests.fix_postgres import Database

pytestmark = pytest.mark.integration


def doubt(database: Database, query: str) -> str:
    return asyncio.run(Verification(database.dsn(), query).doubt())


def test_only_one_row_of_one_true_leaves_no_doubt(database: Database) -> None:
    assert doubt(database, "select 'x%' like '%'") == ""


@pytest.mark.fault(57)
@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("select false", "returned false, not true"),
        ("select null", "returned NULL, not true"),
        ("select 1", "returned a value of type int, not true"),
        ("select 'true'", "returned a value of type str, not true"),
        ("select true where false", "returned 0 rows where one value was expected"),
        ("select true from generate_series(1, 2)", "returned 2 rows where one value was expected"),
        ("select true, true", "returned a row of 2 columns where one value was expected"),
        ("", "returned 0 rows"),
        ("selekt", "the verifying query failed: verify: "),
        ("create table written ()", "read-only transaction"),
        ("select true; create table written ()", "read-only transaction"),
    ],
)
def test_everything_else_is_a_doubt_in_words_and_nothing_is_written(database: Database, query: str, said: str) -> None:
    assert said in doubt(database, query)
    assert database.execute("select from pg_class where relname = 'written'") == []


@pytest.mark.fault(57)
def test_a_query_or_a_server_that_hangs_is_a_doubt_in_time(
    database: Database, monkeypatch: pytest.MonkeyPatch, took: Took
) -> None:
    monkeypatch.setattr(verify, "DEADLINE", 2.5)
    with took.within(4.0):
        assert "the verifying query failed: " in doubt(database, "select pg_sleep(60) is null")
