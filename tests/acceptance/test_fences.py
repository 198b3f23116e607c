"""A fence with the real daemon: what is due waits for its end or its time, and for no longer."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg
import pytest

from tests.acceptance.house import NOISE, QUEUE, House
from tests.acceptance.test_faults_locks import WAITED, Stage, shop  # noqa: F401 -- shop is a fixture
from tests.command import command
from tests.fix_matrix import Took
from tests.fix_sessions import Background
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance

Connection = psycopg.Connection[tuple[object, ...]]


def fenced(session: Connection, seconds: int, *statements: str) -> float:
    """Have the migration begin a fence, and say this in it; the wall time at which the fence ends."""
    session.execute("call migration_guard.fence('swap', 'cut-over', make_interval(secs => %s), '100 ms')", [seconds])
    [(until,)] = session.execute("select extract(epoch from until)::float8 from migration_guard.fence").fetchall()
    for statement in statements:
        session.execute(statement.encode())
    assert isinstance(until, float)
    return until


@pytest.mark.usefixtures("shop")
@pytest.mark.fault(34)
def test_a_queue_behind_a_fenced_migration_is_borne_until_its_section_or_its_time_is_over(
    house: House, background: Callable[[str, str], Background], took: Took
) -> None:
    house.rules, house.guard = QUEUE, 'longest_fence = "20s"\n'
    stage = Stage(house, background)
    house.serve()
    with house.database.connect("migrator", application_name="migration:swap") as session:
        fenced(session, 20, "begin", "lock table t")
        readers = stage.application("select count(*) from t", 2)
        waits = house.wait_event("cancel_waits")
        assert "fenced: cut-over, " in waits[2]
        assert waits[2].endswith(" of 20 s left")
        assert house.wait_order("pause", "swap")
        explained = command("explain", "swap", "-c", str(house.file))
        assert "fenced, so it was not to be cancelled (reported " in explained.out
        wait_for(lambda: time.time() > waits[1] + WAITED + 0.5)
        session.execute("commit")
        assert session.execute("select migration_guard.unfence('swap')").fetchall() == [(True,)]
        for reader in readers:
            reader.wait(5)
            assert reader.error is None
        assert house.events("cancelled") == []
        # The next fence is had only once the pause is over, and this one is too short.
        until = fenced(session, 2, "begin", "lock table t")
        assert house.order("swap")["kind"] == "proceed"
        readers = stage.application("select count(*) from t", 2)
        _, at, _ = house.wait_event("cancelled")
        took(at - until)
        assert until <= at < until + 1.5 + NOISE
        assert "its fence cut-over ran out after 2 s" in stage.told("cancelled")["sessions"]
        for reader in readers:
            reader.wait(5)
            assert reader.error is None
        with pytest.raises(psycopg.OperationalError, match="administrator command"):
            session.execute("commit")
    house.assert_all_told()
    assert len(house.events("cancel_waits")) == 2
