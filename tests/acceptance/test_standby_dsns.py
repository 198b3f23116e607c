"""A standby that the primary does not show, asked itself by the real daemon: it pauses, and is named."""

import signal
import time

import pytest

from tests.acceptance.conftest import Alone
from tests.acceptance.house import LAG, NOISE
from tests.command import command
from tests.fix_matrix import Took
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance
ONE = LAG.replace('name   = "lag"', 'name   = "reports"\nselect = {{ standby = "replica2" }}')
QUICK = 'no_data = "pause for 300ms"\nresume'
SERIES = "replication.lag{standby=replica2}"


@pytest.mark.fault(39)
def test_a_standby_behind_another_pauses_by_its_own_word_and_its_series_is_named_everywhere(
    alone: Alone, took: Took
) -> None:
    house, cluster = alone(2)
    first, second = cluster.standbys
    second.follow(first.port, cluster.primary)
    wait_for(lambda: first.execute("select 1 from pg_stat_replication where state = 'streaming'"))
    wait_for(lambda: len(cluster.primary.execute("select 1 from pg_stat_replication")) == 1)
    house.standbys, house.rules = '["replica1", "replica2"]', (LAG + ONE).replace("resume", QUICK)
    daemon = house.serve()
    migrating = house.migrate()
    wait_for(lambda: "replica2 is not connected" in house.order().get("because", ""))
    house.more = f'[database.main.standby_dsns]\nreplica2 = "{second.dsn("guard_login")}"\n'
    house.write()
    daemon.send(signal.SIGHUP)
    migrating.wait_starts()
    before = len(house.events("paused"))
    second.pause_replay()
    began = time.time()
    paused = house.wait_event("paused", before + 1)
    took(paused[1] - began)
    assert 1 - 0.2 < paused[1] - began < 2.5 + NOISE
    wait_for(lambda: SERIES in house.order().get("because", ""), message=lambda: str(house.lease()))
    assert "asked itself, replay is paused" in house.order()["because"]
    explained = command("explain", "backfill", "-c", str(house.file))
    assert f"{SERIES} " in explained.out, explained.said
    second.resume_replay()
    house.wait_event("resumed", len(house.events("paused")))
    migrating.wait_starts()
    house.assert_kept_to_orders(migrating)
    assert second.password not in daemon.text() + explained.said
