"""A standby is promoted and the guard knows both hosts: it leads on the new primary, and the old side stands still."""

import time
from collections.abc import Callable

import pytest

from guard.demo.embedded import Cluster, Server
from guard.demo.proxy import Proxy
from tests.acceptance.conftest import Alone
from tests.acceptance.house import FRESH_FOR, LEASE, NOISE, House
from tests.fix_matrix import Took
from tests.fix_postgres import Database
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance

ONE_PRIMARY = """
[[rule]]
name    = "one primary"
metric  = "database.primaries"
pause   = "> 1"
resume  = "<= 1 for 500ms"
no_data = "ignore"
"""


class Pair:
    """A house whose guard knows both servers, and which of them we look at."""

    def __init__(self, house: House, cluster: Cluster) -> None:
        self.house, self.cluster = house, cluster
        self.old, self.new = cluster.primary, cluster.standby
        house.rules += ONE_PRIMARY
        self.knows(self.old.port, self.new.port)

    def knows(self, *ports: int) -> None:
        """The guard's connection string."""
        hosts = ",".join("127.0.0.1" for _ in ports)
        listed = ",".join(map(str, ports))
        self.house.dsn = f"host={hosts} port={listed} user=guard_login password={self.old.password} dbname=postgres"

    def look_at(self, server: Server) -> None:
        """What the house reads from now on, and where migrations connect to."""
        self.house.database = Database("postgres", server)

    def term(self, server: Server) -> int:
        """The term of the lease there; 0 where there is none."""
        rows = server.execute("select term from migration_guard.lease")
        return int(rows[0][0]) if rows else 0

    def wait_led(self, since_term: int) -> None:
        """Wait until the guard leads on the new primary."""
        wait_for(lambda: self.term(self.new) > since_term, within=15, message=self.house.processes[0].text)


@pytest.fixture
def pair(alone: Alone) -> Pair:
    """A primary, a standby that will be promoted, and a guard that knows both."""
    return Pair(*alone(1))


@pytest.mark.fault(19)
def test_a_standby_promoted_beside_the_living_primary_is_followed_and_the_old_side_stops(
    pair: Pair, took: Took
) -> None:
    house = pair.house
    daemon = house.serve()
    left_behind = house.wait_migrating()
    term = house.lease()["term"]
    pair.cluster.wait_replayed()
    pair.new.promote()
    promoted = time.time()
    pair.wait_led(term)
    took(time.time() - promoted)
    assert time.time() - promoted < 3 + NOISE
    wait_for(lambda: "leads now, and no longer" in left_behind.lines("waits")[-1]["words"], message=left_behind.text)

    told = f"127.0.0.1:{pair.new.port} (timeline 2) is the primary now"
    wait_for(lambda: any(told in str(request.payload) for request in house.slack.requests), message=daemon.text)

    # On the new side nobody begins while two say that they are the primary.
    pair.look_at(pair.new)
    on_the_new_side = house.migrate(name="next")
    said = wait_for(lambda: [line["words"] for line in on_the_new_side.lines("waits")][-1:], message=daemon.text)
    wait_for(lambda: "two primaries: 127.0.0.1" in on_the_new_side.lines("waits")[-1]["words"], message=str(said))
    assert on_the_new_side.starts == []
    # Until the old one is switched off.
    pair.old.stop("immediate")
    on_the_new_side.wait_starts()
    assert max(left_behind.starts) < promoted + LEASE + FRESH_FOR + NOISE
    assert "Traceback" not in daemon.text()


@pytest.mark.fault(19)
def test_after_the_primary_died_the_guard_leads_on_the_promoted_one_and_pauses_there_when_the_old_one_comes_back(
    pair: Pair, took: Took
) -> None:
    house = pair.house
    daemon = house.serve()
    migrating = house.wait_migrating()
    term = house.lease()["term"]
    pair.cluster.wait_replayed()
    pair.old.kill()
    assert migrating.wait() == 1  # its connection is gone
    pair.new.promote()
    promoted = time.time()
    # No word of before counts on the new timeline; a quick guard may have led there already.
    assert pair.term(pair.new) == 0 or pair.term(pair.new) > term
    pair.wait_led(term)
    took(time.time() - promoted)
    assert time.time() - promoted < 5 + NOISE
    pair.look_at(pair.new)
    again = house.wait_migrating()
    assert min(at for at in again.starts if at > promoted) > house.wait_event("started", 2)[1]

    # Nobody told the old one, and it takes itself for the primary still.
    pair.old.start()
    back = time.time()
    _, paused, because = house.wait_event("paused", within=5)
    assert "two primaries: 127.0.0.1:" in because
    assert "(timeline 1)" in because
    assert "(timeline 2)" in because
    assert paused < back + 2 + NOISE
    assert pair.term(pair.old) == 0
    pair.old.stop("immediate")
    house.wait_event("resumed")
    again.wait_starts()
    house.assert_kept_to_orders(again)
    again.kill()
    house.assert_each_row_once(again)
    assert "Traceback" not in daemon.text()


