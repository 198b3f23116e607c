"""Slack's Web API by a bot token: one call, and what each of its refusals means in words.

It knows no notice and keeps nothing. The token is a secret: it never appears in an error or a log. A refusal comes with
HTTP 200, as `{"ok": false, "error": "a_word"}`.
"""

from __future__ import annotations

import json
import re
import time
from typing import Any, Final

import httpx

from guard.errors import TellError
from guard.tell.http import Poster, judge, seconds_of

API: Final = "https://slack.com/api"

PASSING: Final = frozenset(
    {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"}
)
"""Refusals that may be over another time."""

GONE: Final = frozenset(
    {"message_not_found", "cant_update_message", "edit_window_closed", "thread_not_found", "cannot_reply_to_message"}
    | {"invalid_thread_ts", "restricted_action_thread_locked", "msg_too_old"}
)
"""Refusals that mean: this message cannot be edited or answered any more, and a fresh one can be posted."""

ELSEWHERE: Final = frozenset({"channel_not_found", "is_archived", "not_in_channel"})
"""Refusals of a channel, which may be another one than that which is configured by now."""

_ANEW = "make a new one on the app's page in Slack (Install App) and put it into bot_token_file"
_SCOPE = "add the scope chat:write under OAuth & Permissions, install the app again and take the new token"
_MEANS: Final = {
    "invalid_auth": f"the token is none that Slack knows; {_ANEW}",
    "not_authed": f"there is no token; {_ANEW}",
    "token_revoked": f"the token was revoked; {_ANEW}",
    "token_expired": f"the token has expired; {_ANEW}",
    "account_inactive": f"the app was removed from the workspace; {_ANEW}",
    "not_allowed_token_type": f"the token is not a bot's, which begins with xoxb-; {_ANEW}",
    "missing_scope": f"the app may not post; {_SCOPE}",
    "no_permission": f"the app may not post; {_SCOPE}",
    "channel_not_found": "there is no such channel, or it is private and the bot is not in it; invite the bot there",
    "not_in_channel": "the bot is not in the channel; type /invite @NAME there",
    "is_archived": "the channel is archived; give another one",
    "restricted_action": "the workspace does not let the bot post there",
    "restricted_action_read_only_channel": "the channel is read-only; let the bot post there",
    "message_not_found": "the message is gone",
    "cant_update_message": "the message is not the bot's own",
    "edit_window_closed": "the workspace allows no edit after so long",
    "invalid_blocks": "the message is not as Slack wants it",
    "msg_too_long": "the message is too long",
    "msg_blocks_too_long": "the message is too long",
}
"""What a refusal says and what helps, for people; the word itself is told too."""


class Refusal(TellError):
    """Slack has understood and said no; `word` is its reason."""

    def __init__(self, word: str) -> None:
        self.word = word
        means = _MEANS.get(word)
        super().__init__(f"Slack refused: {word}" + (f": {means}." if means else "."), again=False)


class SlackApi:
    """Calls with one token. Close it at the end."""

    def __init__(self, token: str, *, api: str = API, timeout: float = 10.0) -> None:
        """`timeout` bounds the whole of a call, in seconds."""
        self._token = token
        self._api = api.rstrip("/")
        self._poster = Poster("Slack", timeout)

    def __repr__(self) -> str:
        return "SlackApi(token hidden)"

    async def call(self, method: str, payload: dict[str, object]) -> dict[str, Any]:
        """The answer to a method that takes JSON. Raises Refusal, TellError."""
        content = {"content": json.dumps(payload).encode(), "headers": self._headers("application/json; charset=utf-8")}
        return answer_of(await self._poster.post(f"{self._api}/{method}", **content))

    async def form(self, method: str, fields: dict[str, str]) -> dict[str, Any]:
        """The answer to a method that takes a form alone. Raises Refusal, TellError."""
        headers = self._headers("application/x-www-form-urlencoded")
        return answer_of(await self._poster.post(f"{self._api}/{method}", data=fields, headers=headers))

    async def upload(self, url: str, content: bytes) -> None:
        """Send a file to where Slack wants it; the token does not go there. Raises TellError."""
        response = await self._poster.post(url, content=content)
        judge(response.status_code, response.headers.get("Retry-After"), "", doubt="it gave the address itself")

    async def close(self) -> None:
        """Close the connections."""
        await self._poster.close()

    def _headers(self, kind: str) -> dict[str, str]:
        # What a header cannot hold would be told, token and all, by the library's error.
        if not re.fullmatch(r"[!-~]{1,1000}", self._token):
            raise TellError("The bot token of Slack holds characters that no token has.", again=False)
        return {"Authorization": f"Bearer {self._token}", "Content-Type": kind}


def answer_of(response: httpx.Response) -> dict[str, Any]:
    """What an answer of the Web API says. Raises Refusal, TellError."""
    retry_after = response.headers.get("Retry-After")
    if response.status_code != 200:
        judge(response.status_code, retry_after, "", doubt="is [slack] api_url right?")
    try:
        said = json.loads(response.text)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or not isinstance(said.get("ok"), bool):
        # A proxy's page, most likely; Slack has not spoken.
        raise TellError(f"What answers in Slack's place is not its API (HTTP {response.status_code}).", again=True)
    if said["ok"]:
        return said
    word = str(said.get("error"))
    word = word if re.fullmatch(r"[a-z_]{1,60}", word) else "for no reason that can be read"
    if word in PASSING:
        raise TellError(f"Slack asks to try again ({word}).", again=True, after=seconds_of(retry_after, time.time()))
    raise Refusal(word)
