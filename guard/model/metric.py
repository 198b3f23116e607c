"""What a metric is: all that a rule, its author and a reader of a message must know of one. It measures nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from guard.model.seen import Dimension

Selection = tuple[tuple[str, str], ...]
"""Labels and their values, by which one of several series is picked; sorted by label."""


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
    labels: tuple[str, ...] = ()
    """By which `select` picks one of several series; without it the worst counts, and is named."""
    drains: bool = True
    """It goes down by itself once the migration is paused, or no rollback mends it: none may rest on it."""
    less_is_worse: bool = False


def sensor_key(metric: str, labels: Iterable[tuple[str, str]] = ()) -> str:
    """The key of a metric's samples: `replication.lag`, or `replication.lag|standby=replica1` for one of its series."""
    picked = ",".join(f"{label}={value}" for label, value in sorted(labels))
    return f"{metric}|{picked}" if picked else metric
