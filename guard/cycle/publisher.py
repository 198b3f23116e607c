"""Orders and beat in one write, and no more often than they are needed.

A guard that cannot write its order cannot beat, so a migration never goes on under an order that is not the newest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from guard.cycle.ledger import Ledger
from guard.decide.machine import ORDERS
from guard.errors import ServerError
from guard.model import Order, OrderKind, Phase, State
from guard.ports import Hands, Leadership, Publication

BEAT_INTERVAL = 1.0
REPORT_INTERVAL = 10.0
_ROUNDING = 0.02
"""A tick that comes this much early still beats, else a 1 s poll would beat every 2 s."""
_ORDERLESS = frozenset({Phase.DONE, Phase.SOAKING})


@dataclass(frozen=True, slots=True)
class Bulletin:
    """What there is to publish at one moment."""

    now: float
    mode: str
    """`live`, `dormant` or `observing`."""
    beating: bool
    states: Sequence[State]
    rests_for: float
    report: Callable[[], Mapping[str, object]]
    troubles: Mapping[str, str] = field(default_factory=dict)
    """Of the channels to people; where they cannot be told, `status` must tell."""
    learnt: frozenset[str] = frozenset()
    """The questions that have a baseline by now: news of which is worth a report while nobody migrates."""


class Publisher:
    """Knows what was published last, and whether it is this guard's turn to publish at all."""

    def __init__(self, hands: Hands) -> None:
        self.leading = False
        self.trouble = ""
        """Why nothing can be published at the moment; empty when it can."""
        self.epoch = 0
        self.last_event_id = 0
        self._hands = hands
        self._kinds: dict[str, OrderKind] | None = None
        """Of the orders in force; None where another guard may have written others, so that the next are new ones."""
        self._mode = ""
        self._troubles: Mapping[str, str] = {}
        self._learnt: frozenset[str] = frozenset()
        self._holds: frozenset[int | None] = frozenset()
        """The runs whose pause was said to hold: that one holds no more is news."""
        self._last_beat: float | None = None
        self._last_report: float | None = None
        self._last_sign: float | None = None

    @property
    def last_beat(self) -> float | None:
        """When this guard wrote its last beat, on the monotonic clock; None: not since it took the lead."""
        return self._last_beat

    def led(self, leadership: Leadership) -> None:
        """The lead has been taken: everything must be said anew."""
        self.leading, self.trouble = True, ""
        self.epoch = max(self.epoch, leadership.epoch)
        self.last_event_id = max(self.last_event_id, leadership.last_event_id)
        self._kinds, self._mode = None, ""
        self._last_beat = self._last_report = self._last_sign = None

    async def publish(self, bulletin: Bulletin, ledger: Ledger) -> None:
        """Write what has changed, or a beat when it is time. A failure keeps everything for the next try."""
        orders = orders_of(bulletin.states, observing=bulletin.mode == "observing")
        kinds = {name: order.kind for name, order in orders.items()}
        changed = kinds != self._kinds or bulletin.mode != self._mode or bool(ledger.events)
        changed = changed or bulletin.troubles != self._troubles or bulletin.learnt != self._learnt
        holds = frozenset(state.run_id for state in bulletin.states if state.effective)
        changed = changed or holds != self._holds
        if not self.leading or not (changed or self._beat_due(bulletin)):
            await self._show_life(bulletin.now)
            return
        reporting = changed or self._last_report is None or bulletin.now - self._last_report >= REPORT_INTERVAL
        publication = Publication(
            mode=bulletin.mode,
            # A phase that a run has entered waits for an acknowledgement of the epoch that it was entered with.
            epoch=max(self.epoch + (kinds != self._kinds), *(state.epoch for state in bulletin.states), 0),
            orders=orders,
            rests_for=bulletin.rests_for,
            events=tuple(ledger.events),
            admitted=tuple(s.run_id for s in bulletin.states if s.admitted and s.run_id is not None),
            barred=tuple(ledger.barred),
            report=bulletin.report() if reporting else None,
            # To take the lead may itself have taken longer than a word counts.
            judged_at=None if self._kinds is None else bulletin.now,
        )
        try:
            last = await self._hands.signal.publish(publication)
        except ServerError as error:
            self.leading, self.trouble = False, str(error)
            return
        ledger.written(len(publication.events), len(publication.barred))
        self.epoch, self._kinds, self._mode = publication.epoch, kinds, bulletin.mode
        self.last_event_id = max(self.last_event_id, last)
        self._last_beat = self._last_sign = bulletin.now
        self._troubles, self._learnt, self._holds = bulletin.troubles, bulletin.learnt, holds
        self._last_report = bulletin.now if reporting else self._last_report
        self._hands.gate.want(frozenset(name for name, kind in kinds.items() if kind is OrderKind.PAUSE))

    async def _show_life(self, now: float) -> None:
        """While nothing is beaten, ask once a second whether this guard still leads.

        So it learns by itself that its session has died, and another guard of its name that this one has not.
        """
        if not self.leading or (self._last_sign is not None and now - self._last_sign < BEAT_INTERVAL - _ROUNDING):
            return
        self._last_sign = now
        try:
            await self._hands.signal.still_leads()
        except ServerError as error:
            self.leading, self.trouble = False, str(error)

    async def release(self, states: Sequence[State], *, observing: bool) -> None:
        """The last word of a guard that stops. An observing one stays observing, so that its end stops nobody."""
        self.leading = False
        orders = orders_of(states, observing=observing)
        mode = "observing" if observing else "released"
        await self._hands.signal.publish(Publication(mode, self.epoch, orders, rests_for=0.0))

    def _beat_due(self, bulletin: Bulletin) -> bool:
        if not bulletin.beating:
            return False
        return self._last_beat is None or bulletin.now - self._last_beat >= BEAT_INTERVAL - _ROUNDING


def orders_of(states: Sequence[State], *, observing: bool) -> dict[str, Order]:
    """What each migration is told; of several runs of one name, the gravest."""
    orders: dict[str, Order] = {}
    for state in states:
        if state.phase in _ORDERLESS:
            continue
        kind = OrderKind.PROCEED if observing else ORDERS[state.phase]
        known = orders.get(state.migration)
        if known is None or kind > known.kind:
            orders[state.migration] = Order(kind, state.because, state.since_wall)
    return orders
