"""Fixtures: the line to a server, to be frozen, cut and healed."""

from collections.abc import Callable, Iterator

import pytest

from guard.demo.embedded import Server
from guard.demo.proxy import Proxy


@pytest.fixture
def make_proxy() -> Iterator[Callable[[int], Proxy]]:
    """``make_proxy(port)``: a line to that port of this machine; ends with the test."""
    made: list[Proxy] = []

    def make(port: int) -> Proxy:
        made.append(Proxy(port))
        return made[-1]

    yield make
    for proxy in made:
        proxy.close()


@pytest.fixture
def proxy(primary: Server, make_proxy: Callable[[int], Proxy]) -> Proxy:
    """A line to the shared primary; ``proxy.dsn(database.dsn())`` leads through it."""
    return make_proxy(primary.port)
