"""Which messages people get of a whole course of things, and which they are spared."""

from collections.abc import Callable

import pytest

from tests.acceptance.house import LOAD, QUEUE, House
from tests.fix_postgres import MakeRole
from tests.fix_sessions import Background
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance
Start = Callable[[str, str], Background]


def headlines(house: House) -> list[str]:
    """Of the messages that Slack has taken, each id once, without their marks.

    A guard that is killed between Slack's answer and its own note of it sends the message again, by the same id.
    """
    blocks = {request.notice_id: request.payload["blocks"] for request in house.slack.requests}
    return [each[0]["text"]["text"].partition(" ")[2] for each in blocks.values()]


def test_orders_that_are_given_and_taken_back_while_the_guard_is_dead_are_told_once_when_it_is_back(
    house: House,
) -> None:
    daemon = house.serve()
    house.database.execute("select migration_guard.order_pause('*', 'ann', 'sale begins')")
    house.database.execute("select migration_guard.order_mute('*', 'load', 'ann', 'known')")
    wait_for(lambda: len(house.slack.taken) == 2)
    daemon.kill()
    house.database.execute("select migration_guard.withdraw('*', 'pause', 'ann')")
    house.database.execute("select migration_guard.order_override('backfill', 'bob', 'the guard is down')")
    house.serve()
    wait_for(lambda: len(house.slack.taken) == 4, message=lambda: str(headlines(house)))
    assert headlines(house) == [
        "all migrations: pause ordered by ann",
        'all migrations: mute of rule "load" ordered by ann',
        "backfill: override ordered by bob",
        "all migrations: the pause by ann is over",
    ]
    house.wait_migrating()
    house.assert_all_told()


def test_a_cancelled_lock_queue_takes_two_messages_and_a_migration_that_registers_is_never_an_unknown_one(
    house: House, background: Start, make_role: MakeRole
) -> None:
    make_role("application")
    house.database.execute(
        "create table other (); grant all on other to migrator; grant select on other to application"
    )
    house.rules = LOAD + QUEUE
    house.serve()
    migrating = house.wait_migrating()
    holder = background(house.database.dsn("migrator", application_name="ddl"), "lock table other; select pg_sleep(60)")
    held = "select 1 from pg_locks where relation = 'other'::regclass and mode = 'AccessExclusiveLock' and granted"
    wait_for(lambda: house.database.execute(held.encode()))
    for reader in [background(house.database.dsn("application"), "select from other") for _ in range(2)]:
        reader.wait(10)
    holder.wait()
    holder.close()
    seen = "select kind from migration_guard.event where migration = '*' order by event_id"
    wait_for(lambda: house.database.execute(seen.encode())[-1][0] in {"done", "ended"})
    migrating.kill()
    house.wait_event("gone")
    house.wait_migrating()
    house.assert_all_told()
    told = [headline for headline in headlines(house) if "unregistered" in headline]
    assert told == [
        "an unregistered migration holds up a queue",
        "an unregistered migration cancelled, the queue behind it is released",
    ]
    assert [kind for (kind,) in house.database.execute(seen.encode())].count("seen") == 1


def test_the_end_of_a_run_is_told_with_its_figures_also_by_a_guard_that_was_killed_meanwhile(house: House) -> None:
    house.rules = LOAD
    daemon = house.serve()
    migrating = house.wait_migrating()
    house.load(9)
    house.wait_event("paused")
    house.load(0)
    house.wait_event("resumed")
    daemon.kill()
    house.serve()
    migrating.wait_starts()
    # It reports at most once a second.
    wait_for(
        lambda: house.database.execute(b"select 1 from migration_guard.run where rows_done > 1 and batches_done > 1")
    )
    migrating.kill()
    house.wait_event("gone")
    house.assert_all_told()
    [payload] = [r.payload for r in house.slack.requests if "backfill vanished" in r.payload["text"]][:1]
    fields = dict(each["text"].split(": ", 1) for block in payload["blocks"] for each in block.get("fields", ()))
    assert fields["paused"].startswith("once, for ")
    assert fields["paused"].endswith(", by load")
    assert " rows in " in fields["done"]
    assert "when the guard was started anew" in fields["worst"]
