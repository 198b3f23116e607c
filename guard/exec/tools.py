"""Which tool a command starts, and what is known of it: the one door to guard.exec's knowledge of other people's tools.

It starts nothing and asks no database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from guard.exec.catalogue import KNOWN
from guard.exec.tool import Tool
from guard.exec.wrapped import Started, started

__all__ = ["Tool", "known"]

_TOUCHES_NO_DATABASE = frozenset({"echo", "printf", "true", "tsc", "sleep", "mkdir", "export", "set"})
_TOUCHES_FILES_ALONE = frozenset({"generate", "check", "up", "export", "introspect", "pull"})
"""Verbs of drizzle-kit."""


def known(command: Sequence[str], directory: Path | None = None) -> Tool | None:
    """The tool that *command* starts in *directory* (the current one), or None for one that nothing is known of.

    Where more than this one tool is at work, or something in between could not be followed, neither is it claimed that
    a cancel takes all back nor that it may be repeated.
    """
    parts = [part for part in started(command, directory or Path.cwd()) if not _harmless(part)]
    found = [(tool, part) for part in parts if (tool := _tool(part)) is not None]
    if not found:
        return None
    # Of several the one whose exit code lies is the one to listen to.
    tool, part = next((pair for pair in found if pair[0].success), found[-1])
    if len(parts) == 1 and part.sure:
        return tool
    return replace(tool, one_transaction=False, repeatable=False)


def _harmless(part: Started) -> bool:
    """It changes no database."""
    if part.program == "drizzle-kit":
        return part.arguments[:1] in {(word,) for word in ("generate", "check", "up", "export", "introspect", "pull")}
    return part.program in {"echo", "printf", "true", "tsc", "sleep", "mkdir", "export", "set"}


def _tool(part: Started) -> Tool | None:
    if (knows := KNOWN.get(part.program)) is not None:
        return knows(part)
    for index, word in enumerate(part.arguments):  # behind a wrapper that nobody told us of
        name = Path(word).name.partition("@")[0]
        if (knows := KNOWN.get(name)) is not None:
            tool = knows(Started(name, part.arguments[index + 1 :], part.directory))
            return None if tool is None else replace(tool, one_transaction=False, repeatable=False)
    return None
