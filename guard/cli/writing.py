"""Files that a command writes for a person: whole or not at all, and never over something that is not its own."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

import typer

from guard.errors import WorldError

OUT = "-"
"""Standard output, where a file may be named."""
_HEAD = 8192
"""Bytes at the beginning of a file in which its mark stands."""


def write(path: Path, text: str, *, mark: str, force: bool) -> None:
    """Write *text* in one go. A file that is there is replaced only if it is empty, has the mark near its beginning, or
    is to be replaced whatever it is.

    Raises WorldError.
    """
    if str(path) == OUT:
        typer.echo(text, nl=False)
        return
    try:
        _write(path.resolve(), text.encode(), mark.encode(), force=force)
    except OSError as wrong:
        raise WorldError(f"{path} cannot be written: {wrong.strerror}.") from None


def refuse_others(path: Path, mark: str) -> None:
    """Before work that ends in a file: raise WorldError where one is there that is neither empty nor has the mark."""
    try:
        if path.is_file() and path.stat().st_size and mark.encode() not in _head(path):
            raise WorldError(f"{path} is there already and is not a report of migration-guard: name another one.")
    except OSError as wrong:
        raise WorldError(f"{path} cannot be read: {wrong.strerror}.") from None


def _write(path: Path, content: bytes, mark: bytes, *, force: bool) -> None:
    mode = None
    if path.exists():
        known = path.stat()
        if not stat.S_ISREG(known.st_mode):
            path.write_bytes(content)  # a pipe or a terminal: nothing to keep
            return
        mode = stat.S_IMODE(known.st_mode)
        if not force and known.st_size and mark not in _head(path):
            raise WorldError(f"{path} is there already and is not a report of this run; --force replaces it.")
    half = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with half.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            half.chmod(mode)
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)
