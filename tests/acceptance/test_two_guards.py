"""Two guards for one database: one leads, and the other says who does and writes nothing."""

import shutil

import pytest

from guard.demo.proxy import Proxy
from tests.acceptance.house import House
from tests.fix_matrix import Took
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance


def written(house: House) -> list[tuple[object, ...]]:
    """Who has written to the audit trail and under which term, in order and each once."""
    rows = house.database.execute("select guard_id, term from migration_guard.event order by event_id")
    return list(dict.fromkeys(rows))


@pytest.mark.fault(7)
def test_a_guard_that_was_cut_off_and_replaced_says_that_it_is_fenced_and_writes_nothing_more(
    house: House, proxy: Proxy, took: Took
) -> None:
    house.dsn = proxy.dsn(house.database.dsn("guard_login"))
    first = house.serve(identity="first")
    migrating = house.wait_migrating()
    term = house.lease()["term"]
    proxy.freeze()
    # What the server does by itself once it has waited long enough for the other end.
    house.database.execute("select pg_terminate_backend(pid) from migration_guard.leader")
    house.dsn = ""
    house.serve(identity="second", state="state2")
    wait_for(lambda: (house.lease()["guard_id"], house.lease()["term"]) == ("second", term + 1))
    migrating.wait_starts()
    house.load(9)
    house.wait_event("paused")
    proxy.heal()
    with took.within(10):  # by then it may have come to try every few seconds only
        assert first.wait(15) == 3
    assert "fenced: Guard second on 127.0.0.1" in first.text()
    assert "this guard writes nothing more" in first.text()
    house.load(0)
    migrating.wait_starts(10)
    assert (house.lease()["guard_id"], house.lease()["term"]) == ("second", term + 1)
    assert written(house) == [("first", term), ("second", term + 1)]
    house.assert_kept_to_orders(migrating)


@pytest.mark.fault(6)
@pytest.mark.parametrize("at_work", [True, False])
def test_a_second_machine_with_the_same_id_is_refused_while_the_first_lives_beating_or_dormant(
    house: House, at_work: bool
) -> None:
    first = house.serve()
    if at_work:
        house.wait_migrating()
    else:
        wait_for(lambda: house.lease().get("mode") == "dormant")
    before = house.lease()
    second = house.serve(state="state2", wait=False)
    assert second.wait(20) == 3
    assert "Guard acceptance on 127.0.0.1 (pid" in second.text()
    assert "leads this database under the same id, and it is at work" in second.text()
    assert (house.lease()["term"], house.lease()["guard_id"]) == (before["term"], "acceptance")
    assert "fenced" not in first.text()


@pytest.mark.fault(6)
@pytest.mark.parametrize("known", [True, False])
def test_a_guard_killed_behind_a_broken_line_is_succeeded_by_itself_at_once_and_from_elsewhere_soon(
    house: House, proxy: Proxy, took: Took, known: bool
) -> None:
    house.dsn = proxy.dsn(house.database.dsn("guard_login"))
    first = house.serve()
    present = "select l.pid from migration_guard.leader l join pg_stat_activity using (pid)"
    wait_for(lambda: house.lease() and house.database.execute(present))
    term = house.lease()["term"]
    proxy.freeze()  # the server does not hear that the other end is gone
    first.kill()
    assert house.database.execute(present)
    if not known:
        shutil.rmtree(house.directory / "state")
    house.dsn = ""
    second = house.serve(wait=False)
    wait_for(lambda: house.lease().get("term", 0) > term, within=15, message=second.text)
    query = (
        "select extract(epoch from since - backend_start)::float8 from migration_guard.leader l "
        "join pg_stat_activity using (pid)"
    )
    [(waited,)] = house.database.execute(query)
    took(waited)
    assert waited < 2.0 if known else 2.0 < waited < 6.0
