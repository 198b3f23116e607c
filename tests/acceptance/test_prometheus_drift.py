"""The real daemon and a real Prometheus that scrapes an application: what its p99 was before the run is the measure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.acceptance.scenario import Play
from tests.real_prometheus import SCRAPE, WINDOW, Application, Prometheus
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance

P99 = f"histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket[{WINDOW}s])))"
RULES = f"""
[[rule]]
name       = "p99"
prometheus = '{P99}'
pause      = "> 1.5x baseline and > 200ms"
resume     = "< 1.2x baseline for 200ms"
no_data    = "pause for 500ms"
[prometheus]
url = "PROMETHEUS"
"""
LATE = 1.5
"""Seconds that scrapes on a busy machine may add, and the rule's own times."""
GUARD = """
idle_interval = "400ms"
baseline_window = "12s"
"""
"""The guard's own readings would be enough for a baseline after 11 s; Prometheus knows at once."""


@pytest.fixture
def application(tmp_path: Path, play: Play) -> Iterator[Application]:
    """It does well, as its Prometheus has known for long enough to make a baseline of; the guard is not started."""
    with ExitStack() as stack:
        application = Application()
        stack.callback(application.stop)
        prometheus = Prometheus(tmp_path, application)
        stack.callback(prometheus.kill)
        prometheus.start()
        play.house.standbys, play.house.guard = "[]", GUARD
        play.house.rules = RULES.replace("PROMETHEUS", prometheus.url)
        wait_for(lambda: len(prometheus.values(P99, 12)) > 2 / SCRAPE, within=20, message="2 s of p99")
        yield application


@pytest.mark.fault(48)
def test_a_p99_that_drifts_from_what_prometheus_remembers_pauses_and_a_stopped_target_is_unknown(
    play: Play, application: Application
) -> None:
    play.begin()
    play.never("no_baseline")

    def slow(share: float) -> None:
        application.slow = share

    play.happens(lambda: slow(0.2))
    play.paused(within=2 * SCRAPE + LATE, because="s > 1.5x baseline")
    (because,) = [words for kind, _, words in play.house.events() if kind == "paused"]
    assert "from Prometheus over" in because
    play.happens(lambda: slow(0.0)).proceeds(within=WINDOW + 2 * SCRAPE + LATE)
    play.happens(application.stop).paused(within=WINDOW + 2 * SCRAPE + LATE, because="the query gives no series")
    play.all_told()
