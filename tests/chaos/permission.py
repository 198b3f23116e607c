"""Whether a migration was allowed to begin a batch at a moment, by what stood in the database then.

Built from the record of all leases and from the orders of people; it knows nothing of what the guard meant. Times are
the server's, which is this machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from tests.acceptance.house import FRESH_FOR
from tests.chaos.place import NAME

SLACK = FRESH_FOR + 1.0
"""An answer is good for FRESH_FOR from when it was asked for, and one that took up to a second is still believed."""
_INSTANT = 1e-6
_GRAVER = {"abort": 0, "override": 1, "pause": 2}
_LEASES = """
select extract(epoch from at)::float8, extract(epoch from lease_until)::float8, orders -> %s ->> 'kind', mode
from record.lease where at > to_timestamp(%s) order by seq
"""
_ORDERS = """
select kind, extract(epoch from created_at)::float8,
       extract(epoch from least(coalesce(expires_at, 'infinity'), coalesce(withdrawn_at, 'infinity')))::float8
from migration_guard.operator_order where migration in (%s, '*') and kind <> 'mute'
"""


@dataclass(frozen=True, slots=True)
class Lease:
    """One writing of the lease."""

    at: float
    until: float
    allows: bool


@dataclass(frozen=True, slots=True)
class Told:
    """An order of a person."""

    kind: str
    since: float
    until: float


@dataclass(frozen=True)
class Permission:
    """What was allowed in a stretch of time."""

    leases: Sequence[Lease]
    orders: Sequence[Told]
    crashes: Sequence[float]

    @classmethod
    def read(cls, connection: psycopg.Connection[Any], since: float, crashes: Sequence[float]) -> Permission:
        """What is on record from a wall time on."""
        rows = connection.execute(_LEASES.encode(), [NAME, since]).fetchall()
        leases = [Lease(at, until or at, kind == "proceed" and mode == "live") for at, until, kind, mode in rows]
        orders = [Told(*row) for row in connection.execute(_ORDERS.encode(), [NAME]).fetchall()]
        return cls(leases, orders, crashes)

    def allowed(self, start: float) -> bool:
        """Whether a batch might begin then: at that moment, or at some moment within SLACK before."""
        earliest = start - SLACK
        changes = [moment for moment in self._changes() if earliest <= moment <= start]
        moments = [start, earliest, *changes, *(moment - _INSTANT for moment in changes)]
        return any(self.at(moment) for moment in moments)

    def at(self, moment: float) -> bool:
        """Whether it was allowed at that very moment."""
        standing = [order.kind for order in self.orders if order.since <= moment < order.until]
        if standing:
            return min(standing, key=_GRAVER.__getitem__) == "override"
        lease = max((lease for lease in self.leases if lease.at <= moment), key=lambda lease: lease.at, default=None)
        if lease is None or not lease.allows or moment >= lease.until:
            return False
        return not any(lease.at < crash <= moment for crash in self.crashes)

    def words(self, start: float) -> str:
        """What stood in the database about then, for the report of a violation."""
        near = [lease for lease in self.leases if start - 8 < lease.at < start + 2]
        leases = [
            f"{lease.at - start:+.2f} to {lease.until - start:+.2f} {'yes' if lease.allows else 'no'}" for lease in near
        ]
        orders = [f"{each.kind} {each.since - start:+.2f} to {each.until - start:+.2f}" for each in self.orders]
        return f"leases, in seconds from the batch: {leases}; orders of people: {orders[-3:]}"

    def _changes(self) -> list[float]:
        moments = [moment for lease in self.leases for moment in (lease.at, lease.until)]
        moments += [moment for order in self.orders for moment in (order.since, order.until)]
        return moments + list(self.crashes)
