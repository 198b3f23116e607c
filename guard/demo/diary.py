"""A process's own log, one JSON object a line, each written before the next thing is done; and its reader."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

Entry = dict[str, Any]


class Diary:
    """Appends entries with their wall time, unbuffered: what was written is there however the process ends."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def note(self, what: str, **facts: object) -> None:
        """Write one entry."""
        self._file.write(json.dumps({"at": time.time(), "what": what, **facts}).encode() + b"\n")


def read_diary(path: Path) -> list[Entry]:
    """All whole entries so far; none where the file is not there yet."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
