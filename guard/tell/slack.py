"""A notice as a Slack message, through an incoming webhook.

It sends once and says what came of it; whether and when to try again is the outbox's business. The URL is a secret:
it never appears in an error or a log. Limits of Slack, in characters: header 150, section text 3000, a field 2000, 10
fields, 50 blocks, and about 13,200 in all although no page says so; over any of them the answer is HTTP 400.
"""

from __future__ import annotations

import asyncio
import bisect
import datetime as dt
import email.utils
import itertools
import json
import logging
import re
import time
import urllib.parse

import httpx

from guard.errors import TellError
from guard.model import EVERYONE, Notice, Severity

Json = dict[str, object]

_MARKS = {Severity.INFO: "🔵", Severity.WARNING: "🟠", Severity.CRITICAL: "🔴"}
_CUT = " … (cut)"
# Control characters but the line feed, and those that turn the direction of text or break lines unseen.
_UNSEEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


class SlackWebhook:
    """One message a notice. Also fits services that take the same messages, such as Mattermost."""

    name = "slack"
    pace = 1.0
    """Seconds between messages: Slack allows one a second, and may disable an app that insists."""

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        """`timeout` bounds the whole of a send, in seconds."""
        # httpx logs the whole URL of each request at INFO.
        for library in ("httpx", "httpcore"):
            logging.getLogger(library).setLevel(logging.WARNING)
        self._url = url
        self._timeout = timeout
        # No redirects: the secret must not travel on. No settings from the environment: a proxy is nobody's guess.
        self._client = httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=timeout)

    def __repr__(self) -> str:
        return "SlackWebhook(url hidden)"

    async def send(self, notice: Notice) -> None:
        """Post the notice. Raises TellError; after a timeout the message may have arrived all the same."""
        response = await self._post(blocks(notice))
        judge(response.status_code, response.headers.get("Retry-After"), response.text)

    async def knock(self) -> None:
        """Ask whether the webhook is valid, and have nothing shown: a message without text is refused as such (400).

        Raises TellError; one that may be tried again says that nobody knows.
        """
        response = await self._post({})
        if response.status_code != 400:
            judge(response.status_code, response.headers.get("Retry-After"), response.text)

    async def _post(self, payload: Json) -> httpx.Response:
        if not _is_url(self._url):
            raise TellError("The URL of the Slack webhook is not one of https:// or http://.", again=False)
        try:
            # httpx bounds each step, but not their sum.
            async with asyncio.timeout(self._timeout):
                return await self._client.post(self._url, json=payload)
        except TimeoutError:
            raise TellError(f"Slack did not answer within {self._timeout:g} s.", again=True) from None
        except httpx.HTTPError as error:
            # From None, and the type only: the message and the request of the original hold the URL.
            raise TellError(f"Slack could not be reached ({type(error).__name__}).", again=True) from None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _is_url(text: str) -> bool:
    # httpx lets some through on which it stumbles later, in ways that it does not wrap.
    try:
        parts = urllib.parse.urlsplit(text)
        return parts.scheme in {"https", "http"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def judge(status: int, retry_after: str | None, body: str) -> None:
    """The one rule for HTTP answers: 2xx is done; 429 and 5xx may help another time; anything else never will.

    Raises TellError. A 2xx whose body says `"ok": false` is no success.
    """
    said = f"HTTP {status}"
    if re.fullmatch(
        r"[a-z_]{1,60}", body.strip()
    ):  # Slack's own words, such as invalid_blocks; else it may be anything
        said += f" {body.strip()}"
    if 200 <= status < 300:
        if _says_not_ok(body):
            raise TellError(f"Slack took the message and refused it ({said}).", again=False)
        return
    if status == 429:
        raise TellError(f"Slack asks to wait ({said}).", again=True, after=seconds_of(retry_after, time.time()))
    if status >= 500:
        raise TellError(f"Slack failed ({said}).", again=True, after=seconds_of(retry_after, time.time()))
    raise TellError(f"Slack refused the message for good ({said}); is the webhook still valid?", again=False)


def seconds_of(retry_after: str | None, now_wall: float) -> float | None:
    """Read a Retry-After header: seconds, or an HTTP date. None where it is absent or says nothing."""
    text = (retry_after or "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - now_wall)
    except (ValueError, OverflowError):
        return None


def blocks(notice: Notice) -> Json:
    """The payload of a notice. All but the commands is plain text, so that no name can format, link or mention."""
    # '*' is no name: whom it stands for is in the headline.
    where = notice.database if notice.migration == EVERYONE else f"{notice.migration} on {notice.database}"
    parts: list[Json | None] = [
        _text_block("header", f"{_MARKS[notice.severity]} {notice.headline or notice.kind}", 150),
        _text_block("section", notice.because, 3000),
        {"type": "section", "fields": [_plain(text, 300) for text in _fields(notice)]},
        _text_block("section", notice.next_step and f"Next: {notice.next_step}", 1500),
        _commands(notice.commands),
        {"type": "context", "elements": [_plain(f"{notice.notice_id} · {_utc(notice.at_wall)}", 300)]},
    ]
    return {
        # The id stands beyond the cut: by it a reader knows a duplicate.
        "text": escape(f"{notice.headline}: {notice.because} ({where})", 900) + escape(f" [{notice.notice_id}]", 100),
        "mrkdwn": False,
        "unfurl_links": False,
        "unfurl_media": False,
        "blocks": [part for part in parts if part],
    }


def escape(text: str, limit: int) -> str:
    """Text that Slack shows as it is: no mentions, no unseen characters, at most `limit` long, with a note of a cut.

    Length is counted after escaping and in UTF-16 units, the greatest of the ways in which it might be counted.
    """
    clean = _UNSEEN.sub(" ", text.encode("utf-8", "replace").decode())
    pieces = [_ENTITIES.get(character, character) for character in clean]
    widths = list(itertools.accumulate(len(piece) + (piece > "\uffff") for piece in pieces))
    if not widths or widths[-1] <= limit:
        return "".join(pieces)
    return "".join(pieces[: bisect.bisect_right(widths, limit - len(_CUT))]) + _CUT


def _fields(notice: Notice) -> list[str]:
    run = "" if notice.run_id is None else f" (run {notice.run_id})"
    migration = {} if notice.migration == EVERYONE else {"Migration": f"{notice.migration}{run}"}
    named = migration | {"Database": notice.database} | dict(notice.fields)
    texts = [f"{key}: {value}" for key, value in named.items()]
    return texts if len(texts) <= 10 else [*texts[:9], f"and {len(texts) - 9} more; see migration-guard explain"]


def _commands(commands: tuple[str, ...]) -> Json | None:
    if not commands:
        return None
    # Three backticks would end the code block early.
    text = escape("\n".join(commands).replace("```", "'''"), 2000)
    return {"type": "section", "text": {"type": "mrkdwn", "text": f"```\n{text}\n```", "verbatim": True}}


def _text_block(kind: str, text: str, limit: int) -> Json | None:
    return {"type": kind, "text": _plain(text, limit)} if text.strip() else None


def _plain(text: str, limit: int) -> Json:
    return {"type": "plain_text", "text": escape(text, limit), "emoji": False}


def _utc(wall: float) -> str:
    return dt.datetime.fromtimestamp(wall, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _says_not_ok(body: str) -> bool:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(answer, dict) and answer.get("ok") is False
