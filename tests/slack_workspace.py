"""What Slack keeps and checks behind its Web API: channels, messages, threads, and who may do what.

It does not speak HTTP (tests.slack_server does) and does not know the guard.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

TOKEN = "xoxb-CANARY-t0k3ncanary"
CHANNEL = "C0GUARD"

_POST = {"channel", "text", "blocks", "mrkdwn", "unfurl_links", "unfurl_media", "thread_ts", "reply_broadcast"}
_UPDATE = {"channel", "ts", "text", "blocks"}


class No(Exception):
    """Slack's word for a refusal."""


@dataclass
class Message:
    """One message as the channel holds it."""

    at: float
    """Monotonic."""
    channel: str
    ts: str
    payload: Any
    """As it is shown now."""
    thread_ts: str | None = None
    broadcast: bool = False
    edits: list[float] = field(default_factory=list)
    """Monotonic times."""

    @property
    def texts(self) -> str:
        """All that its blocks show, one text a line."""
        return "\n".join(texts_of(self.payload["blocks"])).replace("&lt;", "<").replace("&gt;", ">")

    @property
    def headline(self) -> str:
        return str(self.payload["blocks"][0]["text"]["text"])


@dataclass
class Workspace:
    """One workspace with one app in it."""

    url: str = ""
    """Where files are uploaded to."""
    token: str = TOKEN
    channels: dict[str, str] = field(default_factory=lambda: {"guard": CHANNEL})
    """Ids of the channels that the app is in, by name."""
    archived: set[str] = field(default_factory=set)
    strict: bool = False
    """More than one message a second in a channel is refused."""
    messages: list[Message] = field(default_factory=list)
    scopes: set[str] = field(default_factory=lambda: {"chat:write", "files:write"})
    files: dict[str, bytes] = field(default_factory=dict)
    """What was uploaded, by id; empty bytes: nothing yet."""
    shown: list[dict[str, Any]] = field(default_factory=list)
    """Uploads that were completed: file, channel, thread, title and alternative text."""
    limited: int = 0
    """So often was one refused for that."""
    _announced: dict[str, dict[str, Any]] = field(default_factory=dict)
    _stamps: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def parents(self) -> list[Message]:
        """Messages that are no replies."""
        return [message for message in self.messages if message.thread_ts is None]

    def replies(self, parent: Message) -> list[Message]:
        """The thread under a message."""
        return [message for message in self.messages if message.thread_ts == parent.ts]

    def delete(self, message: Message) -> None:
        """As a person does."""
        self.messages.remove(message)

    def call(self, method: str, token: str, payload: dict[str, Any]) -> dict[str, Any]:
        """What a method answers. Raises No."""
        if not token:
            raise No("not_authed")
        if token != self.token:
            raise No("invalid_auth")
        match method:
            case "auth.test":
                return {"user": "migration-guard", "team": "Shop"}
            case "chat.postMessage":
                return self._post(payload)
            case "chat.update":
                return self._update(payload)
            case "files.getUploadURLExternal":
                return self._announce(payload)
            case "files.completeUploadExternal":
                return self._show(payload)
            case _:
                raise No("unknown_method")

    def _post(self, payload: dict[str, Any]) -> dict[str, Any]:
        channel = self._channel(payload)
        _check(payload, _POST)
        thread = payload.get("thread_ts")
        if thread is not None and not any(each.ts == thread for each in self.parents):
            raise No("thread_not_found")
        if "reply_broadcast" in payload and thread is None:
            raise No("invalid_arguments")
        now = time.monotonic()
        if self.strict and any(now - each.at < 0.99 for each in self.messages if each.channel == channel):
            self.limited += 1
            raise No("ratelimited")
        ts = f"1700000000.{next(self._stamps):06}"
        broadcast = bool(payload.get("reply_broadcast"))
        self.messages.append(Message(now, channel, ts, payload, thread, broadcast))
        return {"channel": channel, "ts": ts}

    def _update(self, payload: dict[str, Any]) -> dict[str, Any]:
        channel = self._channel(payload, by_id=True)
        _check(payload, _UPDATE)
        found = [each for each in self.messages if each.ts == payload.get("ts") and each.channel == channel]
        if not found:
            raise No("message_not_found")
        found[0].payload = payload
        found[0].edits.append(time.monotonic())
        return {"channel": channel, "ts": found[0].ts}

    def _announce(self, payload: dict[str, Any]) -> dict[str, Any]:
        if "files:write" not in self.scopes:
            raise No("missing_scope")
        if not payload.get("filename") or int(payload.get("length", 0)) <= 0 or len(payload.get("alt_txt", "")) > 1000:
            raise No("invalid_arguments")
        name = f"F{next(self._stamps):04}"
        self.files[name], self._announced[name] = b"", payload
        return {"file_id": name, "upload_url": f"{self.url}/upload/{name}"}

    def _show(self, payload: dict[str, Any]) -> dict[str, Any]:
        channel = self._channel({"channel": payload.get("channel_id")}, by_id=True)
        for each in payload["files"]:
            if not self.files.get(each["id"]):
                raise No("file_not_found")
            if len(self.files[each["id"]]) != int(self._announced[each["id"]]["length"]):
                raise No("file_update_failed")
            alt = self._announced[each["id"]].get("alt_txt")
            thread = payload.get("thread_ts")
            self.shown.append(
                {"file": each["id"], "channel": channel, "thread": thread, "title": each["title"], "alt": alt}
            )
        return {"files": payload["files"]}

    def _channel(self, payload: dict[str, Any], *, by_id: bool = False) -> str:
        named = str(payload.get("channel", ""))
        found = named if named in self.channels.values() else self.channels.get(named.removeprefix("#"))
        # Whether a name is enough differs from method to method; an edit wants the id.
        if found is None or (by_id and found != named):
            raise No("channel_not_found")
        if found in self.archived:
            raise No("is_archived")
        return found


