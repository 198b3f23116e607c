"""`watch` without a picture: one line for each thing that changes. Pure; it keeps what it has said last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from guard.cli.explaining import order_words, troubles
from guard.cli.seen import RunSeen, View
from guard.cli.watched import GUARD_WORDS, Watched, WatchedEvent, state_of
from guard.cli.words import at, one_line


class Saying:
    """What has been said of one database."""

    def __init__(self) -> None:
        self._guard = ""
        self._silent = False
        self._runs: dict[int, tuple[str, str]] = {}
        """Of each run, its name and the word for how it was said to stand."""
        self._orders: set[int] = set()
        self._troubles: set[str] = set()
        self._heard = False

    def lines(self, watched: Watched, fresh: Iterable[WatchedEvent], wall: float) -> list[str]:
        """What is to be said now. *fresh* are the events since the last call, *wall* is the time here."""
        if watched.trouble:
            words = f"NOT REACHED, and tried again: {watched.trouble}"
            said = [] if self._silent else [_line(wall, watched.name, words)]
            self._silent = True
            return said
        found = watched.view
        if found is None:
            return []
        now = found.guard.now_wall
        body: list[tuple[float, str]] = [(now, "it answers again")] if self._silent and self._heard else []
        body += [(now, words) for words in (*self._of_guard(found), *self._of_orders(found))]
        # What happened before somebody began to watch is no change; how it all stands by now is said in full.
        body += self._of_events(fresh) if self._heard else ()
        body += [(now, words) for words in self._of_runs(found)]
        if not self._heard and not found.runs:
            body.append((now, "no migration is running"))
        self._silent, self._heard = False, True
        return [_line(at_wall, watched.name, words) for at_wall, words in body]

    def _of_guard(self, found: View) -> Iterator[str]:
        guard = found.guard
        state = f"{guard.guard_id} {guard.state}"
        if state != self._guard:
            yield f"{GUARD_WORDS[guard.state]}: {guard.words}"
        self._guard = state
        now = {words.partition(" (")[0]: words for words in troubles(found)}
        yield from (words for key, words in now.items() if key not in self._troubles)
        yield from (f"no longer: {key}" for key in sorted(self._troubles - now.keys()))
        self._troubles = set(now)

    def _of_orders(self, found: View) -> Iterator[str]:
        standing = {order.order_id for order in found.orders}
        for order in found.orders:
            if order.order_id not in self._orders:
                yield order_words(order, found.guard.now_wall)
        yield from (f"order {order_id} stands no more" for order_id in sorted(self._orders - standing))
        self._orders = standing

    def _of_events(self, events: Iterable[WatchedEvent]) -> Iterator[tuple[float, str]]:
        for event in events:
            yield event.at, event.words
            if event.run_id is not None:
                self._runs[event.run_id] = (event.migration, event.state)

    def _of_runs(self, found: View) -> Iterator[str]:
        for run in found.runs:
            yield from self._of_run(found, run)
        here = {run.run_id for run in found.runs}
        for run_id in [each for each in self._runs if each not in here]:
            name, state = self._runs.pop(run_id)
            if state not in _OVER:
                yield f"{name} (run {run_id}): no longer there"

    def _of_run(self, found: View, run: RunSeen) -> Iterator[str]:
        state, remark = state_of(found, run)
        said = self._runs.get(run.run_id)
        if said is None or said[1] != state:
            because = f": {run.because}" if run.because else ""
            yield f"{run.migration} (run {run.run_id}): {state}{f' {remark}' if remark else ''}{because}"
        self._runs[run.run_id] = (run.migration, state)


def _line(wall: float, name: str, words: str) -> str:
    return f"{at(wall)}  {name}: {one_line(words)}"


_OVER = frozenset({"DONE", "SOAKING", "ABORTED", "ENDED"})
