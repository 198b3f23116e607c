"""Migrations that are told to pause and go on all the same, with the real daemon: each climbs as far as it may."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import psycopg
import pytest

from tests.acceptance.house import House
from tests.fix_matrix import Took
from tests.fix_sessions import Background
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance

Start = Callable[[str, str], Background]
SWALLOWS = """do $$ begin loop
  begin update t set v = 7 where id = 7; perform pg_sleep(0.05); exception when query_canceled then null; end;
end loop; end $$"""


class Deaf:
    """A migration that registers, never asks, and tries again whatever happens to it."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.wrote: list[float] = []
        self.met: list[str] = []
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ends.is_set():
            try:
                self._work()
            except psycopg.Error as error:
                self.met.append(type(error).__name__)
                if isinstance(error, psycopg.OperationalError) and error.sqlstate != "57014":
                    return

    def _work(self) -> None:
        with self._house.database.connect("migrator", application_name="migration:deaf") as connection:
            connection.execute("select migration_guard.register('deaf')")
            while not self._ends.is_set():
                try:
                    connection.execute("update t set v = v where id between 1 and 3000")
                except psycopg.errors.QueryCanceled as error:
                    self.met.append(type(error).__name__)
                else:
                    self.wrote.append(time.time())

    def close(self) -> None:
        self._ends.set()
        self._thread.join(10)


def strict(house: House, ignored: str, grace: str = "3s") -> None:
    """Serve with this policy."""
    house.roles += f'\ngrace = "{grace}"\nignored = "{ignored}"'
    house.serve()


def headlines(house: House, kind: str, migration: str) -> list[str]:
    query = """select payload->'notice'->>'headline' from migration_guard.event
                where kind = %s and migration = %s order by event_id"""
    return [row[0] for row in house.database.execute(query, [kind, migration])]


def told(house: House, kind: str, migration: str, within: float = 20.0) -> str:
    """The first notice of a kind about a migration, once it is there."""
    return wait_for(
        lambda: headlines(house, kind, migration),
        within=within,
        message=lambda: f"{kind} of {migration} in {house.events()}\n{house.processes[0].text()[-2000:]}",
    )[0]


@pytest.mark.fault(58, 35)
def test_one_that_never_asks_is_cancelled_then_terminated_then_aborted_so_that_it_stays_down(
    house: House, took: Took
) -> None:
    strict(house, "abort", grace="1s")
    deaf = Deaf(house)
    try:
        house.wait_order("proceed", "deaf")
        wait_for(lambda: len(deaf.wrote) > 3)
        house.load(9)
        house.wait_order("pause", "deaf")
        paused = time.time()
        house.wait_order("abort", "deaf", within=20)
        took(time.time() - paused)
        assert headlines(house, "stopped", "deaf") == [
            "deaf cancelled, since it did not pause",
            "deaf terminated, since it did not pause",
        ]
        # A cancel may come just after a statement; that the session was ended may be heard as a line that broke.
        assert set(deaf.met) - {"QueryCanceled"} <= {"AdminShutdown", "OperationalError"}
        assert deaf.met
        assert max(deaf.wrote) > paused + 1 - 0.5  # it had its grace
        ended = time.time()
        assert max(deaf.wrote) < ended
        with house.database.connect("migrator", application_name="migration:deaf") as again:
            again.execute("select migration_guard.register('deaf')")
            with pytest.raises(psycopg.Error, match="is aborted: it was told to pause and did not") as refused:
                again.execute("select migration_guard.require_proceed('deaf')")
            assert refused.value.sqlstate == "MG001"
        house.assert_all_told()
    finally:
        deaf.close()


@pytest.mark.fault(58, 35, 34, 24)
def test_what_swallows_a_cancel_idles_in_a_transaction_or_is_a_superusers_ends_as_far_as_it_can_be_ended(
    house: House, background: Start, took: Took
) -> None:
    strict(house, "terminate")
    names = {"stubborn": "migrator", "rude": "migrator", "strong": "postgres"}
    sessions = {
        name: background(house.database.dsn(user), f"select migration_guard.register('{name}')")
        for name, user in names.items()
        if name != "rude"
    }
    rude = house.database.connect("migrator", application_name="migration:rude")
    rude.execute("select migration_guard.register('rude')")
    for name in names:
        house.wait_order("proceed", name)
    for name, statement in {
        "stubborn": SWALLOWS,
        "strong": "update t set v = 8 where id = 8; select pg_sleep(60)",
    }.items():
        sessions[name].wait()
        sessions[name].restart(statement)
    for statement in ("begin", "update t set v = 9 where id = 9"):
        rude.execute(statement.encode())
    house.load(9)
    house.wait_order("pause", "stubborn")
    paused = time.time()
    assert told(house, "paused_inside", "rude") == "rude is paused inside a transaction"
    assert house.events("stopped") == []
    assert told(house, "stopped", "rude") == "rude terminated, since it did not pause"
    assert time.time() > paused + 3 - 0.5
    with pytest.raises(psycopg.OperationalError, match="administrator command"):
        rude.execute("commit")
    sessions["stubborn"].wait(20)
    took(time.time() - paused)
    assert isinstance(sessions["stubborn"].error, psycopg.errors.AdminShutdown)
    wait_for(lambda: len(headlines(house, "stopped", "stubborn")) == 2)
    assert headlines(house, "stopped", "stubborn") == [
        "stubborn was cancelled, since it did not pause, and is still at work",
        "stubborn terminated, since it did not pause",
    ]
    assert "superuser" in told(house, "cancel_failed", "strong")
    assert len(headlines(house, "cancel_failed", "strong")) == 1
    assert sessions["strong"].running
    assert house.database.execute("select id from t where v > 0") == []
    rude.close()
