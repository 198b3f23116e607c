"""A real HTTP server in Slack's place: it checks what Slack checks and answers as a script says.

It does not know the guard. Each request takes the next answer of the script; after its end every answer is `ok`.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "T0CANARY/B0CANARY/s3cr3tcanary"
"""The path of the webhook: who has it can post."""

ID = re.compile(r"\[([^\[\]]+)\]$")
"""Where our fallback text carries the notice id."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server does with one request."""

    status: int = 200
    body: str = "ok"
    retry_after: str | None = None
    location: str | None = None
    how: str = "answer"
    """`answer`; `hang`: take the message and never answer; `reset`: cut the line; `slow`: trickle the answer."""


OK = Answer()
HANG = Answer(how="hang")
RESET = Answer(how="reset")
SLOW = Answer(how="slow")


def limited(retry_after: str | None) -> Answer:
    """429, with or without Retry-After."""
    return Answer(429, "rate_limited", retry_after)


@dataclass(frozen=True, slots=True)
class Request:
    """One POST that arrived."""

    at: float
    """Monotonic."""
    payload: Any
    answer: Answer

    @property
    def notice_id(self) -> str:
        match = ID.search(self.payload["text"])
        assert match, "the fallback text ends with the id"
        return match[1]


@dataclass
class SlackServer:
    """What arrived, and the script of what is answered."""

    url: str = ""
    script: list[Answer] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    knocks: list[Answer] = field(default_factory=list)
    """Answers to messages without anything in them."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    closing: threading.Event = field(default_factory=threading.Event)

    def take(self, payload: object) -> Answer:
        """Note a request and say how to answer it."""
        with self.lock:
            answer = self.script.pop(0) if self.script else OK
            if answer == OK and (problem := problem_of(payload)):
                answer = Answer(400, problem)
            if payload == {}:
                self.knocks.append(answer)
                return answer
            self.requests.append(Request(time.monotonic(), payload, answer))
            return answer

    @property
    def taken(self) -> list[str]:
        """Ids of the messages that were answered with ok, in order."""
        with self.lock:
            return [request.notice_id for request in self.requests if request.answer == OK]

    @property
    def tried(self) -> list[str]:
        """Ids of all messages that arrived, in order."""
        with self.lock:
            return [request.notice_id for request in self.requests]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    slack: SlackServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != f"/services/{SECRET}":
            self._say(Answer(404, "no_service"))
            return
        answer = self.slack.take(json.loads(body))
        if answer.how == "hang":
            self.slack.closing.wait()
            self.close_connection = True
        elif answer.how == "reset":
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
            self.close_connection = True
        else:
            self._say(answer)

    def _say(self, answer: Answer) -> None:
        body = answer.body.encode()
        self.send_response(answer.status)
        if answer.retry_after is not None:
            self.send_header("Retry-After", answer.retry_after)
        if answer.location is not None:
            self.send_header("Location", answer.location)
        self.send_header("Content-Length", str(1000 if answer.how == "slow" else len(body)))
        self.end_headers()
        while answer.how == "slow" and not self.slack.closing.wait(0.05):
            # Each byte comes in time for a timeout that counts only the pause between two.
            self.wfile.write(b"o")
            self.wfile.flush()
        if answer.how != "slow":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's name
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that gave up is part of the script."""


@contextmanager
def slack_server(*script: Answer) -> Iterator[SlackServer]:
    """Serve on loopback until the block ends."""
    slack = SlackServer(script=list(script))
    handler = type("Handler", (_Handler,), {"slack": slack})
    server = _Server(("127.0.0.1", 0), handler)
    slack.url = f"http://127.0.0.1:{server.server_address[1]}/services/{SECRET}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield slack
    finally:
        slack.closing.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


# -- what Slack refuses ------------------------------------------------------------------------------------------------


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