def _check(payload: dict[str, Any], known: set[str]) -> None:
    if payload.keys() - known:
        raise No("invalid_arguments")
    if problem := problem_of(payload):
        raise No(problem)


def problem_of(payload: Any) -> str | None:
    """Slack's word for what is wrong with a message, or None."""
    if not isinstance(payload, dict) or not isinstance(payload.get("text"), str) or not payload["text"]:
        return "no_text"
    blocks = payload.get("blocks", [])
    if len(blocks) > 50:
        return "invalid_blocks"
    if sum(len(text) for text in texts_of(payload)) > 13_200:
        return "msg_blocks_too_long"
    return None if all(_block_is_valid(block) for block in blocks) else "invalid_blocks"


def texts_of(value: Any) -> Iterator[str]:
    """Every text in a payload."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "text" and isinstance(item, str):
                yield item
            else:
                yield from texts_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts_of(item)


def _block_is_valid(block: Any) -> bool:
    match block:
        case {"type": "header", "text": {"type": "plain_text"} as text, **rest}:
            return not rest and _text_is_valid(text, 150)
        case {"type": "section", "text": text, **rest}:
            return not rest and _text_is_valid(text, 3000)
        case {"type": "section", "fields": [_, *_] as fields, **rest}:
            return not rest and len(fields) <= 10 and all(_text_is_valid(text, 2000) for text in fields)
        case {"type": "context", "elements": [_, *_] as elements, **rest}:
            return not rest and len(elements) <= 10 and all(_text_is_valid(text, 3000) for text in elements)
        case _:
            return False


def _text_is_valid(text: Any, limit: int) -> bool:
    match text:
        case {"type": "plain_text", "text": str(words), **rest}:
            known = {"emoji"}
        case {"type": "mrkdwn", "text": str(words), **rest}:
            known = {"verbatim"}
        case _:
            return False
    return rest.keys() <= known and 1 <= len(words.encode("utf-16-le")) // 2 <= limit
