"""`select` of a rule: whether its metric has such series. Which there are at the moment only a probe can tell."""

from __future__ import annotations

from guard.model.sensors import METRICS
from guard.settings.lines import Key
from guard.settings.problems import Problems, did_you_mean
from guard.settings.tables import RuleTable


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
    for name in table.select:
        if name not in metric.labels:
            message = f"{metric.name} has no label of this name; {did_you_mean(name, metric.labels)}"
            problems.add((*key, "select", name), message)
