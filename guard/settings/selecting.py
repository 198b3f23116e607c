"""`select` of a rule: whether its metric has such series. Which there are at the moment only a probe can tell."""

from __future__ import annotations

import re
from typing import Final

from guard.model.sensors import METRICS
from guard.settings.lines import Key
from guard.settings.problems import Problems, did_you_mean
from guard.settings.tables import RuleTable

WAIT_EVENT_TYPES: Final = ("Activity", "BufferPin", "Client", "Extension", "IO", "IPC", "Lock", "LWLock", "Timeout")
"""As PostgreSQL 14 to 18 have them. One that a later version adds is asked for by `sql`."""


def check_select(table: RuleTable, key: Key, problems: Problems) -> None:
    """Note what is wrong with it."""
    if not table.select:
        return
    if table.metric is None:
        problems.add((*key, "select"), "goes with metric alone; a query selects by itself")
        return
    metric = METRICS.get(table.metric)
    if metric is None:
        return
    if not metric.labels:
        several = ", ".join(name for name, each in METRICS.items() if each.labels)
        problems.add((*key, "select"), f"{metric.name} is one series only; those with several: {several}")
        return
    for name, value in table.select.items():
        if name not in metric.labels:
            message = f"{metric.name} has no label of this name; {did_you_mean(name, metric.labels)}"
            problems.add((*key, "select", name), message)
        elif flaw := _flaw(name, value):
            problems.add((*key, "select", name), flaw)


def _flaw(name: str, value: str) -> str:
    """What is wrong with a value of which it can be known beforehand; a series that never comes is hard to notice."""
    if name == "wait_event_type" and value not in WAIT_EVENT_TYPES:
        return f"there is no such type; {did_you_mean(value, WAIT_EVENT_TYPES)}"
    if name == "queryid" and not (re.fullmatch(r"-?[0-9]{1,19}", value) and -(1 << 63) <= int(value) < 1 << 63):
        return 'must be a query id as pg_stat_statements shows it, such as "-3416356442043621232"'
    return ""
