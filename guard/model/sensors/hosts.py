"""The hosts of one connection string."""

from __future__ import annotations

from typing import Final

from guard.model.metric import Metric
from guard.model.seen import Dimension
from guard.model.sensors.words import ANYBODY

HOSTS: Final = (
    Metric(
        name="database.primaries",
        dimension=Dimension.COUNT,
        means="hosts of the connection string that say they are the primary",
        source="pg_is_in_recovery() of each host",
        silent="no host answers",
        needs=ANYBODY,
        cost="one short question to each host",
    ),
)
