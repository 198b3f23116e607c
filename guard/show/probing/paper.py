"""docs/metrics.md, made from the catalogue."""

from __future__ import annotations

from typing import Final

from guard.show.probing.catalogue import GROUPS, Meter

_HEAD: Final = """\
# Metrics, health and /check

For machines, at the address of `[page]`. Everything comes from the daemon's memory, and nothing can be changed. Where
the page has a token, all but `/healthz` need it (`Authorization: Bearer ...`).

## /healthz
200 while every guard looks and judges, else 503; a line for each database. It is the question whether to restart the
process, so a database that is away is no 503: a restart would not bring it back, and the guard tells of it otherwise.

## /check/NAME
Whether migration NAME may go on, for what can ask neither in Python nor in SQL. Proceed on 200 alone.

| code | meaning |
|---|---|
| 200 | proceed |
| 404 | no guarded database has an open run of that name |
| 417 | abort |
| 429 | pause, or wait for the start |
| 500 | the guard cannot know: it does not lead, cannot signal, cannot see, or has not judged for a lease |

The body is a line for people; with `?why` a line more for each rule: its level, value, limits, since when, and what
would let the migration go on. `?database=NAME` asks of one database, else the gravest answer counts. It registers
nobody, and its answer is no lease: ask before each batch, with a short timeout, and take none for a pause. `/check/*`
is the unregistered migration.

## /metrics
The text format of Prometheus, or OpenMetrics, by the `Accept` header. This page is generated:
`python -m guard.show.probing > docs/metrics.md`.

A series that is absent says that there is nothing to tell; it never stands for a zero. Counters begin at 0 with the
process and go on through a reload. Beside these there are the `process_*` metrics of the Prometheus client (CPU,
memory, open files, start time).

A label is a name from the configuration, the name of a migration, or a code of a small fixed set; reasons in words are
in `migration-guard explain` and in `/check/NAME?why`. The unregistered migration is called `*`. Of several runs of one
name the gravest order counts.

```yaml
scrape_configs:
  - job_name: migration-guard               # the alert rules and the dashboard go by this name
    scrape_interval: 5s
    static_configs:
      - targets: ["127.0.0.1:8788"]         # [page] listen; another name than its own must be in [page] hosts
    authorization:
      credentials_file: /etc/prometheus/migration-guard-token   # where the page has a token
```

[prometheus/alerts.yml](prometheus/alerts.yml) has alert rules (each leads to its place in the [runbook](runbook.md)),
[grafana/migration-guard.json](grafana/migration-guard.json) a dashboard: import it and choose your Prometheus.
"""


def paper() -> str:
    """docs/metrics.md."""
    return "\n".join([_HEAD, *(_group(title, meters) for title, meters in GROUPS.items())])


def _group(title: str, meters: tuple[Meter, ...]) -> str:
    rows = [f"| `{each.full}` | {each.kind} | {', '.join(each.labels)} | {each.means} |" for each in meters]
    return "\n".join([f"### {title}", "| metric | type | labels | meaning |", "|---|---|---|---|", *rows, ""])
