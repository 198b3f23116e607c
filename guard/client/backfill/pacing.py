"""Paces a backfill by what standbys have still to replay, and cuts its batches to what the window holds.

When a batch may begin is the Pacer's; here is what one knows whose batches differ in size.
"""

from __future__ import annotations

from collections.abc import Callable

from guard.client.backfill.table import Connection
from guard.client.pacing import Pacer


class BatchPacer(Pacer):
    """*window*: bytes, or None: by the rate. *alone*: where no guard has said which standbys there are, it goes on."""

    def __init__(
        self, connection: Connection, window: int | None, on_wait: Callable[[str], None], *, alone: bool
    ) -> None:
        super().__init__(connection, window=window, on_wait=on_wait)
        self._alone = alone
        self._rows = self._keys = 0
        self._bytes_per_key: float | None = None

    def did(self, keys: int, rows: int) -> None:
        """What the last batch was."""
        self._keys, self._rows = keys, rows

    def hold(self, work: float = 1.0) -> float:  # noqa: ARG002 -- one that changed nothing says nothing of the server
        """As for any loop, by the rows of the last batch."""
        seconds = super().hold(self._rows)
        return 0.0 if self._alone and self._nobody_expects else seconds

    @property
    def _nobody_expects(self) -> bool:
        return self._last.written is not None and self._last.expected is None

    def cut(self, keys: int) -> int:
        """So many keys, or as many as a batch of this window may write WAL for."""
        wrote, most = self._valve.wrote, self.batch_bytes
        if wrote and self._keys:
            now = wrote / self._keys
            self._bytes_per_key = now if self._bytes_per_key is None else (self._bytes_per_key + now) / 2
        if most is None or not self._bytes_per_key:
            return keys
        return max(1, min(keys, int(most / self._bytes_per_key)))
