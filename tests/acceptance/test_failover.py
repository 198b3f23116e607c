"""A standby is promoted and the guard knows both hosts: it leads on the new primary, and the old side stands still."""

import time

import pytest

from guard.demo.embedded import Cluster, Server
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
