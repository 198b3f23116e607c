"""Limits that look the wrong way: `pause = "< 5s"` where more is worse pauses while all is well, and never else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from guard.model import Condition
from guard.model.metric import Metric
from guard.settings.lines import Key
from guard.settings.problems import Problems

_BREACHES: Final = ("warn", "pause", "cancel", "rollback")
_TURNED: Final = {">": "<", ">=": "<=", "<": ">", "<=": ">="}


def check_direction(metric: Metric | None, limits: Mapping[str, Condition], key: Key, problems: Problems) -> None:
    """Warn of each limit that only what is good can be past. Of a query or a URL (None) nobody knows what is good."""
    if metric is None:
        return
    worse, right = ("less", "<") if metric.less_is_worse else ("more", ">")
    for name, condition in limits.items():
        if name in _BREACHES and not any(term.op.startswith(right) for term in condition.terms):
            meant = " and ".join(f"{_TURNED[term.op]} {term.limit.text}" for term in condition.terms)
            message = f'of {metric.name} {worse} is worse, so this holds while all is well; was "{meant}" meant?'
            problems.warn((*key, name), message)
