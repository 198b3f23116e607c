"""Rules on a real Prometheus that scrapes an application: readings, breaches, and each way of knowing nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from guard.cli.past import Past, ask
from guard.errors import Refused
from guard.judge.baselines import LEAST, NONE_YET, Known, take
from guard.judge.verdicts import Streak, judge
from guard.model import Baseline, Level, Reading, Rule, Sample, Silence
from guard.poll.prometheus import PrometheusProbe
from guard.settings import Settings, load
from guard.sources import application_probe, histories_of
from tests.fix_matrix import Took
from tests.real_prometheus import SCRAPE, WINDOW, Application, Prometheus
from tests.waiting import wait_for

LATE = 8.0
"""Seconds that a busy machine may add."""
FILE = """
[database.main]
dsn = "host=db1 dbname=app user=guard"
standbys = []

[[rule]]
name       = "errors"
prometheus = 'sum(rate(http_requests_total{{code=~"5.."}}[{w}s])) / sum(rate(http_requests_total[{w}s]))'
pause      = "> 1%"
resume     = "< 0.5%"
no_data    = "pause for 100ms"

[[rule]]
name        = "errors of enough"
prometheus  = 'sum(rate(http_requests_total{{code=~"5.."}}[{w}s])) / sum(rate(http_requests_total[{w}s]))'
traffic     = 'sum(rate(http_requests_total[{w}s]))'
min_traffic = 5
pause       = "> 1%"
no_data     = "pause for 100ms"

[[rule]]
name       = "p99"
prometheus = 'histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket[{w}s])))'
pause      = "> 1.5x baseline and > 200ms"
resume     = "< 1.2x baseline"
no_data    = "pause for 100ms"

[[rule]]
name       = "typo"
prometheus = 'sum(rate(http_request_total[{w}s]))'
pause      = "> 1"
no_data    = "pause for 100ms"

[prometheus]
url = "{url}"
"""


class Eye:
    """Reads one rule as the guard does, and judges what it read."""

    def __init__(self, settings: Settings, rule: Rule, runner: asyncio.Runner) -> None:
        probe = application_probe(settings, rule)
        assert isinstance(probe, PrometheusProbe)
        self.probe, self.rule = probe, rule
        self._past = histories_of(settings, [rule])[rule.name]
        self._runner = runner
        self._settings = settings
        self._streak = Streak()
        self.known: Known = NONE_YET

    def remembered(self, seconds: float) -> Past:
        """What limits would be suggested from."""
        return ask(self._settings, [self.rule], seconds)[self.rule.name]

    def look(self) -> tuple[Sample, Level]:
        """One poll, and the verdict on it."""
        (sample,) = self._runner.run(self.probe.poll()).samples
        verdict, self._streak = judge(self.rule, self._streak, sample, time.monotonic(), known=self.known)
        return sample, verdict.level

    def until(self, level: Level, why: str = "", *, within: float) -> Sample:
        """Look each 50 ms until that is the verdict, for this reason; what was seen is in the failure."""
        seen: list[tuple[Sample, Level]] = []

        def reached() -> bool:
            seen.append(self.look())
            sample, found = seen[-1]
            return found is level and (not why or (isinstance(sample, Silence) and why in sample.why))

        message = f"{self.rule.name} {level} {why}"
        wait_for(reached, within=within + LATE, every=0.05, message=lambda: f"{message}: {seen[-5:]}")
        return seen[-1][0]

    def value(self) -> float:
        """The reading that there must be."""
        sample, _ = self.look()
        assert isinstance(sample, Reading), sample
        return sample.value

    def settle(self, seconds: float) -> None:
        """Take the last so many seconds for what is usual."""
        now = time.time()
        past = self._runner.run(self._past.samples(now - seconds, now))
        self.known = take(past, self.rule.name, seconds, self._past.source)

    def history(self, seconds: float) -> list[float]:
        """What it read in the last so many seconds."""
        now = time.time()
        return [value for _, value in self._runner.run(self._past.samples(now - seconds, now))]


class Shop:
    """An application, its Prometheus, and a rule of each kind."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.application = Application()
        stack.callback(self.application.stop)
        self.prometheus = Prometheus(directory, self.application)
        stack.callback(self.prometheus.kill)
        self.prometheus.start()
        file = directory / "guard.toml"
        file.touch(0o600)
        file.write_text(FILE.format(w=WINDOW, url=self.prometheus.url))
        settings = load(file)
        runner = stack.enter_context(asyncio.Runner())
        self.errors, self.enough, self.p99, self.typo = (Eye(settings, rule, runner) for rule in settings.rules)
        for eye in (self.errors, self.enough, self.p99, self.typo):
            stack.callback(lambda eye=eye: runner.run(eye.probe.close()))  # type: ignore[misc]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """All is well, and known."""
    with ExitStack() as stack:
        shop = Shop(tmp_path_factory.mktemp("prometheus"), stack)
        shop.errors.until(Level.FINE, within=WINDOW)
        wait_for(
            lambda: len(shop.p99.history(WINDOW)) > LEAST,
            within=WINDOW + LATE,
            message="what p99 was",
            ignoring=(Refused,),
        )
        shop.p99.settle(WINDOW)
        yield shop


