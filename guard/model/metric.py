"""What a metric is: all that a rule, its author and a reader of a message must know of one. It measures nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from guard.model.seen import Dimension

Labels = tuple[tuple[str, str], ...]
"""Pairs of label and value, sorted; none: the metric's one figure for all."""


def labelled(metric: str, labels: Iterable[tuple[str, str]]) -> str:
    """The name of one series, for people and as its key: `replication.lag{standby=replica1}`."""
    shown = ",".join(f"{name}={_shown(value)}" for name, value in sorted(labels))
    return f"{metric}{{{shown}}}" if shown else metric


def _shown(value: str) -> str:
    """A value that could be read as more than one label stands in quotes."""
    return value if re.fullmatch(r"[^\s,={}\"\\]+", value) else json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Metric:
    """A built-in metric of PostgreSQL."""

    name: str
    """`family.metric`: the family is read by one probe in one round trip."""
    dimension: Dimension
    means: str
    """What it measures, in a sentence without its end."""
    source: str
    """View and columns, or functions, that it is read from."""
    silent: str
    """When there is no value, beyond what silences every metric."""
    needs: str
    """Privileges that the guard's role needs."""
    cost: str
    drains: bool = True
    """It goes down by itself once the migration is paused, or no rollback mends it: none may rest on it."""
    less_is_worse: bool = False
    labels: tuple[str, ...] = ()
    """By which a rule may `select` one of its series, such as `standby`; empty: there is only one."""
