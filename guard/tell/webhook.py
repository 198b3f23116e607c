"""A notice as JSON, by a signed POST, for programs of one's own: pagers, ticket systems, bridges.

It sends once and says what came of it; whether and when to try again is the outbox's business. URL and signing secret
appear in no error and no log. What is sent is described in docs/channels.md, and so is how to verify it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import time
from http import HTTPStatus

from guard.errors import TellError
from guard.model import EVERYONE, Notice
from guard.tell import routing
from guard.tell.http import Poster, judge

VERSION = 1
"""Of the document that is sent; it grows when a receiver of the one before would misread it. New keys may come at any
time."""
SIGNATURE = "Migration-Guard-Signature"
_DOUBT = "are its URL and secret still valid?"


class Webhook:
    """One POST a notice. A receiver that has seen the id before may pass it over: at least once is what is promised."""

    pace = 0.2
    """Seconds between messages: five a second are more than the guard ever has to tell for long."""

    def __init__(self, name: str, url: str, secret: str, timeout: float = 10.0) -> None:
        """`timeout` bounds the whole of a send, in seconds."""
        self.name = name
        self._url = url
        self._secret = secret
        self._poster = Poster(f"The webhook {name}", timeout)

    def __repr__(self) -> str:
        return f"Webhook({self.name!r}, url and secret hidden)"

    async def send(self, notice: Notice) -> None:
        """Post the notice. Raises TellError; after a timeout it may have arrived all the same."""
        content = json.dumps(document(notice), ensure_ascii=False).encode("utf-8", "replace")
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "migration-guard",
            "Idempotency-Key": notice.notice_id,
            SIGNATURE: signature(self._secret, content, int(time.time())),
        }
        response = await self._poster.post(self._url, content=content, headers=headers)
        asked = response.headers.get("Retry-After")
        judge(response.status_code, asked, response.text, who=f"The webhook {self.name}", doubt=_DOUBT)

    async def knock(self) -> int:
        """Whether anybody answers at the URL, and with which status; nothing is told.

        Raises TellError. Whether a notice would be taken is not known then: a HEAD may be refused where a POST is not.
        """
        response = await self._poster.head(self._url)
        # Of a HEAD, 501 says that this receiver knows POST alone, as small ones do.
        if response.status_code >= 500 and response.status_code != HTTPStatus.NOT_IMPLEMENTED:
            raise TellError(f"The webhook {self.name} failed (HTTP {response.status_code}).", again=True)
        return response.status_code

    async def close(self) -> None:
        """Close the connections."""
        await self._poster.close()


def signature(secret: str, content: bytes, at: int) -> str:
    """`t=UNIX,v1=HEX`: HMAC-SHA256 of the time, a dot and the body.

    The time is in it, so that nobody can replay an old notice as a new one.
    """
    digest = hmac.new(secret.encode(), f"{at}.".encode() + content, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def document(notice: Notice) -> dict[str, object]:
    """What is sent, as plain JSON values."""
    return {
        "version": VERSION,
        "id": notice.notice_id,
        "at": dt.datetime.fromtimestamp(notice.at_wall, dt.UTC).isoformat(timespec="milliseconds"),
        "severity": notice.severity.value,
        "kind": notice.kind,
        "state": routing.standing(notice),
        "about": routing.key(notice),
        "database": notice.database,
        "migration": None if notice.migration == EVERYONE else notice.migration,
        "run": notice.run_id,
        "headline": notice.headline,
        "because": notice.because,
        "next": notice.next_step,
        "commands": list(notice.commands),
        "fields": dict(notice.fields),
    }
