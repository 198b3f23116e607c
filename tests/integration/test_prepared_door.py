"""A door that prepares has each question planned once, and no change of the schema or of its session stops it."""

import asyncio
from pathlib import Path

import pytest

from guard.errors import QueryFailed
from guard.postgres import Door, PreparedDoor
from guard.settings import load
from guard.wiring import build
from tests.fix_postgres import Database

pytestmark = pytest.mark.integration

PLANS = "select s.generic_plans, s.custom_plans from pg_prepared_statements s where s.statement = %s"


def test_a_question_is_planned_once_for_all_values_and_not_when_it_is_part_of_a_transaction(
    database: Database,
) -> None:
    async def ask() -> None:
        door = PreparedDoor(database.dsn(), purpose="t")
        for number in range(7):
            assert await door.fetch("select %s::int + 1", [number]) == [(number + 1,)]
        assert await door.fetch(PLANS, ["select $1::int + 1"]) == [(7, 0)]
        await door.transact(lambda connection: connection.execute("select 2"))
        assert await door.fetch(PLANS, ["select 2"]) == []
        await door.close()

    asyncio.run(ask())


def test_a_change_of_the_schema_is_met_by_planning_anew(database: Database) -> None:
    database.execute("create schema s; create table s.t (n int); insert into s.t values (1)")
    query = "select t.*, 's'::regnamespace::oid::bigint from s.t"

    async def ask() -> None:
        door = PreparedDoor(database.dsn(), purpose="t")

        async def seen() -> object:
            [(*columns, schema)] = await door.fetch(query)
            [(real,)] = database.execute("select oid::bigint from pg_namespace where nspname = 's'")
            assert schema == real
            return columns

        assert await seen() == [1]
        database.execute("alter table s.t alter n type text using 'one'")
        assert await seen() == ["one"]  # the server says: cached plan must not change result type
        assert await seen() == ["one"]
        assert await door.fetch(PLANS, [query]) == [(1, 0)]
        database.execute(
            "drop schema s cascade; create schema s; create table s.t (b bool); insert into s.t values (true)"
        )
        assert await seen() == [True]
        assert door.generation == 1
        with pytest.raises(QueryFailed, match="no_such"):
            await door.fetch("select no_such from s.t")
        await door.close()

    asyncio.run(ask())


def test_neither_a_session_that_forgot_its_statements_nor_a_new_one_is_asked_by_their_names(
    database: Database,
) -> None:
    async def ask() -> None:
        door = PreparedDoor(database.dsn(), purpose="t")
        assert await door.fetch("select 1") == [(1,)]
        await door.fetch("do $$ begin execute 'deallocate all'; end $$")  # unseen by the driver
        for _ in range(2):
            assert await door.fetch("select 1") == [(1,)]
        assert await door.fetch(PLANS, ["select 1"]) == [(1, 0)]
        database.execute("select pg_terminate_backend(%s, 5000)", [door.backend_pid])
        with pytest.raises(Exception, match="broke"):
            await door.fetch("select 1")
        await door.connect()
        assert await door.fetch("select 1") == [(1,)]
        assert door.generation == 2
        await door.close()

    asyncio.run(ask())


def test_an_error_of_the_same_kind_from_the_question_itself_is_told(database: Database) -> None:
    query = "do $$ begin raise feature_not_supported using message = 'not here'; end $$"

    async def ask() -> None:
        for door in (PreparedDoor(database.dsn(), purpose="t"), Door(database.dsn(), purpose="t")):
            with pytest.raises(QueryFailed, match="not here"):
                await door.fetch(query)
            await door.close()

    asyncio.run(ask())


def test_the_probes_of_a_database_prepare_and_who_acts_does_not(tmp_path: Path) -> None:
    file = tmp_path / "guard.toml"
    file.write_text(
        f"[guard]\nstate_directory = '{tmp_path}/state'\n[database.main]\ndsn = 'host=localhost'\nstandbys = []\n"
        "[[rule]]\nname = 'busy'\nmetric = 'activity.active'\npause = '> 50'\n"
    )

    async def look() -> None:
        household = build(load(file))
        doors = {duty.probe.name: type(getattr(duty.probe, "_door")) for duty in household.watches[0]._duties}  # noqa: B009
        assert doors == {"roster": PreparedDoor, "activity": PreparedDoor}
        assert type(household.cancellers["main"]._door) is Door
        household.journal.close()
        household.lock.close()

    asyncio.run(look())
