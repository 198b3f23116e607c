"""docs/sensors.md, made from the catalogue."""

from __future__ import annotations

from typing import Final

from guard.model.metric import Metric
from guard.model.sensors import CANCELLING, METRICS

_HEAD: Final = """\
# Sensors

What `metric = "..."` in a rule can name. Generated: `python -m guard.model.sensors > docs/sensors.md`.

A metric that no rule uses is not read. All that are used of one family (the word before the dot) are read together, in
one round trip. Each is silent, with the reason, while the server does not answer within `probe_deadline`, is a standby,
or does not show to the guard's role what is asked for; a silence is never a zero, and the rule's `no_data` says what it
means.
A metric with `select` has a series for each standby or the like, and by itself tells the worst of those that count.
`select = { standby = "replica1" }` in a rule means that one alone; while there is none it is silent.
`locks.*` and `vacuum.on_migration_table` see the sessions of registered runs and of those that [migrations] tells; not
those of a run behind a transaction pooler, whose session may serve the application a moment later.
`rollback` goes only with what does not go down by itself once the migration is paused; `cancel` with
those that count or time who waits behind the migration.

## sql
`sql = "select ..."` in a metric's place is a query of your own: any that returns one row with one number. `unit` says
what it answers in, as with Prometheus. It is asked by the guard's role, on a connection of its own, in a READ ONLY
transaction, with a statement timeout of 1.5 s and a lock timeout of 0.3 s. Tables need their schema (`public.orders`).
No row, more rows or columns, NULL, text, an error or a write is a silence that says so. `rollback` may rest on it.
"""


def paper() -> str:
    """docs/sensors.md."""
    return "\n".join([_HEAD, *map(_entry, METRICS.values())])


def _entry(metric: Metric) -> str:
    lines = [
        f"## {metric.name}",
        f"{metric.means[0].upper()}{metric.means[1:]}.",
        "",
        f"- unit: {metric.dimension.value}; {'less' if metric.less_is_worse else 'more'} is worse",
        f"- read from: {metric.source}",
        f"- silent when: {metric.silent}",
        f"- privileges: {metric.needs}",
        f"- cost: {metric.cost}",
    ]
    if metric.labels:
        lines.append(f"- select: {' or '.join(metric.labels)}")
    lines.append(f"- rollback: {'no' if metric.drains else 'yes'}")
    if metric.name in CANCELLING:
        lines.append("- cancel: yes")
    return "\n".join([*lines, ""])
