"""Pacing by a window of un-replayed WAL beside a real standby, by a role that may not see standbys itself."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql

from guard.act.install import install
from guard.check.remarks import Remark
from guard.check.standbys import check_pacing
from guard.client import Migration, Pacer, Paused
from guard.demo.embedded import Binaries
from guard.errors import NotInstalled
from guard.postgres import Door
from tests.beating import Beating, Connection, in_thread
from tests.fix_postgres import Database
from tests.replicating import MB, World
from tests.shipped import as_client, as_guard
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

SAID = "select bytes, slowest, streaming, expected, because from migration_guard.unreplayed(%s)"
BATCH = "select pg_logical_emit_message(true, 'batch', repeat('x', %s))"


@pytest.fixture(scope="module")
def world(binaries: Binaries) -> Iterator[World]:
    world = World(binaries)
    yield world
    world.close()


@pytest.fixture
def paced(world: World) -> Iterator[Database]:
    """A database on the primary with the schema, whose standby is well again afterwards."""
    world.primary.execute("create database paced")
    database = Database("paced", world.primary)
    install(database.dsn())
    yield database
    world.restore()
    world.primary.execute("drop database paced with (force)")


@pytest.fixture
def connection(paced: Database) -> Iterator[Connection]:
    dsn = as_client(paced.dsn(application_name="migration:m"))
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


def say(database: Database, **pacing: object) -> None:
    """What a guard has said of its configuration."""
    database.execute("delete from migration_guard.report")
    database.execute("insert into migration_guard.report (report) values (%s)", [json.dumps({"pacing": pacing})])


def checked(database: Database) -> list[Remark]:
    """What `check` says of pacing."""

    async def ask() -> list[Remark]:
        door = Door(as_guard(database.dsn()), purpose="check", deadline=10.0)
        try:
            await door.connect()
            return await check_pacing("database main", door)
        finally:
            await door.close()

    return asyncio.run(ask())


@contextmanager
def peak_of(world: World) -> Iterator[list[int]]:
    """What the standby truly had still to replay, again and again, by its own word; [0] is the most."""
    seen, stop = [0], threading.Event()

    def look() -> None:
        while not stop.wait(0.02):
            ((written,),) = world.ask_primary("select pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
            ((replayed,),) = world.ask_standby("select pg_last_wal_replay_lsn() - '0/0'::pg_lsn")
            seen[0] = max(seen[0], int(written - replayed))

    with in_thread(look):
        try:
            yield seen
        finally:
            stop.set()


def test_beside_a_slow_standby_it_never_has_more_under_way_than_the_window_and_two_batches(
    world: World, paced: Database, connection: Connection
) -> None:
    hidden = connection.execute("select replay_lsn from pg_stat_replication").fetchall()
    assert hidden == [(None,)]  # it may not see standbys itself
    say(paced, standbys=["replica1"], lag=1.0)
    world.line.limit(4 * MB)
    pacer = Pacer(connection)
    with peak_of(world) as peak:
        for _ in range(45):
            pacer.wait()
            connection.execute(BATCH, [200_000])
    assert peak[0] < 3 * MB  # all of it is 8.6
    assert peak[0] > 0.5 * MB  # nor did the standby wait for the migration
    assert (
        0.4 * MB < pacer.window < 2 * MB
    )  # a quarter of a second at the line's speed, as far as a busy machine lets it
    assert pacer.batch_bytes is not None


SAYS: dict[str, tuple[object, tuple[object, ...]]] = {
    "by name": (["replica1"], ("replica1", 1, 1, None)),
    "any one": (1, ("replica1", 1, 1, None)),
    "none": ([], (None, 0, 0, None)),
    "none by number": (0, (None, 0, 0, None)),
    "one is missing": (["replica1", "replica2"], (None, 1, 2, "replica2 does not stream")),
    "too few": (2, (None, 1, 2, "1 of 2 expected standbys stream from this server")),
    "nobody has said": (None, (None, None, None, "no guard has said which standbys are expected")),
}


def test_a_number_is_told_only_where_every_expected_standby_streams(world: World, paced: Database) -> None:
    world.wait_settled()
    for case, (standbys, said) in SAYS.items():
        paced.execute("delete from migration_guard.report")
        ((behind, slowest, *rest),) = paced.execute(SAID, [None if standbys is None else json.dumps(standbys)])
        known = said[0] is not None
        assert (slowest if known else None, *rest) == said, case
        assert (behind is not None) is known, case
        assert not known or behind < MB, case
        say(paced, standbys=standbys, lag=7)
        ((_, _, *by_guard),) = paced.execute(SAID, [None])
        assert by_guard == rest, case
    assert paced.execute("select pause_limit from migration_guard.unreplayed()") == [(7,)]


def test_who_is_asked_itself_need_not_stream_from_the_primary(world: World, paced: Database) -> None:
    world.wait_settled()
    for standbys in (["replica1", "far"], 2):
        say(paced, standbys=standbys, aside=["far"])
        ((behind, slowest, *_),) = paced.execute(SAID, [None])
        assert behind is not None
        assert slowest == "replica1"
    say(paced, standbys=["far"], aside=["far"])
    assert paced.execute(SAID, [None]) == [(None, None, 0, 1, "0 of 1 expected standbys stream from this server")]
    assert paced.execute(SAID, ['["far"]']) == [(None, None, 0, 1, "far does not stream")]  # who names it wants it seen


@contextmanager
def subscribed(world: World, database: Database) -> Iterator[None]:
    """A subscriber of *database*, whose walsender looks like that of a standby."""
    database.execute("create publication nothing")
    database.execute("select pg_create_logical_replication_slot('subscriber', 'pgoutput')")
    world.primary.execute("create database subscriber")
    line = psycopg.conninfo.make_conninfo(database.dsn(), application_name="subscriber")
    subscribe = (
        "create subscription s connection {} publication nothing with (create_slot = false, slot_name = subscriber)"
    )
    world.primary.execute(sql.SQL(subscribe).format(line), dbname="subscriber")
    try:
        wait_for(lambda: world.says("state = 'streaming' and replay_lsn is not null", "subscriber"), within=20)
        yield
    finally:
        for end in ("alter subscription s disable", "alter subscription s set (slot_name = none)"):
            world.primary.execute(end.encode(), dbname="subscriber")
        world.primary.execute("drop subscription s", dbname="subscriber")
        world.primary.execute("drop database subscriber with (force)")
        dropped = "select pg_drop_replication_slot('subscriber')"
        wait_for(lambda: database.execute(dropped), within=20, ignoring=(psycopg.errors.ObjectInUse,))


def test_a_subscriber_does_not_stand_in_for_a_standby(world: World, paced: Database) -> None:
    with subscribed(world, paced):
        assert paced.execute(SAID, ["2"])[0][4] == "1 of 2 expected standbys stream from this server"
        assert paced.execute(SAID, ["1"])[0][1] == "replica1"
        assert paced.execute(SAID, ['["subscriber"]'])[0][1] == "subscriber"  # who names it means it


def test_where_the_owner_of_the_schema_may_not_see_standbys_that_is_what_is_told(world: World, paced: Database) -> None:
    owner = sql.Identifier("plain_owner")
    paced.execute(sql.SQL("create role {}").format(owner))
    try:
        paced.execute(sql.SQL("grant usage, create on schema migration_guard to {}").format(owner))
        paced.execute(sql.SQL("grant select on migration_guard.report to {}").format(owner))
        paced.execute(sql.SQL("alter function migration_guard.unreplayed owner to {}").format(owner))
        ((behind, *_, because),) = paced.execute(SAID, ['["replica1"]'])
        assert (behind, because) == (
            None,
            "the owner of schema migration_guard, plain_owner, may not see standbys: grant pg_monitor to it",
        )
        assert [remark.what.partition(",")[0] for remark in checked(paced)] == ["plain_owner"]
        paced.execute(sql.SQL("grant pg_monitor to {}").format(owner))
        assert checked(paced) == []
        assert paced.execute(SAID, ['["replica1"]'])[0][0] is not None
    finally:
        paced.execute(sql.SQL("drop owned by {0}; drop role {0}").format(owner))


def test_a_missing_standby_holds_and_the_reason_is_told_once(
    world: World, paced: Database, connection: Connection
) -> None:
    words: list[str] = []
    pacer = Pacer(connection, standbys=["replica1", "replica2"], on_wait=words.append)
    assert [pacer.hold() > 0 for _ in range(3)] == [True] * 3
    assert words == ["the next batch waits: replica2 does not stream"]
    connection.execute("begin")
    with pytest.raises(Paused, match="inside a transaction"):
        pacer.wait()
    connection.execute("rollback")
    assert Pacer(connection, standbys=[]).wait().seconds < 1
    with pytest.raises(ValueError, match="more than 0 bytes"):
        Pacer(connection, window=0)
    with pytest.raises(ValueError, match="less than 1"):
        Pacer(connection, least_share=1)
    paced.execute("drop function migration_guard.unreplayed")
    with pytest.raises(NotInstalled, match="migration-guard install"):
        pacer.wait()


def test_a_paced_run_waits_for_the_standby_and_obeys_the_guard_meanwhile(
    world: World, paced: Database, connection: Connection
) -> None:
    guard = Beating(paced)
    say(paced, standbys=["replica1"], lag=1.0)
    done: list[int] = []

    def work() -> None:
        with Migration(connection, "m", poll=0.02) as migration:
            for batch in migration.pace(range(20), window=True):
                connection.execute(BATCH, [400_000])
                done.append(batch)

    def acknowledged() -> int:
        rows = paced.execute("select acknowledged_epoch from migration_guard.run")
        return int(rows[0][0]) if rows else 0

    try:
        world.standby.pause_replay()
        with in_thread(work):
            # Full after a megabyte, whatever comes of its two batches that may be under way.
            wait_for(lambda: paced.execute("select bytes > 1048576 from migration_guard.unreplayed()") == [(True,)])
            wait_for(lambda: 3 <= len(done) <= 4)
            guard.say("pause")
            wait_for(lambda: acknowledged() == guard.epoch)
            guard.say("proceed")
            wait_for(lambda: acknowledged() == guard.epoch)
            assert len(done) <= 4
            world.standby.resume_replay()
        assert done == list(range(20))
    finally:
        world.standby.resume_replay()
        guard.stop()


def test_who_is_starved_by_others_has_a_note_that_says_so_until_it_is_over(
    world: World, paced: Database, connection: Connection
) -> None:
    guard = Beating(paced)
    words: list[Any] = []

    def note() -> str:
        rows = paced.execute("select note from migration_guard.run")
        return str(rows[0][0]) if rows else ""

    def work() -> None:
        pacer = Pacer(connection, standbys=1, pause_limit=1.0, alert_after=0.3, on_wait=words.append)
        with Migration(connection, "m", poll=0.02) as migration:
            migration.progress(note="half way")
            for _ in migration.pace(range(2), window=pacer):
                time.sleep(1.1)  # what is noted is written once a second

    try:
        world.standby.pause_replay()
        world.write(1_500_000, times=2)
        with in_thread(work):
            wait_for(lambda: note().startswith("half way; starved by other writers ("), within=20)
            world.standby.resume_replay()
        assert note() == "half way"
    finally:
        world.standby.resume_replay()
        guard.stop()
