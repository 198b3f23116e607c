"""The SQL that a DBA reviews: the schema, the roles, and one query a file. It is only read here, never run."""

from __future__ import annotations

import functools
import importlib.resources
from typing import LiteralString

__all__ = ["get", "script"]


@functools.cache
def get(name: str) -> LiteralString:
    """The query ``queries/NAME.sql`` without its comment lines, to be run as it is.

    It counts as a literal, since it is part of the program; values go in as parameters alone.
    Raises FileNotFoundError where there is no such file.
    """
    lines = _read(f"queries/{name}.sql").splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("--")).strip()


@functools.cache
def script(name: str) -> LiteralString:
    """A whole script (``schema``, ``roles``, ``uninstall``) with its comments, since people are to read it."""
    return _read(f"{name}.sql")


def _read(path: str) -> LiteralString:
    return importlib.resources.files(__name__).joinpath(path).read_text(encoding="utf-8")
