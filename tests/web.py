"""The probes of Prometheus and HTTP endpoints, each asked once: what a test of either needs."""

import asyncio
import time
from typing import Any

import pytest

from guard.model import Sample, Silence
from guard.poll.http import HttpProbe
from guard.poll.prometheus import PrometheusProbe, connect
from guard.poll.web import ANYBODY, Access
from guard.ports import Probe
from tests.fix_http import Endpoint, prometheus

DEADLINE = 1.0
SLACK = 0.6  # seconds that a busy machine may add


def http(endpoint: Endpoint, access: Access = ANYBODY, **more: Any) -> HttpProbe:
    return HttpProbe("p99", endpoint.url + "/secret/path", json_path="a.b", deadline=DEADLINE, access=access, **more)


def prom(endpoint: Endpoint, access: Access = ANYBODY, **more: Any) -> PrometheusProbe:
    line = connect(endpoint.url, deadline=DEADLINE, access=access)
    return PrometheusProbe("errors", "up", line, deadline=DEADLINE, **more)


def ask(probe: Probe) -> Sample:
    async def once() -> Sample:
        start = time.monotonic()
        (sample,) = (await probe.poll()).samples
        assert time.monotonic() - start < DEADLINE + SLACK
        await probe.close()
        return sample

    return asyncio.run(once())


def why(probe: Probe) -> str:
    sample = ask(probe)
    assert isinstance(sample, Silence), sample
    assert "secret" not in sample.why
    return sample.why


def vector(*values: str, at: float | None = None) -> bytes:
    stamp = time.time() if at is None else at
    return prometheus([{"metric": {"n": str(n)}, "value": [stamp, value]} for n, value in enumerate(values)])


PROBES = pytest.mark.parametrize("build", [http, prom])
