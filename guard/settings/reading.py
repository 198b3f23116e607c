"""From a path to TOML tables, or to the reason why not. Knows files and syntax, nothing of what the keys mean."""

from __future__ import annotations

import re
import stat
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from guard.errors import ConfigError, Problem
from guard.settings.lines import Lines

MOST: Final = 1 << 18
"""Bytes; a hand-written file is a twentieth of this, and a log or a dump given by mistake is far more."""
LONGEST: Final = 10_000
"""Characters of a line. Reading a key of many thousand parts takes tomllib minutes, and a reload has not so long."""


@dataclass(frozen=True, slots=True)
class Document:
    path: Path
    tables: dict[str, Any]
    lines: Lines


def read(path: Path) -> Document:
    """Read a TOML file; a byte order mark and CRLF are fine. Raises ConfigError for all that can go wrong."""
    text = _decode(path, _bytes(path))
    if long := next((n for n, line in enumerate(text.split("\n"), 1) if len(line) > LONGEST), None):
        raise _refuse(path, f"has a line of more than {LONGEST} characters, so it is hardly a configuration", long)
    try:
        tables = tomllib.loads(text)
        return Document(path, tables, Lines(text))
    except tomllib.TOMLDecodeError as wrong:
        at = re.search(r"\(at line (\d+), column (\d+)\)", str(wrong))
        line = int(at[1]) if at else text.count("\n") + 1
        raise _refuse(path, f"this is not TOML: {wrong}", line) from None
    except RecursionError:
        raise _refuse(path, "this is nested too deeply for a configuration") from None
    except ValueError as wrong:
        # tomllib lets int() speak for a number of more than 4300 digits.
        raise _refuse(path, f"this is not TOML: {wrong}") from None


def _bytes(path: Path) -> bytes:
    try:
        # Asked before it is opened: opening a FIFO would wait for somebody to write.
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise _refuse(path, "must be a regular file")
        with path.open("rb") as file:
            content = file.read(MOST + 1)
    except OSError as wrong:
        raise _refuse(path, f"cannot be read: {wrong.strerror}") from None
    except ValueError as wrong:
        raise _refuse(path, f"cannot be read: {wrong}") from None
    if len(content) > MOST:
        raise _refuse(path, "is larger than 256 kB, so it is hardly a configuration")
    return content


def _decode(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as wrong:
        line = content.count(b"\n", 0, wrong.start) + 1
        raise _refuse(path, "must be UTF-8 text", line) from None


def _refuse(path: Path, message: str, line: int = 1) -> ConfigError:
    return ConfigError([Problem(file=str(path), line=line, key="file", message=message)])
