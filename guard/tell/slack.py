"""Slack by an incoming webhook: one message a notice.

It sends once and says what came of it; whether and when to try again is the outbox's business. The URL is a secret:
it never appears in an error or a log. The text is made in guard.tell.slack_blocks.
"""

from __future__ import annotations

import httpx

from guard.model import Notice
from guard.tell.http import Poster, judge
from guard.tell.slack_blocks import Json, blocks


class SlackWebhook:
    """One message a notice. Also fits services that take the same messages, such as Mattermost."""

    name = "slack"
    pace = 1.0
    """Seconds between messages: Slack allows one a second, and may disable an app that insists."""

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        """`timeout` bounds the whole of a send, in seconds."""
        self._url = url
        self._poster = Poster("Slack", timeout)

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

    async def close(self) -> None:
        """Close the connections."""
        await self._poster.close()

    async def _post(self, payload: Json) -> httpx.Response:
        return await self._poster.post(self._url, json=payload)
