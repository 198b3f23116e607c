"""The line to Prometheus: prometheus-api-client, with its session tamed. Imported only where a rule asks Prometheus.

By default the library retries for seconds, waits for ever, follows proxies named in the environment, and reads an
answer of any size. Here it asks once, within a deadline, with a bounded answer.
"""

from __future__ import annotations

import email.utils
import io
import time
from collections.abc import Mapping
from typing import Any

import requests
from prometheus_api_client import PrometheusConnect
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.retry import Retry

from guard.poll.web import Plug, Refused, body, check, parse


class _Session(requests.Session):
    def __init__(self, deadline: float, *, verify: bool | str) -> None:
        super().__init__()
        self.trust_env = False
        self.verify = verify
        self._deadline = deadline
        self.answered_wall: float | None = None

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs |= {"stream": True, "allow_redirects": False, "timeout": self._deadline}
        kwargs["headers"] = {**(kwargs.get("headers") or {}), "Accept-Encoding": "identity"}
        with super().request(*args, **kwargs) as response:
            encoding = response.headers.get("Content-Encoding")
            # Prometheus explains a wrong query in the body of a 400 or 422.
            explained = response.status_code in {400, 422}
            check(200 if explained else response.status_code, encoding)
            text = body(iter(lambda: response.raw.read1(65536), b""))
            _check_answer(parse(text))
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

    def __init__(self, url: str, *, deadline: float, headers: Mapping[str, str], verify: bool | str) -> None:
        self._session = _Session(deadline, verify=verify)
        self._plug = Plug()
        self._prometheus = PrometheusConnect(url=url.rstrip("/"), headers=dict(headers), session=self._session)
        for prefix in list(self._session.adapters):
            self._session.mount(prefix, _Adapter(self._plug))

    def query(self, query: str) -> tuple[Any, float]:
        """The `result` of an instant query, and the Unix time at which the answer was sent, by the sender's clock.

        Raises Refused and whatever requests raises.
        """
        result = self._prometheus.custom_query(query)
        return result, self._session.answered_wall or time.time()

    def abort(self) -> None:
        """End a query that is on its way; called from another thread."""
        self._plug.pull()

    def close(self) -> None:
        """Close idle connections."""
        self._session.close()


def _check_answer(answer: Any) -> None:
    if not isinstance(answer, dict):
        raise Refused("the answer is not one of Prometheus")
    if answer.get("status") != "success":
        kind, error = str(answer.get("errorType", "no type")), str(answer.get("error", "no text"))
        raise Refused(f"Prometheus reports an error: {kind}: {error[:200]}")
    data = answer.get("data")
    if not isinstance(data, dict) or "result" not in data:
        raise Refused("the answer is not one of Prometheus")
    found = data.get("resultType")
    if found != "vector":
        hint = "; vector(...) makes one of it" if found == "scalar" else ""
        raise Refused(f"the query gives a {found}, not an instant vector{hint}")


def _date(header: str | None) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(header or "").timestamp()
    except ValueError:
        return None
