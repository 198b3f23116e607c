"""What is wanted: rules, their conditions and limits."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from guard.model.metric import Labels, labelled
from guard.model.seen import Dimension


@dataclass(frozen=True, slots=True)
class Limit:
    """`5s`, `64MB`, `1%`, or one relative to a baseline: `1.5x baseline` (factor) or `baseline + 20ms` (offset)."""

    text: str
    value: float
    """Base unit of the dimension; the factor or the offset where `kind` says so."""
    kind: str = "absolute"
    """`absolute`, `factor` or `offset`."""


@dataclass(frozen=True, slots=True)
class Term:
    op: str
    """One of `>`, `>=`, `<`, `<=`."""
    limit: Limit


@dataclass(frozen=True, slots=True)
class Condition:
    """`> 1.5x baseline and > 200ms for 30s`: all terms (or any, for a complement), held for `duration` seconds."""

    text: str
    terms: tuple[Term, ...]
    duration: float = 0.0
    any_of: bool = False


class NoData(enum.StrEnum):
    """What silence of a rule's sensor means for the migration."""

    PAUSE = "pause"
    HOLD = "hold"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class Rule:
    """What is measured and its limits. `sensor` is the key of its samples on the board."""

    name: str
    sensor: str
    metric: str
    """For people: `replication.lag`, `sql`, `prometheus`, `http`."""
    dimension: Dimension
    resume: Condition
    warn: Condition | None = None
    pause: Condition | None = None
    cancel: Condition | None = None
    rollback: Condition | None = None
    no_data: NoData = NoData.PAUSE
    no_data_for: float = 3.0
    stale_after: float = 5.0
    databases: tuple[str, ...] = ()
    """Empty: all."""
    migrations: tuple[str, ...] = ()
    """Empty: all, the unregistered too."""
    waited: float = 2.0
    """Lock rules: a session counts once it has waited this long, in seconds."""
    query: str = ""
    """SQL or PromQL, or the URL of an HTTP rule."""
    json_path: str = ""
    """HTTP rules: path of the number in the JSON answer."""
    traffic: str = ""
    """Prometheus rules: PromQL of how much there is to judge by; below `min_traffic` of it the rule abstains."""
    min_traffic: float = 0.0
    scale: float = 1.0
    """Rules with a query or a URL: the answer times this is in the base unit (0.001 where it is in milliseconds)."""
    rate: bool = False
    """The answer is a counter; what is judged is its growth per second."""
    select: Labels = ()
    """Which series of the metric is meant; its sensor is then `series`, and never another's value or a zero."""

    @property
    def series(self) -> str:
        """The metric, with what selects of it: `replication.lag{standby=replica1}`."""
        return labelled(self.metric, self.select)

    @property
    def stops(self) -> bool:
        """Whether this rule can ever hold a migration up; one that only warns cannot keep it paused either."""
        return bool(self.pause or self.cancel or self.rollback)