@pytest.mark.fault(19)
def test_a_first_host_that_swallows_every_packet_keeps_neither_the_start_nor_the_beat_waiting(
    pair: Pair, make_proxy: Callable[[int], Proxy]
) -> None:
    black_hole = make_proxy(pair.new.port)
    black_hole.freeze()
    pair.knows(black_hole.port, pair.old.port)
    pair.house.rules = pair.house.rules.replace(ONE_PRIMARY, "")
    daemon = pair.house.serve()
    migrating = pair.house.wait_migrating()
    migrating.wait_starts(20)
    assert pair.house.events("paused") == []
    beats = pair.house.lease()["beat"]
    wait_for(lambda: pair.house.lease()["beat"] >= beats + 2, within=3 + NOISE)
    assert "cannot signal" not in daemon.text()
    # Without a rule of one's own there is the built-in one.
    [(report,)] = pair.house.database.execute("select report::text from migration_guard.report")
    assert f"one primary: 127.0.0.1:{pair.old.port} (timeline 1)" in report


@pytest.mark.fault(19)
def test_an_old_primary_that_only_the_guard_cannot_reach_stops_by_the_lease_and_gets_no_word_when_it_is_back(
    pair: Pair, make_proxy: Callable[[int], Proxy], took: Took
) -> None:
    line = make_proxy(pair.old.port)
    pair.knows(line.port, pair.new.port)
    house = pair.house
    daemon = house.serve()
    left_behind = house.wait_migrating()
    term = house.lease()["term"]
    pair.cluster.wait_replayed()
    line.freeze()
    frozen = time.time()
    pair.new.promote()
    promoted = time.time()
    pair.wait_led(term)
    took(time.time() - promoted)
    assert time.time() - promoted < 5 + NOISE
    wait_for(lambda: "has been silent for" in left_behind.lines("waits")[-1]["words"], message=left_behind.text)
    pair.look_at(pair.new)
    on_the_new_side = house.wait_migrating(name="next")  # nobody has seen a second primary yet

    line.heal()
    _, _, because = house.wait_event("paused")
    assert f"two primaries: 127.0.0.1:{line.port} (timeline 1), 127.0.0.1:{pair.new.port} (timeline 2)" in because
    begun = len(on_the_new_side.starts)
    assert pair.term(pair.old) == term
    assert max(left_behind.starts) < frozen + LEASE + FRESH_FOR + NOISE
    pair.old.stop("immediate")
    wait_for(lambda: len(on_the_new_side.starts) > begun, message=daemon.text)
    house.assert_kept_to_orders(on_the_new_side)
    assert "Traceback" not in daemon.text()


@pytest.mark.fault(19)
def test_behind_one_name_that_moves_the_whole_guard_goes_along_with_the_first_session_that_does(
    alone: Alone, make_proxy: Callable[[int], Proxy], took: Took
) -> None:
    house, cluster = alone(1)
    old, new = cluster.primary, cluster.standby
    name = make_proxy(old.port)
    house.dsn = name.dsn(house.database.dsn("guard_login"))
    daemon = house.serve()
    left_behind = house.wait_migrating()
    cluster.wait_replayed()
    new.promote()
    name.target = new.port  # what is open stays open, as after a floating address was moved
    ours = "select count(*) from pg_stat_activity where application_name ~ '^migration_guard/'"
    assert old.execute(ours)[0][0] >= 4
    end = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'migration_guard/roster'"
    old.execute(end)
    ended = time.time()
    wait_for(lambda: old.execute(ours) == [(0,)], within=5 + NOISE, message=daemon.text)
    house.database = Database("postgres", new)
    on_the_new_side = house.wait_migrating(name="next")
    took(time.time() - ended)
    assert max(left_behind.starts) < ended + LEASE + FRESH_FOR + NOISE
    house.load(9)
    house.wait_order("pause", "next")
    house.assert_kept_to_orders(on_the_new_side)
    assert "Traceback" not in daemon.text()
