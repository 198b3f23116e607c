"""What is written for a migration by its name, by a pattern of names, or for all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")


def key_for(keys: Iterable[str], migration: str) -> str | None:
    """Its own name, else the longest pattern that fits (`*` stands for anything), else none."""
    known = set(keys)
    if migration in known:
        return migration
    fitting = [pattern for pattern in known if "*" in pattern and _fits(pattern, migration)]
    return max(fitting, key=lambda pattern: (len(pattern), pattern)) if fitting else None


def entry_for(entries: Mapping[str, T], migration: str) -> T | None:
    """The entry under that key."""
    key = key_for(entries, migration)
    return None if key is None else entries[key]


def _fits(pattern: str, name: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name, re.DOTALL) is not None
