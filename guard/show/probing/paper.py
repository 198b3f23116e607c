"""docs/metrics.md, made from the catalogue."""

from __future__ import annotations

from typing import Final

from guard.show.probing.catalogue import GROUPS, Meter

_HEAD: Final = """\
# Metrics

What `GET /metrics` tells, in the text format of Prometheus or as OpenMetrics, by the `Accept` header. Generated:
`python -m guard.show.probing > docs/metrics.md`.

Everything is read from the daemon's memory: a scrape asks no database. A series that is absent says that there is
nothing to tell; it never stands for a zero. Counters begin at 0 with the process and go on through a reload. Beside
these there are the `process_*` metrics of the Prometheus client (CPU, memory, open files, start time).

A label is a name from the configuration, the name of a migration, or a code of a small fixed set; reasons in words are
in `migration-guard explain` and in `/check/NAME?why`. The unregistered migration is called `*`. Of several runs of one
name the gravest order counts.

[prometheus/alerts.yml](prometheus/alerts.yml) has alert rules,
[grafana/migration-guard.json](grafana/migration-guard.json) a dashboard.
"""


def paper() -> str:
    """docs/metrics.md."""
    return "\n".join([_HEAD, *(_group(title, meters) for title, meters in GROUPS.items())])


def _group(title: str, meters: tuple[Meter, ...]) -> str:
    rows = [f"| `{each.full}` | {each.kind} | {', '.join(each.labels)} | {each.means} |" for each in meters]
    return "\n".join([f"## {title}", "| metric | type | labels | meaning |", "|---|---|---|---|", *rows, ""])
