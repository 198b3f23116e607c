"""The catalogue of built-in metrics; docs/sensors.md is generated from it (`python -m guard.model.sensors`).

What a file may name, what `did you mean` proposes and what the paper says is this one list. Nothing is read here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from guard.model.metric import Metric
from guard.model.sensors.hosts import HOSTS
from guard.model.sensors.load import LOAD
from guard.model.sensors.locks import LOCKS
from guard.model.sensors.replication import REPLICATION

METRICS: Final[Mapping[str, Metric]] = {metric.name: metric for metric in (*HOSTS, *REPLICATION, *LOCKS, *LOAD)}
COUNTING_WAITERS: Final = frozenset({"locks.queued_behind_migration", "locks.row_waits_behind_migration"})
"""Metrics that take `waited`."""
CANCELLING: Final = COUNTING_WAITERS | {"locks.longest_wait", "locks.idle_in_transaction"}
"""Metrics that `cancel` may rest on: a cancel cures that others wait behind the migration, and nothing else."""
