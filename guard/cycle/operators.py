"""What humans ordered, as news: an order came into force, was taken back, or expired.

Whoever gave it and by whichever door: only the roster tells. What an order does is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable

from guard.decide.notices import Draft
from guard.model import EVERYONE, OperatorOrder, Severity


class Operators:
    """Remembers which orders were in force; those of the first look are no news, since a guard may be restarted."""

    def __init__(self) -> None:
        self._known: dict[int, OperatorOrder] | None = None

    def news(self, orders: Iterable[OperatorOrder], wall: float) -> list[tuple[str, Draft]]:
        """Drafts of what has changed since the last call, each with the migration that it is about."""
        present = {order.order_id: order for order in orders}
        before = present if self._known is None else self._known
        self._known = present
        begun = [_began(present[order_id]) for order_id in sorted(present.keys() - before.keys())]
        return begun + [_ended(before[order_id], wall) for order_id in sorted(before.keys() - present.keys())]


def _began(order: OperatorOrder) -> tuple[str, Draft]:
    return _draft(order, f"{_named(order)} ordered by {order.owner}", order.reason)


def _ended(order: OperatorOrder, wall: float) -> tuple[str, Draft]:
    expired = order.expires_wall is not None and order.expires_wall <= wall
    because = "it expired" if expired else "it was taken back"
    return _draft(order, f"the {_named(order)} by {order.owner} is over", because)


def _draft(order: OperatorOrder, headline: str, because: str) -> tuple[str, Draft]:
    about = "all migrations" if order.migration == EVERYONE else order.migration
    return order.migration, Draft("operator", Severity.INFO, headline, because, about=about)


def _named(order: OperatorOrder) -> str:
    return f'{order.kind} of rule "{order.rule}"' if order.rule else order.kind
