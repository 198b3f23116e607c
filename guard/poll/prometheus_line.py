"""The line to Prometheus: prometheus-api-client, with its session tamed. Imported only where a rule asks Prometheus.

By default the library retries for seconds, waits for ever, follows proxies named in the environment, and reads an
answer of any size. Here it asks once, within a deadline, with a bounded answer.
"""

from __future__ import annotations

import email.utils
import io
import math
import time
from datetime import UTC, datetime
from typing import Any

import requests
from prometheus_api_client import PrometheusConnect
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.retry import Retry

from guard.errors import Refused
from guard.poll.series import points
from guard.poll.web import Access, Plug, authorities, body, check, parse

MOST_POINTS = 2000
"""Of one range query: a median of more knows no better, and they are well below the most bytes of an answer."""


class _Session(requests.Session):
    def __init__(self, deadline: float, access: Access) -> None:
        super().__init__()
        self.trust_env = False
        self.verify = True if access.ca_file is None else access.ca_file
        self._access = access
        self._deadline = deadline
        self.answered_wall: float | None = None

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs |= {"stream": True, "allow_redirects": False, "timeout": self._deadline}
        mine = {**self._access.headers, **self._access.credentials()}
        kwargs["headers"] = {**(kwargs.get("headers") or {}), **mine, "Accept-Encoding": "identity"}
        if self._access.ca_file is not None:
            authorities(self._access.ca_file)  # says better than the library what is wrong with it
        with super().request(*args, **kwargs) as response:
            encoding = response.headers.get("Content-Encoding")
            # Prometheus explains a wrong query in the body of a 400 or 422.
            explained = response.status_code in {400, 422}
            check(200 if explained else response.status_code, encoding)
            text = body(iter(lambda: response.raw.read1(65536), b""))
            _check_answer(parse(text), "matrix" if str(kwargs["url"]).endswith("/query_range") else "vector")
            self.answered_wall = _date(response.headers.get("Date"))
        response.raw = io.BytesIO(text)
        return response


def _plugged(base: type[Any], plug: Plug) -> type[Any]:
    def connect(self: Any) -> None:
        base.connect(self)
        plug.insert(self.sock)

    return type(base.__name__, (base,), {"connect": connect})


class _Adapter(HTTPAdapter):
    """The library's own, whose connections can be ended from outside."""

    def __init__(self, plug: Plug) -> None:
        self._plug = plug
        super().__init__(max_retries=Retry(total=0, redirect=False))

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        pools = (HTTPConnectionPool, HTTPSConnectionPool)
        self.poolmanager.pool_classes_by_scheme = {
            pool.scheme: type(pool.__name__, (pool,), {"ConnectionCls": _plugged(pool.ConnectionCls, self._plug)})
            for pool in pools
        }


class PrometheusLine:
    """Asks one Prometheus. Blocking: for one thread at a time."""

    def __init__(self, url: str, *, deadline: float, access: Access) -> None:
        self._session = _Session(deadline, access)
        self._plug = Plug()
        self._prometheus = PrometheusConnect(url=url.rstrip("/"), session=self._session)
        for prefix in list(self._session.adapters):
            self._session.mount(prefix, _Adapter(self._plug))

    def query(self, query: str) -> tuple[Any, float]:
        """The `result` of an instant query, and the Unix time at which the answer was sent, by the sender's clock.

        Raises Refused and whatever requests raises.
        """
        result = self._prometheus.custom_query(query)
        return result, self._session.answered_wall or time.time()

    def range(self, query: str, start: float, end: float, step: float) -> list[tuple[float, float]]:
        """The value of the one series of *query* at each *step* seconds from *start* to *end*, both Unix times.

        Moments without a finite value are left out. Raises Refused (no series, several, more than
        MOST_POINTS steps) and whatever requests raises.
        """
        if not (0 < step < math.inf and 0 <= (end - start) / step < MOST_POINTS):
            raise Refused(f"a range must have from 1 to {MOST_POINTS} steps")
        times = (datetime.fromtimestamp(at, UTC) for at in (start, end))
        return points(self._prometheus.custom_query_range(query, *times, f"{step:g}"))

    def abort(self) -> None:
        """End a query that is on its way; called from another thread."""
        self._plug.pull()

    def close(self) -> None:
        """Close idle connections."""
        self._session.close()


def _check_answer(answer: Any, wanted: str) -> None:
    if not isinstance(answer, dict):
        raise Refused("the answer is not one of Prometheus")
    if answer.get("status") != "success":
        kind, error = str(answer.get("errorType", "no type")), str(answer.get("error", "no text"))
        raise Refused(f"Prometheus reports an error: {kind}: {error[:200]}")
    data = answer.get("data")
    if not isinstance(data, dict) or "result" not in data:
        raise Refused("the answer is not one of Prometheus")
    found = data.get("resultType")
    if found != wanted:
        hint = "; vector(...) makes one of it" if found == "scalar" else ""
        raise Refused(
            f"the query gives a {found}, not {'an instant vector' if wanted == 'vector' else 'a range'}{hint}"
        )


def _date(header: str | None) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(header or "").timestamp()
    except ValueError:
        return None
