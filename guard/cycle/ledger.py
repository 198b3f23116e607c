"""What has happened and was not yet written down: events for the guarded database, notices for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from guard.decide import notices
from guard.decide.notices import Draft
from guard.model import EVERYONE, Event, Notice, Phase, State
from guard.records import notice_to_dict, state_to_dict
from guard.tally import Tally

EVENTS_KEPT = 1000
"""While the database cannot be written, this many events wait; notices go to the journal all the same."""

More = Mapping[str, object]
ONCE_KEPT = 1000
"""Of what is told once this much is remembered; who has left since is not told of again anyway."""


class Ledger:
    """Events wait here for the next publication, notices for the journal."""

    def __init__(self, database: str, new_id: Callable[[], str], tally: Tally | None = None) -> None:
        self.events: list[Event] = []
        self.notices: list[Notice] = []
        self.barred: list[tuple[int, str, str]] = []
        """Runs that may not go on until a human forgets them."""
        self._database = database
        self._new_id = new_id
        self._tally = tally or Tally()
        self._told: dict[tuple[str, int | None, str], None] = {}

    def record(
        self, kind: str, state: State, draft: Draft | None = None, *, wall: float = 0.0, more: More | None = None
    ) -> None:
        """Write down one event, with a notice where people are to know; *more*: what else the record is to hold."""
        payload: dict[str, object] = {"state": state_to_dict(state), **(more or {})}
        because = state.because
        if draft is not None:
            because = draft.because or draft.headline  # the same words as people are told
            notice = notices.address(draft, state, notice_id=self._new_id(), database=self._database, wall=wall)
            self.notices.append(notice)
            payload["notice"] = notice_to_dict(notice)
        self.events.append(Event(kind, state.migration, state.run_id, because, state.phase.value, payload))
        del self.events[:-EVENTS_KEPT]

    def tell(self, draft: Draft, state: State, wall: float, *, once: bool = False, more: More | None = None) -> None:
        """Write down what people must know; `once`: not again in the same words for the same run."""
        told = (state.migration, state.run_id, draft.headline)
        if once and told in self._told:
            return
        if once:
            self._told[told] = None
            if len(self._told) > ONCE_KEPT:
                del self._told[next(iter(self._told))]
        self.record(draft.kind, state, draft, wall=wall, more=more)

    def notify(self, draft: Draft, wall: float) -> Notice:
        """Tell people what concerns no run; it is no event, since the database is what cannot be written."""
        nobody = State(EVERYONE, None, Phase.RUNNING, draft.because, wall)
        notice = notices.address(draft, nobody, notice_id=self._new_id(), database=self._database, wall=wall)
        self.notices.append(notice)
        return notice

    def announce(self, draft: Draft, wall: float) -> None:
        """Tell people what concerns the guard itself, and write it down as an event; no run's state is in it."""
        payload: dict[str, object] = {"notice": notice_to_dict(self.notify(draft, wall))}
        self.events.append(Event(draft.kind, EVERYONE, None, draft.because, "", payload))

    def bar(self, state: State, because: str) -> None:
        """Keep a run from going on until a human forgets it."""
        if state.run_id is not None:
            self.barred.append((state.run_id, state.migration, because))

    def written(self, events: int, barred: int) -> None:
        """The first so many are in the database."""
        for event in self.events[:events]:
            self._tally.happened(event)
        del self.events[:events], self.barred[:barred]
