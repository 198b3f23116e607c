"""`check` asks each rule's query once, by the guard's own role, and says what keeps it from a number."""

import asyncio
import dataclasses

import pytest

from guard.check.queries import check_queries
from guard.check.remarks import Grade, Remark
from guard.model import NoData, Rule
from guard.postgres import Hosts
from tests.fakes import make_rule
from tests.fix_postgres import Database
from tests.shipped import as_guard

pytestmark = pytest.mark.integration


def rule(name: str, query: str, no_data: NoData = NoData.PAUSE) -> Rule:
    base = make_rule(pause="> 5s")
    return dataclasses.replace(base, name=name, sensor=f"sql:{name}", metric="sql", query=query, no_data=no_data)


def check(database: Database, *rules: Rule) -> list[Remark]:
    async def main() -> list[Remark]:
        hosts = Hosts(as_guard(database.dsn()))
        try:
            return await check_queries(rules, hosts)
        finally:
            await hosts.close()

    return asyncio.run(main())


def test_a_number_is_fine_anything_else_is_a_problem_with_its_consequence(database: Database) -> None:
    database.execute("create table secret (n int)")
    rules = (
        rule("well", "select 3"),
        dataclasses.replace(rule("counter", "select 7"), rate=True),
        rule("forbidden", "select n from public.secret"),
        rule("forgotten", "select 1 where false", NoData.IGNORE),
        dataclasses.replace(make_rule(pause="> 5s"), name="no query at all"),
    )
    well, counter, forbidden, forgotten = check(database, *rules)
    assert (well.grade, well.place, well.what) == (Grade.FINE, 'rule "well"', "answers 3 s")
    assert counter.what == "answers 7 s, a counter: its growth per second is judged"
    assert (forbidden.grade, forgotten.grade) == (Grade.PROBLEM, Grade.PROBLEM)
    assert "permission denied for table secret" in forbidden.what
    assert forbidden.todo.endswith("a migration will pause")
    assert "no row" in forgotten.what
    assert forgotten.todo.endswith("it is ignored")
