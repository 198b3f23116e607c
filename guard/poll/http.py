"""The number that an HTTP endpoint gives for a rule, out of a JSON answer."""

from __future__ import annotations

import math
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from guard.model import Reading
from guard.poll.lone import Busy, Lone
from guard.poll.samples import silences
from guard.poll.web import Plug, Refused, body, check, parse, why
from guard.ports import Observation


class HttpProbe:
    """Reads `http:RULE`: the finite number at *json_path* (``stats.errors.0``; empty: the answer itself) of *url*.

    One GET within *deadline* seconds in all, answered by 200 and no more than 1 MB of JSON; redirects are not
    followed and nothing is taken from the environment. The number times *scale* is the reading. *headers* may carry
    authorisation; *verify* is False or the path of a CA file. A request still on its way at its deadline is not
    repeated until it has ended.
    """

    cheap = False

    def __init__(
        self,
        rule: str,
        url: str,
        *,
        json_path: str = "",
        scale: float = 1.0,
        headers: Mapping[str, str] | None = None,
        verify: bool | str = True,
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
        self._client = httpx.Client(
            headers={"Accept": "application/json", **(headers or {}), "Accept-Encoding": "identity"},
            timeout=deadline,
            follow_redirects=False,
            trust_env=False,
            verify=ssl.create_default_context(cafile=verify) if isinstance(verify, str) else verify,
        )

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
        with self._client.stream("GET", self._url, extensions={"trace": self._trace}) as response:
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
        self._client.close()


def number(answer: Any, path: str) -> float:
    """The finite number at a dotted path. Raises Refused where there is none; true and "5" are no numbers."""
    value = answer
    for key in path.split(".") if path else ():
        if isinstance(value, list) and key.isascii() and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        elif isinstance(value, dict) and key in value:
            value = value[key]
        else:
            raise Refused(f"the answer has nothing at {path}")
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
