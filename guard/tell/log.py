"""A notice as one line of the daemon's log, key=value, for people who grep and for machines that parse.

It does not choose where the log goes; the handler does, and with it whether a full pipe could block.
"""

from __future__ import annotations

import json
import logging
import re

from guard.model import Notice, Severity

_LEVELS = {Severity.INFO: logging.INFO, Severity.WARNING: logging.WARNING, Severity.CRITICAL: logging.ERROR}
_BARE = re.compile(r"[A-Za-z0-9_./:*@+-]+")


class LogLines:
    """A messenger that cannot refuse."""

    name = "log"
    pace = 0.0

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logger or logging.getLogger("migration_guard.notice")

    async def send(self, notice: Notice) -> None:
        """Log one line."""
        self._logger.log(_LEVELS[notice.severity], "%s", line(notice))

    async def close(self) -> None:
        """Nothing to close."""


_DRAWN = "chart"
"""A field that is a line of bars: escaped it would be a hundred characters that nobody can read."""


def line(notice: Notice) -> str:
    """One line whatever the texts hold: a value that is not a plain word stands in quotes, escaped as in JSON."""
    pairs: list[tuple[str, object]] = [
        ("notice", notice.notice_id),
        ("severity", notice.severity.value),
        ("kind", notice.kind),
        ("database", notice.database),
        ("migration", notice.migration),
        ("run", notice.run_id),
        ("headline", notice.headline),
        ("because", notice.because),
        ("next", notice.next_step),
        *((re.sub(r"\W+", "_", key).lower(), value) for key, value in notice.fields.items() if key != _DRAWN),
    ]
    return " ".join(f"{key}={_value(value)}" for key, value in pairs if value not in {None, ""})


def _value(value: object) -> str:
    text = str(value)
    return text if _BARE.fullmatch(text) else json.dumps(text)
