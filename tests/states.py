"""A server in each state in which PostgreSQL's views of replication are known to mislead.

Up to its yield a state is entered, after it left again; what the views show is asserted where a state is none without.
What a probe should make of it stands in the table of integration/test_states_of_replication.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from psycopg import conninfo
from psycopg.sql import SQL

from tests.replicating import IDLE_REPLY, MB, PERIOD, REPLY, Watching, World
from tests.waiting import wait_for

LAGGING = 0.5
"""Seconds that a standby is truly behind where the state is that it lags."""
Enter = Callable[[World, Watching], Iterator[None]]


def idle(world: World, watching: Watching) -> Iterator[None]:
    """The columns are NULL; and what exporters take for the lag, the age of the last transaction, grows."""
    world.wait_says("replay_lag is null")
    query = "select extract(epoch from now() - pg_last_xact_replay_timestamp())"
    wait_for(lambda: world.ask_standby(query)[0][0] > 1.0)
    yield


def busy(world: World, watching: Watching) -> Iterator[None]:
    for _ in range(5):
        world.write(100_000)
    yield


def stopped(world: World, watching: Watching) -> Iterator[None]:
    world.standby.pause_replay()
    world.write()
    world.wait_lag(LAGGING)
    yield
    world.standby.resume_replay()


def just_resumed(world: World, watching: Watching) -> Iterator[None]:
    world.standby.pause_replay()
    world.write()
    world.wait_lag(LAGGING)
    world.standby.resume_replay()
    world.wait_settled()
    yield


def frozen(world: World, watching: Watching) -> Iterator[None]:
    """The primary shows a standby that streams, and no lag."""
    with world.standby.frozen(world.standby.walreceiver_pid()):
        world.write(MB, 4)
        world.wait_lag(REPLY + 2 * PERIOD)
        assert world.says("state = 'streaming'")
        assert world.naive() < 0.5
        yield


def frozen_too_long(world: World, watching: Watching) -> Iterator[None]:
    world.set(wal_sender_timeout="1s")
    with world.standby.frozen(world.standby.walreceiver_pid()):
        wait_for(lambda: not world.says("true"))
        assert world.naive() == 0
        yield
    world.set(wal_sender_timeout=None)


def dead_line(world: World, watching: Watching) -> Iterator[None]:
    world.line.freeze()
    world.write()
    world.wait_lag(REPLY + 2 * PERIOD)
    assert world.says("state = 'streaming'")
    assert world.naive() < 0.5
    yield
    world.line.heal()


def dead_line_without_wal(world: World, watching: Watching) -> Iterator[None]:
    """By all that the primary shows but the age of the last reply, the standby is there and has replayed all."""
    watching.next(1)  # a beat that was under way
    world.wait_settled()
    world.line.freeze()
    world.wait_says(f"clock_timestamp() - reply_time > interval '{IDLE_REPLY + 2 * PERIOD} s'")
    # The server may log a running transaction meanwhile, which is a few bytes.
    assert world.says("state = 'streaming' and pg_current_wal_flush_lsn() - replay_lsn < 500")
    assert world.naive() < 0.5
    yield
    world.line.heal()


def down(world: World, watching: Watching) -> Iterator[None]:
    world.standby.stop()
    wait_for(lambda: not world.says("true"))
    assert world.naive() == 0
    for _ in range(2):
        world.write()
        world.primary.execute("select pg_switch_wal()")
    yield
    world.standby.start()


def catching_up(world: World, watching: Watching) -> Iterator[None]:
    """After a restart, with much to fetch: the column counts from sending."""
    # A standby that is started again reports for a moment less than it had replayed: the guard must have seen that too.
    world.write(MB)
    world.wait_settled()
    watching.next(3)
    world.standby.stop()
    world.write(MB, 32)
    watching.next(5)
    world.line.limit(3 * MB)
    world.standby.start()
    world.wait_says("state = 'catchup' and replay_lsn is not null and replay_lag is not null")
    assert world.naive() < world.truth_now()
    yield
    assert world.says("state = 'catchup'")
    world.line.limit(None)


def far_behind(world: World, watching: Watching) -> Iterator[None]:
    """It streams all the same."""
    world.line.limit(MB)
    world.write(MB, 12)
    world.wait_lag(LAGGING)
    assert world.says("state = 'streaming'")
    yield
    world.line.limit(None)


def base_backup(world: World, watching: Watching) -> Iterator[None]:
    backup = ("-D", "-", "-Ft", "-X", "none", "--max-rate=32k", "--checkpoint=fast")
    with world.tool("pg_basebackup", *backup):
        world.wait_says("state = 'backup'", "pg_basebackup")
        yield


def receivewal(world: World, watching: Watching) -> Iterator[None]:
    """It streams, and never replays: its replay_lag only grows."""
    with world.tool("pg_receivewal", "-D", "DIRECTORY", "--no-sync", "--status-interval=1"):
        world.wait_says(
            "state = 'streaming' and replay_lsn is null and replay_lag > interval '300 ms'", "pg_receivewal"
        )
        yield


def down_and_archived(world: World, watching: Watching) -> Iterator[None]:
    """Somebody streams all the time, and writes and flushes what he gets, but he is no standby."""
    with world.tool("pg_receivewal", "-D", "DIRECTORY", "--synchronous", "--status-interval=1"):
        world.standby.stop()
        world.write()
        world.wait_says("flush_lsn >= pg_current_wal_flush_lsn()", "pg_receivewal")
        yield
    world.standby.start()


def down_and_subscribed(world: World, watching: Watching) -> Iterator[None]:
    """A subscriber applies all that it is sent, and its walsender looks like that of a standby."""
    world.primary.execute("create database subscriber")
    world.primary.execute("create publication everything for all tables")
    world.primary.execute("select pg_create_logical_replication_slot('subscriber', 'pgoutput')")
    line = conninfo.make_conninfo(world.primary.dsn(), application_name="subscriber")
    subscribe = "create subscription s connection {} publication everything with (create_slot = false, slot_name = {})"
    world.primary.execute(SQL(subscribe).format(line, "subscriber"), dbname="subscriber")
    world.standby.stop()
    world.write()
    world.wait_says("state = 'streaming' and replay_lsn >= pg_current_wal_flush_lsn()", "subscriber")
    yield
    for end in ("disable", "set (slot_name = none)"):
        world.primary.execute(SQL("alter subscription s {}").format(SQL(end)), dbname="subscriber")
    world.primary.execute("drop subscription s", dbname="subscriber")
    wait_for(lambda: not world.says("true", "subscriber"))
    world.primary.execute("select pg_drop_replication_slot('subscriber')")
    world.primary.execute("drop publication everything")
    world.primary.execute("drop database subscriber")
    world.standby.start()


def slot_lost(world: World, watching: Watching) -> Iterator[None]:
    for name, at_once in (("late", "true"), ("unused", "false")):  # one that was never used keeps nothing
        world.ask_primary("select pg_create_physical_replication_slot(%s, %s)", name, at_once)
    world.set(max_slot_wal_keep_size="16MB")
    for _ in range(4):
        world.primary.execute("select pg_switch_wal() from pg_logical_emit_message(true, 'load', 'x')")
    world.wait_settled()
    world.primary.execute("checkpoint")
    ((status, kept),) = world.primary.execute(
        "select wal_status, pg_current_wal_lsn() - restart_lsn from pg_replication_slots where slot_name = 'late'"
    )
    assert (status, kept) == ("lost", None)
    yield
    world.primary.execute("select pg_drop_replication_slot(slot_name) from pg_replication_slots where not active")
    world.set(max_slot_wal_keep_size=None)


def not_permitted(world: World, watching: Watching) -> Iterator[None]:
    world.primary.execute("revoke pg_monitor from shipped_guard")
    yield
    world.primary.execute("grant pg_monitor to shipped_guard")


def primary_down(world: World, watching: Watching) -> Iterator[None]:
    world.primary.stop()
    yield
    world.primary.start()
