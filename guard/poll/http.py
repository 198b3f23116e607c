"""The number that an HTTP endpoint gives for a rule, out of a JSON answer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from guard.errors import Refused
from guard.judge.paths import parse_path
from guard.model import Reading
from guard.poll.lone import Busy, Lone
from guard.poll.samples import silences
from guard.poll.web import ANYBODY, Access, Plug, authorities, body, check, parse, why
from guard.ports import Observation


class HttpProbe:
    """Reads `http:RULE`: the finite number at *json_path* (``stats.errors[0]``; empty: the answer itself) of *url*.

    One GET within *deadline* seconds in all, answered by 200 and no more than 1 MB of JSON; redirects are not
    followed and nothing is taken from the environment. The number times *scale* is the reading. A request still on
    its way at its deadline is not repeated until it has ended.
    """

    cheap = False

    def __init__(
        self,
        rule: str,
        url: str,
        *,
        json_path: str = "",
        scale: float = 1.0,
        access: Access = ANYBODY,
        deadline: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = f"http:{rule}"
        self._url = url
        self._host = urlsplit(url).hostname or "the endpoint"
        self._path = json_path
        self._scale = scale
        self._deadline = deadline
        self._now = clock
        self._lone = Lone(self.name)
        self._plug = Plug()
        self._access = access
        self._client: httpx.Client | None = None

    async def poll(self) -> Observation:
        """One HTTP request, in a thread of its own: looking up a name can hang, and httpx has no total timeout."""
        asked = self._now()
        try:
            value = number(parse(await self._lone.run(self._get, self._deadline)), self._path)
        except Busy:
            return self.silence(f"{self._host}: still waiting for the previous answer", asked)
        except TimeoutError:
            self._plug.pull()
            return self.silence(f"{self._host}: no answer in time", self._now())
        except Exception as error:  # noqa: BLE001  whatever the other side does is a silence
            return self.silence(f"{self._host}: {why(error)}", self._now())
        return Observation((Reading(self.name, value * self._scale, asked),))

    def _get(self) -> bytes:
        access = self._access
        if self._client is None:
            # Not before it is asked: a missing CA file is a silence of this rule, and keeps no guard from coming up.
            self._client = httpx.Client(
                headers={"Accept": "application/json", **access.headers, "Accept-Encoding": "identity"},
                timeout=self._deadline,
                follow_redirects=False,
                trust_env=False,
                verify=True if access.ca_file is None else authorities(access.ca_file),
            )
        client, mine = self._client, access.credentials()
        with client.stream("GET", self._url, headers=mine, extensions={"trace": self._trace}) as response:
            check(response.status_code, response.headers.get("Content-Encoding"))
            return body(response.iter_raw())

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            self._plug.insert(info["return_value"].get_extra_info("socket"))

    def silence(self, why: str, now: float) -> Observation:
        """The endpoint has given no number."""
        return silences((self.name,), why, now)

    async def close(self) -> None:
        """Close what is idle; an answer that is still awaited ends by itself."""
        self._lone.close()
        if self._client is not None:
            self._client.close()


def number(answer: Any, path: str) -> float:
    """The finite number at a path. Raises Refused where there is none; true and "5" are no numbers."""
    value = answer
    for step in parse_path(path):
        try:
            value = _within(value, step)
        except (LookupError, TypeError):
            raise Refused(f"the answer has nothing at {path}") from None
    where = f"what is at {path}" if path else "the answer"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(f"{where} is no number")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise Refused(f"{where} is no finite number")
    return found


def _within(value: Any, step: str | int) -> Any:
    if isinstance(value, dict) and isinstance(step, str):
        return value[step]
    if isinstance(value, list) and (isinstance(step, int) or (step.isascii() and step.isdigit())):
        return value[int(step)]
    raise TypeError
