"""Log lines that cannot stop the daemon: a pipe that nobody reads fills up, and a write to it blocks for ever.

Lines go through a bounded queue to a thread of their own. When the queue is full, new lines are counted and dropped.
Secrets are masked in whole lines, tracebacks and all: what a library puts into an error is not ours to choose.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time

from guard.masking import mask

KEPT = 1000
_STDERR = 2


class _Bounded(logging.Handler):
    """Hands records to a thread; never waits."""

    def __init__(self) -> None:
        super().__init__()
        self.dropped = 0
        self._lines: queue.Queue[str | None] = queue.Queue(KEPT)
        self._writer = threading.Thread(target=self._write, name="log", daemon=True)
        self._writer.start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.put_nowait(mask(self.format(record)))
        except queue.Full:
            self.dropped += 1

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            missed, self.dropped = self.dropped, 0
            if missed:
                line = f"{line}\n({missed} log lines were dropped: standard error was not read)"
            # Not by sys.stderr: whoever waits in it holds its lock, and the end of Python would wait for that lock.
            with contextlib.suppress(OSError):
                _write_whole(line.encode(errors="backslashreplace") + b"\n")

    def finish(self, within: float) -> None:
        """Write what is left, as far as it can be written in time."""
        try:
            self._lines.put_nowait(None)
        except queue.Full:
            return
        self._writer.join(within)


def _write_whole(text: bytes) -> None:
    while text:
        text = text[os.write(_STDERR, text) :]


def begin(level: int = logging.INFO) -> _Bounded:
    """Send all log lines to standard error, one a line, with the time in UTC."""
    handler = _Bounded()
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # It would say so each second while a probe hangs; the probe's silence says it already.
    logging.getLogger("apscheduler").setLevel(logging.CRITICAL)
    return handler
