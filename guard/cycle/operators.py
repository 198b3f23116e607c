"""What humans ordered, as news: an order came into force, was taken back, or expired.

Whoever gave it and by whichever door: only the roster tells. What an order does is decided elsewhere.
"""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import Iterable

from guard.decide.bounds import FLAP_BREAKER
from guard.decide.notices import Draft
from guard.judge.quantities import say_seconds
from guard.model import EVERYONE, OperatorOrder, Severity

_LATE = 10.0
"""Seconds: an order that is first seen later than this was given while no guard looked."""

_MEANS = {
    "pause": "{who} begins no further batch until {end}.",
    "abort": "{who} ends before its next batch, and may not run again until it is forgotten.",
    "override": "{who} goes on whatever the rules say, until {end}. A lock queue behind it is cleared all the same.",
    "resume": "{who} goes on once every rule is well; earlier pauses count for nothing until {end}.",
    "mute": "The rule counts for nothing until {end}.",
}


class Operators:
    """Remembers which orders people know of, for as long as they stand."""

    def __init__(self) -> None:
        self._known: dict[int, OperatorOrder] | None = None

    @property
    def known(self) -> tuple[OperatorOrder, ...]:
        """Orders in force that have been told, for the guard that comes after this one."""
        return tuple((self._known or {}).values())

    def remember(self, orders: Iterable[OperatorOrder]) -> None:
        """Take up what the guard before has told. What this one has heard itself is newer."""
        if self._known is None:
            self._known = {order.order_id: order for order in orders}

    def news(self, orders: Iterable[OperatorOrder], wall: float) -> list[tuple[str, Draft]]:
        """Drafts of what has changed, each with the migration that it is about; `wall` is the server's time."""
        present = {order.order_id: order for order in orders}
        before, self._known = self._known or {}, present
        begun = [present[order_id] for order_id in sorted(present.keys() - before.keys())]
        over = [before[order_id] for order_id in sorted(before.keys() - present.keys())]
        return [(order.migration, _began(order, wall)) for order in begun] + [
            (order.migration, _ended(order, wall)) for order in over if order.rule != FLAP_BREAKER
        ]


def _began(order: OperatorOrder, wall: float) -> Draft:
    since = wall - order.created_wall
    late = {"given": f"{say_seconds(round(since))} ago, while no guard was there to tell"} if since > _LATE else {}
    return Draft(
        kind="operator",
        severity=Severity.INFO,
        headline=f"{_named(order)} ordered by {order.owner}",
        because=order.reason,
        next_step=_MEANS[_kind(order)].format(who=_who(order), end=_end(order, wall)),
        commands=_way_back(order),
        fields=late,
        about=_about(order),
    )


def _ended(order: OperatorOrder, wall: float) -> Draft:
    expired = order.expires_wall is not None and order.expires_wall <= wall
    return Draft(
        kind="operator",
        severity=Severity.INFO,
        headline=f"the {_named(order)} by {order.owner} is over",
        because="it expired" if expired else "it was taken back",
        next_step="Who is aborted stays so until it is forgotten."
        if order.kind == "abort"
        else "The guard's own word counts again.",
        commands=() if order.migration == EVERYONE else (f"migration-guard explain {shlex.quote(order.migration)}",),
        about=_about(order),
    )


def _about(order: OperatorOrder) -> str:
    return "all migrations" if order.migration == EVERYONE else order.migration


def _who(order: OperatorOrder) -> str:
    return "Each migration" if order.migration == EVERYONE else "It"


def _end(order: OperatorOrder, wall: float) -> str:
    if order.expires_wall is None:
        return "somebody takes the order back"
    at = dt.datetime.fromtimestamp(order.expires_wall, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{at}, which is in {say_seconds(max(0.0, round(order.expires_wall - wall)))}"


def _way_back(order: OperatorOrder) -> tuple[str, ...]:
    """The command that takes the order back."""
    name = shlex.quote(order.migration)
    match _kind(order):
        case "pause":
            return (f"migration-guard resume {name}",)
        case "override":
            return (f"migration-guard override {name} --end",)
        case "resume":
            return ()
        case "mute":
            only = "" if order.migration == EVERYONE else f" --migration {name}"
            return (f"migration-guard mute {shlex.quote(order.rule or '')}{only} --end",)
        case _:
            return () if order.migration == EVERYONE else (f"migration-guard forget {name}",)


def _kind(order: OperatorOrder) -> str:
    return "resume" if order.rule == FLAP_BREAKER else order.kind


def _named(order: OperatorOrder) -> str:
    kind = _kind(order)
    return f'{kind} of rule "{order.rule}"' if kind == "mute" else kind
