"""What a metric is: all that a rule, its author and a reader of a message must know of one. It measures nothing."""

from __future__ import annotations

from dataclasses import dataclass

from guard.model.seen import Dimension


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