@pytest.fixture(autouse=True)
def _well(shop: Shop) -> None:
    """Each test begins with an application that does well."""
    shop.application.rate, shop.application.errors, shop.application.slow = 100.0, 0.0, 0.0
    shop.errors.until(Level.FINE, within=WINDOW)
    shop.p99.until(Level.FINE, within=WINDOW)


def test_a_share_of_errors_and_a_slow_p99_breach_their_limits_and_end(shop: Shop, took: Took) -> None:
    assert shop.errors.value() == 0.0
    assert 0.04 < shop.p99.value() <= 0.05
    shop.application.errors, shop.application.slow = 0.2, 0.2
    with took.within(2 * SCRAPE + LATE):  # the first scrape that sees an error is above 1 % of the window at once
        shop.errors.until(Level.PAUSE, within=2 * SCRAPE)
    shop.p99.until(Level.PAUSE, within=2 * SCRAPE)
    full = WINDOW + LATE
    wait_for(lambda: 0.15 < shop.errors.value() < 0.25 and 0.9 < shop.p99.value() <= 1.0, within=full, every=0.05)
    shop.application.errors, shop.application.slow = 0.0, 0.0
    shop.errors.until(Level.FINE, within=WINDOW)
    shop.p99.until(Level.FINE, within=WINDOW)
    assert 0.1 < max(shop.errors.history(WINDOW + LATE)) < 0.25  # it remembers
    assert isinstance(shop.p99.known, Baseline)
    assert 0.04 < shop.p99.known.value <= 0.05  # what is usual stays what it was before


@pytest.mark.fault(48)
def test_a_target_that_stopped_is_unknown_and_never_well_and_comes_back_without_a_false_alarm(shop: Shop) -> None:
    shop.application.errors = 0.2
    shop.errors.until(Level.PAUSE, within=2 * SCRAPE)
    shop.application.stop()
    try:
        for eye in (shop.errors, shop.p99):
            eye.until(Level.UNKNOWN, "the query gives no series", within=WINDOW + SCRAPE)
        shop.enough.until(Level.UNKNOWN, "traffic: the query gives no series", within=WINDOW + SCRAPE)
        for _ in range(5):
            assert isinstance(shop.errors.look()[0], Silence)
    finally:
        shop.application.errors = 0.0
        shop.application.start()  # its counters begin anew
    sample = shop.errors.until(Level.FINE, within=WINDOW)
    assert isinstance(sample, Reading)
    assert sample.value == 0.0
    assert shop.errors.look()[1] is Level.FINE
    shop.p99.until(Level.FINE, within=WINDOW)


@pytest.mark.fault(47)
def test_nothing_divided_by_nothing_is_unknown_while_nobody_asks_anything(shop: Shop) -> None:
    shop.application.rate = 0.0
    shop.errors.until(Level.UNKNOWN, "the query gives NaN", within=WINDOW)
    shop.p99.until(Level.UNKNOWN, "the query gives NaN", within=WINDOW)
    shop.enough.until(Level.FINE, "traffic 0 < 5", within=WINDOW)


def test_an_error_at_night_is_no_breach_where_traffic_is_asked_for(shop: Shop) -> None:
    shop.application.rate, shop.application.errors = 2.0, 0.5
    shop.errors.until(Level.PAUSE, within=WINDOW)
    shop.enough.until(Level.FINE, "traffic ", within=WINDOW)
    shop.application.rate = 100.0
    shop.enough.until(Level.PAUSE, within=WINDOW)


@pytest.mark.fault(47)
def test_a_metric_that_nobody_exports_is_unknown_not_zero(shop: Shop) -> None:
    shop.typo.until(Level.UNKNOWN, "the query gives no series", within=0.1)
    assert shop.typo.remembered(7 * 86_400).missing == "the query gives no series"


def test_what_limits_are_suggested_from_is_what_was_read(shop: Shop) -> None:
    shop.application.errors = 0.2
    shop.errors.until(Level.PAUSE, within=2 * SCRAPE)
    values = [point.value for point in shop.errors.remembered(60).points]
    assert values[-1] == pytest.approx(shop.errors.value(), abs=0.1)
    assert min(values) == 0.0


@pytest.mark.fault(44)
def test_a_prometheus_that_was_killed_is_unknown_until_it_has_scraped_again(shop: Shop) -> None:
    shop.prometheus.kill()
    try:
        shop.errors.until(Level.UNKNOWN, "connection refused", within=SCRAPE)
    finally:
        shop.prometheus.start()
    sample = shop.errors.until(Level.FINE, within=WINDOW)
    assert isinstance(sample, Reading)
    assert sample.value == 0.0
    shop.p99.until(Level.FINE, within=WINDOW)
