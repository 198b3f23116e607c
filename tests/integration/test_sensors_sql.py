"""Rules with a query of their own: a number is a reading; whatever else it answers, tries or does is a silence."""

import asyncio
import dataclasses
import time

import psycopg
import pytest

from guard.model import Reading, Sample, Silence
from guard.poll.families import family_probes
from guard.poll.query import QueryProbe
from guard.postgres import Door
from tests.fakes import make_rule
from tests.fix_matrix import Took
from tests.fix_postgres import Database, MakeRole
from tests.shipped import as_guard

pytestmark = pytest.mark.integration


def ask(dsn: str, *queries: str, scale: float = 1.0, deadline: float = 5.0) -> list[Sample]:
    """The samples of *queries*, asked one after the other."""

    async def one(query: str) -> Sample:
        probe = QueryProbe(Door(as_guard(dsn), purpose="sql", deadline=deadline), "mine", query, scale=scale)
        try:
            (sample,) = (await probe.poll()).samples
            return sample
        finally:
            await probe.close()

    async def main() -> list[Sample]:
        return [await one(query) for query in queries]

    return asyncio.run(main())


def why(dsn: str, query: str) -> str:
    (sample,) = ask(dsn, query)
    assert isinstance(sample, Silence), sample
    assert sample.sensor == "sql:mine"
    return sample.why


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("select 3", 3.0),
        ("select 2.5::numeric", 2.5),
        ("select 0.25::float8", 0.25),
        ("select count(*) from pg_catalog.pg_class where false", 0.0),
        ("with a as (select 7 as n) select n from a order by n;", 7.0),
        ("select 4 -- said at the end", 4.0),
        ("select 100 * 5 % 7", 3.0),
        ("select 'infinity'::float8", float("inf")),
    ],
)
def test_a_number_is_a_reading(database: Database, query: str, value: float) -> None:
    (sample,) = ask(database.dsn(), query)
    assert isinstance(sample, Reading), sample
    assert (sample.sensor, sample.value) == ("sql:mine", value)


def test_the_answer_comes_in_the_unit_that_the_rule_says(database: Database) -> None:
    (sample,) = ask(database.dsn(), "select 1500", scale=0.001)
    assert isinstance(sample, Reading)
    assert sample.value == 1.5


@pytest.mark.fault(65)
@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("select 1 where false", "no row"),
        ("select generate_series(1, 100000000)", "more than one row"),
        ("select 1, 2", "2 columns"),
        ("select null::int", "NULL"),
        ("select '12'", "type text"),
        ("select true", "type boolean"),
        ("select interval '3s'", "extract(epoch from"),
        ("select 'NaN'::numeric", "NaN"),
        ("select 1/0", "division by zero"),
        ("select n from no.such_table", "does not exist"),
        ("selct 1", "syntax error"),
        ("", "syntax error"),
    ],
)
def test_rubbish_is_a_silence_that_says_what_it_is(database: Database, query: str, reason: str) -> None:
    assert reason in why(database.dsn(), query)


def test_a_counter_that_was_read_over_a_new_connection_may_be_another_servers(database: Database) -> None:
    query = "select pg_backend_pid()"
    rule = dataclasses.replace(make_rule(), sensor="sql:mine|as=rate", metric="sql", query=query, rate=True)

    async def main() -> list[str]:
        (probe,) = family_probes(lambda purpose: Door(as_guard(database.dsn()), purpose=purpose), [rule])
        seen: list[str] = []
        try:
            end = time.monotonic() + 10
            while time.monotonic() < end and not (seen and "connected anew" in seen[-1]):
                (sample,) = (await probe.poll()).samples
                assert isinstance(sample, Silence), sample
                assert sample.sensor == rule.sensor
                seen.append(sample.why)
                await asyncio.sleep(0.02)
                if len(seen) == 1:
                    database.execute(
                        "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
                        "where datname = current_database() and pid <> pg_backend_pid()"
                    )
        finally:
            await probe.close()
        return seen

    first, *_, last = asyncio.run(main())
    assert first == "first look, and a rate takes two looks"
    assert last == "connected anew, perhaps to another server, and a rate takes two looks"


