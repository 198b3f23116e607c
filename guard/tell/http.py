"""What every messenger over HTTP shares: one POST within a deadline, and the one rule for what its answer means.

It knows no service and no text. An address is a secret, as it often holds one: it never appears in an error or a log.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import logging
import re
import time
import urllib.parse
from typing import Any

import httpx

from guard.errors import TellError

_MOST = 1 << 20
"""Bytes of an answer that are read; a message that comes back whole takes a thirtieth."""
_HEADERS = ("Retry-After", "Content-Type")


class Poster:
    """POSTs to one service; `who` is its name for people. Close it at the end."""

    def __init__(self, who: str, timeout: float) -> None:
        """`timeout` bounds the whole of a request, in seconds."""
        # httpx logs the whole URL of each request at INFO.
        for library in ("httpx", "httpcore"):
            logging.getLogger(library).setLevel(logging.WARNING)
        self._who = who
        self._timeout = timeout
        # No redirects: the secret must not travel on. No settings from the environment: a proxy is nobody's guess.
        plain = {"Accept-Encoding": "identity"}
        self._client = httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=timeout, headers=plain)

    async def post(self, url: str, **content: Any) -> httpx.Response:
        """The answer, whatever its status; `content` as httpx takes it (json, content, data, headers).

        Raises TellError: where nothing was heard in time, it may have arrived all the same.
        """
        return await self._ask("POST", url, **content)

    async def head(self, url: str) -> httpx.Response:
        """Ask whether anybody answers there, and leave nothing. Raises TellError."""
        return await self._ask("HEAD", url)

    async def _ask(self, method: str, url: str, **content: Any) -> httpx.Response:
        if not is_url(url):
            raise TellError(f"The URL for {self._who} is not one of https:// or http://.", again=False)
        try:
            # httpx bounds each step, but not their sum.
            async with asyncio.timeout(self._timeout):
                return await self._heard(self._client.build_request(method, url, **content))
        except TimeoutError:
            raise TellError(f"{self._who} did not answer within {self._timeout:g} s.", again=True) from None
        except httpx.HTTPError as error:
            # From None, and the type only: the message and the request of the original hold the URL.
            raise TellError(f"{self._who} could not be reached ({type(error).__name__}).", again=True) from None

    async def _heard(self, request: httpx.Request) -> httpx.Response:
        """The answer with the beginning of its body: who answers without end must not fill our memory."""
        response = await self._client.send(request, stream=True)
        body = bytearray()
        try:
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > _MOST:
                    break
        finally:
            await response.aclose()
        # What is compressed stays so, and is not understood: nobody asked for it, and it may grow a thousandfold.
        kept = {name: value for name in _HEADERS if (value := response.headers.get(name)) is not None}
        return httpx.Response(response.status_code, headers=kept, content=bytes(body[:_MOST]))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def is_url(text: str) -> bool:
    """Whether it is an address that httpx can go to."""
    # httpx lets some through on which it stumbles later, in ways that it does not wrap.
    try:
        parts = urllib.parse.urlsplit(text)
        return parts.scheme in {"https", "http"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def judge(
    status: int,
    retry_after: str | None,
    body: str,
    *,
    who: str = "Slack",
    doubt: str = "is the webhook still valid?",
) -> None:
    """The one rule for HTTP answers: 2xx is done; 429 and 5xx may help another time; anything else never will.

    Raises TellError; `doubt` ends the sentence of a refusal. A 2xx whose body says `"ok": false` is no success.
    """
    said = f"HTTP {status}"
    # The service's own words, such as invalid_blocks; anything else may be anything.
    if re.fullmatch(r"[a-z_]{1,60}", body.strip()):
        said += f" {body.strip()}"
    if 200 <= status < 300:
        if _says_not_ok(body):
            raise TellError(f"{who} took the message and refused it ({said}).", again=False)
        return
    if status == 429:
        raise TellError(f"{who} asks to wait ({said}).", again=True, after=seconds_of(retry_after, time.time()))
    if status >= 500:
        raise TellError(f"{who} failed ({said}).", again=True, after=seconds_of(retry_after, time.time()))
    raise TellError(f"{who} refused the message for good ({said}); {doubt}", again=False)


def seconds_of(retry_after: str | None, now_wall: float) -> float | None:
    """Read a Retry-After header: seconds, or an HTTP date. None where it is absent or says nothing."""
    text = (retry_after or "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - now_wall)
    except (ValueError, OverflowError):
        return None


def _says_not_ok(body: str) -> bool:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(answer, dict) and answer.get("ok") is False
