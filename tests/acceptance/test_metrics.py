"""The real daemon beside a real Prometheus: what is scraped, what a dashboard draws of it, and what an alert says."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from guard.demo.proxy import Proxy
from guard.show.probing.catalogue import PREFIX
from tests.acceptance.house import LEASE, NOISE, House
from tests.real_prometheus import Prometheus
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "docs" / "grafana" / "migration-guard.json"
ALERTS = ROOT / "docs" / "prometheus" / "alerts.yml"
SCRAPE = 0.5
VARIABLES = {"$database": ".*", "$__rate_interval": "10s"}
"""What Grafana would put in their place."""


@pytest.fixture
def page(house: House) -> str:
    """The address of the daemon's page."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    house.more += f'\n[page]\nlisten = "{address}"\n'
    return address


@pytest.fixture
def prometheus(page: str, tmp_path: Path) -> Iterator[Prometheus]:
    """It scrapes the daemon and knows the alert rules; it is not started yet."""
    prometheus = Prometheus(tmp_path, jobs={"migration-guard": page}, rules=[ALERTS], scrape=SCRAPE)
    yield prometheus
    prometheus.kill()


def expressions() -> dict[str, str]:
    """Every expression of the dashboard, as Grafana would ask it, by where it stands."""
    panels: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    found = {f"{panel['title']} {target['refId']}": target["expr"] for panel in panels for target in panel["targets"]}
    for name, value in VARIABLES.items():
        found = {place: text.replace(name, value) for place, text in found.items()}
    return found


def get(page: str, path: str) -> httpx.Response:
    """What is answered; asked again where the page is not open yet, or a reload opens it anew."""
    return wait_for(
        lambda: httpx.get(f"http://{page}{path}", timeout=10, trust_env=False),
        within=15,
        message="the page",
        ignoring=(httpx.NetworkError, httpx.RemoteProtocolError),
    )


def last_200(page: str, path: str) -> float:
    """Until when it was answered so, by the monotonic clock; waits for the first 500."""
    last = float("-inf")

    def over() -> bool:
        nonlocal last
        at, code = time.monotonic(), get(page, path).status_code
        last = at if code == 200 else last
        return code == 500

    wait_for(over, within=20, every=0.05, message="a 500")
    return last


def told_by(page: str, name: str) -> float:
    """What the daemon itself says of a series, or of a metric that has but one."""
    (value,) = re.findall(rf"^{PREFIX}{re.escape(name)}(?:{{.*}})? (\S+)$", get(page, "/metrics").text, re.MULTILINE)
    return float(value)


def test_a_run_through_a_pause_is_scraped_drawn_and_checked_and_a_dead_daemon_is_an_alert(
    house: House, page: str, prometheus: Prometheus
) -> None:
    daemon = house.serve()
    prometheus.start()
    assert get(page, "/healthz").text.startswith("ok main: ")
    assert get(page, "/check/backfill").status_code == 404
    house.wait_migrating()
    wait_for(lambda: get(page, "/check/backfill").status_code == 200, within=15, message="a 200 of /check")
    house.load(9)
    house.wait_event("effective")
    told = get(page, "/check/backfill?why")
    assert (told.status_code, len(told.text.splitlines())) == (429, 2)
    assert told.text.startswith("pause: backfill on main: load (http) 9 > 5")
    assert httpx.head(f"http://{page}/check/backfill", timeout=10, trust_env=False).status_code == 429

    of_main = f'{PREFIX}migration_order{{database="main",migration="backfill"}}'
    wait_for(lambda: [value for _, value in prometheus.ask(of_main)] == [1], within=20, message="a scrape of the pause")
    missing = expressions()

    def nothing_is_missing() -> bool:
        for place in [place for place, text in missing.items() if prometheus.ask(text)]:
            del missing[place]
        return not missing

    wait_for(nothing_is_missing, every=0.3, within=20, message=lambda: f"series of {missing}")
    named = set(re.findall(rf"\b{PREFIX}\w+", ALERTS.read_text()))
    assert {name for name in named if not prometheus.ask(name)} == set()
    (held,) = prometheus.ask(f"{PREFIX}pause_effective_seconds_count")
    assert held[1] == 1
    assert [value for _, value in prometheus.ask(f"{PREFIX}pauses_total")] == [1]
    wait_for(
        lambda: prometheus.alerts()["MigrationPausedTooLong"] == "pending",
        within=20,
        message="the pause as an alert to be",
    )

    house.load(0)
    house.wait_event("resumed")
    wait_for(
        lambda: [value for _, value in prometheus.ask(of_main)] == [0], within=20, message="a scrape of the resume"
    )
    wait_for(
        lambda: set(prometheus.alerts().values()) == {"inactive"},
        within=20,
        message=lambda: f"no alert to be left of {prometheus.alerts()}",
    )
    daemon.kill()
    wait_for(
        lambda: prometheus.alerts()["MigrationGuardDown"] == "pending", within=20, message="the daemon to be missed"
    )


@pytest.mark.fault(9, 32)
def test_a_refused_reload_shows_and_a_guard_that_cannot_write_its_orders_lets_nobody_go_on(
    house: House, proxy: Proxy, page: str
) -> None:
    house.dsn = proxy.dsn(house.database.dsn("guard_login"))
    daemon = house.serve()
    house.wait_migrating()
    wait_for(lambda: get(page, "/check/backfill").status_code == 200, within=15, message="a 200 of /check")
    registered = 'events_total{database="main",kind="registered"}'
    assert told_by(page, "reload_refused") == 0
    house.file.write_text(house.file.read_text() + "\n[nonsense]\n")
    daemon.send(signal.SIGHUP)
    wait_for(lambda: told_by(page, "reload_refused") == 1, within=15, message="a refused reload to be seen")
    house.write()
    daemon.send(signal.SIGHUP)
    wait_for(lambda: told_by(page, "reload_refused") == 0, within=15, message="a reload to be seen")
    assert told_by(page, registered) == 1  # what was counted goes on

    cut = time.monotonic()
    proxy.freeze()
    assert last_200(page, "/check/backfill") <= cut + LEASE + NOISE
    assert get(page, "/healthz").status_code == 200  # a restart would not bring the server back
    wait_for(lambda: told_by(page, "can_signal") == 0, within=20, message="it to know that it cannot signal")
    wait_for(lambda: told_by(page, "lease_remaining_seconds") < 0, within=20, message="the lease to be over")