@pytest.mark.fault(65)
def test_nothing_is_written_whatever_the_query_tries(database: Database) -> None:
    database.execute("create table t (n int)")
    database.execute("create sequence s")
    database.execute("grant all on t, s to public")
    database.execute(
        """create function sly() returns int language plpgsql as $$
           begin perform set_config('transaction_read_only', 'off', true); insert into public.t values (1);
           return 1; end $$"""
    )
    database.execute(
        """create function later() returns int language plpgsql as $$
           begin perform set_config('default_transaction_read_only', 'off', false); insert into public.t values (1);
           return 1; end $$"""
    )
    for query in (
        "insert into public.t values (1) returning n",
        "with w as (insert into public.t values (1) returning n) select n from w",
        "select 1) as a; insert into public.t values (1); select * from (select 2",
        "select 1) as a; commit; insert into public.t values (1); select * from (select 2",
        "select nextval('public.s')",
        "select public.sly()",
        "select public.later()",
        "set default_transaction_read_only = off",
    ):
        assert why(database.dsn(), query), query
    assert database.execute("select count(*) from t") == [(0,)]
    assert database.execute("select last_value, is_called from s") == [(1, False)]


@pytest.mark.fault(65)
def test_a_query_that_hangs_is_given_up_and_so_is_one_that_waits_for_a_lock(database: Database, took: Took) -> None:
    with took.within(4.0):
        assert "statement timeout" in why(database.dsn(), "select 1 from pg_sleep(60)")
    database.execute("create table t (n int)")
    database.execute("grant select on t to public")
    with database.connect() as migration:
        migration.execute("begin")
        migration.execute("lock table t in access exclusive mode")
        began = time.monotonic()
        assert "lock timeout" in why(database.dsn(), "select count(*) from public.t")
        assert time.monotonic() - began < 3.0
        migration.execute("rollback")
    (sample,) = ask(database.dsn(), "select count(*) from public.t")
    assert isinstance(sample, Reading)


@pytest.mark.fault(65)
def test_what_the_role_may_not_read_is_a_silence(database: Database, make_role: MakeRole) -> None:
    make_role("narrow")
    database.execute("create table secrets (n int)")
    assert "permission denied" in why(database.dsn("narrow"), "select count(*) from public.secrets")


@pytest.mark.fault(65)
def test_no_query_opens_its_session_for_a_later_one_to_write(database: Database) -> None:
    database.execute("create table t (n int)")
    database.execute("grant all on t to public")
    database.execute(
        """create function opens() returns int language plpgsql as $$
           begin perform set_config('default_transaction_read_only', 'off', false);
           if current_setting('transaction_read_only')::bool then return 1; end if;
           insert into public.t values (1); return 2; end $$"""
    )

    async def main() -> list[Sample]:
        probe = QueryProbe(Door(as_guard(database.dsn()), purpose="sql"), "mine", "select public.opens()")
        found = [(await probe.poll()).samples[0] for _ in range(3)]
        await probe.close()
        return found

    assert [getattr(sample, "value", sample) for sample in asyncio.run(main())] == [1.0, 1.0, 1.0]
    assert database.execute("select count(*) from t") == [(0,)]


def test_after_a_silence_the_same_connection_answers_again(database: Database) -> None:
    database.execute("create table t (n int)")
    database.execute("grant select on t to public")

    async def main() -> tuple[Sample, Sample, int]:
        door = Door(as_guard(database.dsn()), purpose="sql")
        probe = QueryProbe(door, "mine", "select n from public.t")
        (first,) = (await probe.poll()).samples
        with psycopg.connect(database.dsn(), autocommit=True) as other:
            other.execute("insert into t values (5)")
        (second,) = (await probe.poll()).samples
        await probe.close()
        return first, second, door.generation

    first, second, generation = asyncio.run(main())
    assert isinstance(first, Silence)
    assert isinstance(second, Reading)
    assert (second.value, generation) == (5.0, 1)
