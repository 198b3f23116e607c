"""Rules on the application's own figures under the real daemon: a counter by its growth, and too little traffic."""

import json
import socket
import time
from collections.abc import Callable

import pytest

from tests.acceptance.house import NOISE
from tests.acceptance.scenario import Play
from tests.fix_http import Endpoint, answer, prometheus

pytestmark = pytest.mark.acceptance

COUNTED = """
[[rule]]
name    = "counted"
http    = "{url}"
json    = "v"
as      = "rate"
pause   = "> 40"
resume  = "< 20 for 200ms"
no_data = "pause for 2s"
"""
SHARE = """
[[rule]]
name        = "share"
prometheus  = "errors"
traffic     = "requests"
min_traffic = 5
pause       = "> 1%"
resume      = "< 0.5% for 200ms"
no_data     = "pause for 500ms"
"""


class Counter:
    """Grows by `speed` a second, and answers so."""

    def __init__(self, endpoint: Endpoint, value: float) -> None:
        self._value, self._speed, self._at = value, 0.0, time.monotonic()
        endpoint.reply = self._tell

    def begin_anew(self) -> None:
        """As a process that was restarted does."""
        self._value, self._at = 0.0, time.monotonic()

    def grow(self, speed: float) -> None:
        """From now on by so much a second."""
        self._value, self._at, self._speed = self.now, time.monotonic(), speed

    @property
    def now(self) -> float:
        return self._value + self._speed * (time.monotonic() - self._at)

    def _tell(self, client: socket.socket) -> None:
        client.sendall(answer(json.dumps({"v": self.now}).encode()))


class Shop:
    """Stands in Prometheus' place, and tells of requests and of the share that fails; None: no series."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.requests: float | None = 1.0
        self.errors = 0.5
        self._endpoint = endpoint
        endpoint.reply = self._tell

    def _tell(self, client: socket.socket) -> None:
        value = self.requests if "query=requests" in self._endpoint.requests[-1] else self.errors
        stamped = [] if value is None else [{"metric": {}, "value": [time.time(), str(value)]}]
        client.sendall(prometheus(stamped))


@pytest.mark.fault(48)
def test_a_counter_pauses_by_its_growth_alone_and_too_little_traffic_neither_pauses_nor_lets_go(
    play: Play, make_endpoint: Callable[[], Endpoint]
) -> None:
    source = make_endpoint()
    shop, counter = Shop(source), Counter(play.house.endpoint, 1e9)
    play.house.rules, play.house.standbys = COUNTED + SHARE, "[]"
    play.house.more = f'[prometheus]\nurl = "{source.url}"\n'

    def tells(requests: float | None, errors: float) -> Callable[[], None]:
        def change() -> None:
            shop.requests, shop.errors = requests, errors

        return change

    # The counter is high, and half of next to nothing fails: nobody is kept from beginning by either.
    play.at(0.7).never("paused")
    tells(10.0, 0.0)()
    play.happens(lambda: counter.grow(200)).paused(within=0.5 + NOISE, because="counted (http, per second) ")
    play.happens(lambda: counter.grow(0)).proceeds(within=2)
    play.happens(counter.begin_anew)
    play.at(play.now + 0.7).never("aborted")
    assert len(play.house.events("paused")) == 1

    play.happens(tells(10.0, 0.5)).paused(within=0.3 + NOISE, because="share (prometheus) 50 % > 1%")
    play.happens(tells(1.0, 0.0)).holds(within=0.5 + NOISE)
    play.happens(tells(10.0, 0.0)).proceeds(within=1.0)
    play.happens(tells(None, 0.0)).paused(within=0.9 + NOISE, because="traffic: the query gives no series")
    play.all_told()
