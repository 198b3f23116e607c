"""The line between guard and database breaks without a word: the migration holds, and nobody leads twice."""

import time

import pytest
from psycopg import conninfo

from tests.acceptance.conftest import Alone
from tests.acceptance.house import FRESH_FOR, LEASE, NOISE
from tests.acceptance.scenario import Play
from tests.acceptance.telling import wait_told
from tests.fix_matrix import Took
from tests.fix_network import Network
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance

FAR = "127.77.0.1"
"""The database's address for the guard alone."""
SERVER_NOTICES = 5 + 3 * 2.0
"""Seconds of keepalives after which the server ends a session that nobody answers for."""


@pytest.mark.fault(32)
def test_while_the_line_is_half_open_the_migration_holds_and_goes_on_soon_after_it_is_mended(play: Play) -> None:
    play.at(1).freeze("line")
    term = play.house.lease()["term"]
    play.holds(within=LEASE + FRESH_FOR + NOISE)
    wait_told(play.house, "migration-guard cannot signal: signal: ")
    # Long enough for every probe to have failed more than once, so that each of them waits between two tries.
    play.no_batch_between(8, 9).thaw("line").proceeds(within=4)
    assert play.house.lease()["term"] == term + 1
    wait_told(play.house, "migration-guard cannot signal")
    wait_told(play.house, "migration-guard can signal again")
    play.never("cancelled")


@pytest.mark.root
@pytest.mark.fault(32)
def test_where_packets_are_dropped_the_server_lets_go_of_the_guards_lock_by_itself_and_the_guard_leads_when_healed(
    own_network: Network, alone: Alone, took: Took
) -> None:
    house, cluster = alone(listen_addresses=f"127.0.0.1,{FAR}")
    house.dsn = conninfo.make_conninfo(house.database.dsn("guard_login"), host=FAR)
    house.guard = 'probe_deadline = "1s"'
    house.serve()
    migrating = house.wait_migrating()
    sessions = b"select pid from pg_stat_activity where application_name like 'migration\\_guard/%'"
    assert cluster.primary.execute(sessions) != []
    own_network.drop(FAR)
    cut = time.time()
    with took.within(SERVER_NOTICES + 1 + NOISE):
        wait_for(lambda: cluster.primary.execute(sessions) == [], within=20, every=0.2)
    assert max(migrating.starts) < cut + LEASE + FRESH_FOR + NOISE
    own_network.heal()
    healed = time.time()
    wait_for(lambda: migrating.starts[-1] > healed, within=5)
    wait_told(house, "migration-guard cannot signal")
    wait_told(house, "migration-guard can signal again")
