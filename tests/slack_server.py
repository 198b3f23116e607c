"""A real HTTP server in Slack's place, for a webhook and for the Web API: it answers as Slack or as a script says.

It does not know the guard. Each message takes the next answer of the script; after its end every answer is Slack's own.
Edits have a script of their own.
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
from urllib.parse import parse_qsl

from tests.slack_workspace import No, Workspace, problem_of, texts_of

__all__ = [
    "HANG",
    "ID",
    "OK",
    "RESET",
    "SECRET",
    "SLOW",
    "Answer",
    "Request",
    "SlackServer",
    "limited",
    "no",
    "problem_of",
    "slack_server",
    "texts_of",
]

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


DONE = '{"ok": true, '
"""How the Web API says that it has done it."""
OK = Answer()
HANG = Answer(how="hang")
RESET = Answer(how="reset")
SLOW = Answer(how="slow")


def limited(retry_after: str | None) -> Answer:
    """429, with or without Retry-After."""
    return Answer(429, "rate_limited", retry_after)


def no(word: str) -> Answer:
    """A refusal of the Web API, which comes with HTTP 200."""
    return Answer(200, json.dumps({"ok": False, "error": word}))


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
    api: str = ""
    script: list[Answer] = field(default_factory=list)
    edits: list[Answer] = field(default_factory=list)
    """The script of what is answered to edits."""
    workspace: Workspace = field(default_factory=Workspace)
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

    def call(self, method: str, token: str, payload: dict[str, Any]) -> Answer:
        """Note a call of the Web API and say how to answer it."""
        with self.lock:
            posts = method == "chat.postMessage"
            script = self.script if posts else self.edits if method == "chat.update" else []
            answer = script.pop(0) if script else OK
            # Who is never answered may have been heard all the same.
            if answer in {OK, HANG}:
                answer = self._do(answer, method, token, payload)
            if posts:
                self.requests.append(Request(time.monotonic(), payload, OK if answer.body.startswith(DONE) else answer))
            return answer

    def _do(self, answer: Answer, method: str, token: str, payload: dict[str, Any]) -> Answer:
        try:
            said = self.workspace.call(method, token, payload)
        except No as word:
            return Answer(429, '{"ok":false}', "1") if str(word) == "ratelimited" else no(str(word))
        return answer if answer == HANG else Answer(body=DONE + json.dumps(said)[1:])

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
        if self.path.startswith("/api/") and (payload := self._payload(body)) is not None:
            token = (self.headers["Authorization"] or "").removeprefix("Bearer ")
            answer = self.slack.call(self.path.removeprefix("/api/"), token, payload)
        elif self.path.startswith("/upload/") and self.headers["Authorization"] is None:
            self.slack.workspace.files[self.path.removeprefix("/upload/")] = body
            answer = OK
        elif self.path == f"/services/{SECRET}":
            answer = self.slack.take(json.loads(body))
        else:
            answer = Answer(404, "no_service")
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

    def _payload(self, body: bytes) -> dict[str, Any] | None:
        match self.headers["Content-Type"]:
            case "application/json; charset=utf-8":
                return dict(json.loads(body))
            # Methods that upload take nothing else, and no other does so here.
            case "application/x-www-form-urlencoded" if self.path == "/api/files.getUploadURLExternal":
                return dict(parse_qsl(body.decode()))
        return None

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
    slack.api = f"http://127.0.0.1:{server.server_address[1]}/api"
    slack.workspace.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield slack
    finally:
        slack.closing.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
