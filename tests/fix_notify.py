"""A socket in systemd's place: what a daemon tells it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


class Notified:
    """What has arrived, oldest first: wall time, key and value of each line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[tuple[float, str, str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(0.1)
        self._closing = False
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def values(self, key: str, since: float = 0.0) -> list[str]:
        """The values of one key."""
        return [value for at, name, value in list(self.lines) if name == key and at >= since]

    def _listen(self) -> None:
        while not self._closing:
            try:
                message = self._socket.recv(65536).decode()
            except TimeoutError:
                continue
            now = time.time()
            self.lines += [(now, *line.split("=", 1)) for line in message.splitlines()]  # type: ignore[misc]

    def close(self) -> None:
        """Stop listening."""
        self._closing = True
        self._thread.join(5)
        self._socket.close()


@pytest.fixture
def notified(tmp_path: Path) -> Iterator[Notified]:
    """A socket that listens as systemd's does; ``environment={"NOTIFY_SOCKET": str(notified.path)}``."""
    notified = Notified(tmp_path / "notify")
    yield notified
    notified.close()
