"""The probe of replication, with the connections to standbys that are asked themselves, credentials included."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from guard.model import Rule
from guard.poll.replication import ReplicationProbe, replication_probe
from guard.postgres import Door, PreparedDoor
from guard.postgres.backoff import Arrivals, Backoff
from guard.settings import DatabaseSettings, asked_standbys

LONGEST_DELAY = 5.0
"""Seconds between two tries to reach a silent standby; it logs whom it refuses."""


def probe_of_replication(
    database: DatabaseSettings, rules: Sequence[Rule], door: Door, deadline: float
) -> ReplicationProbe:
    """What *rules* use; a standby's credential that cannot be had is a silence of each poll."""
    doors = {name: standby_door(database, name, deadline) for name in asked_standbys(database, rules)}
    return replication_probe(door, database.standbys, rules, doors)


def standby_door(
    database: DatabaseSettings, name: str, deadline: float, purpose: str = "standby"
) -> Callable[[], Door]:
    """Makes the door to one standby; making it raises WorldError where its credential cannot be had."""

    def make() -> Door:
        backoff = Backoff(Arrivals(), LONGEST_DELAY)
        return PreparedDoor(database.standby_conninfo(name), purpose=purpose, deadline=deadline, backoff=backoff)

    return make
