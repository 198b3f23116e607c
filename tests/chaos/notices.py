"""Whether people were told everything, once an id, in order: what Slack took against the audit trails.

It does not read what the notices say.
"""

from __future__ import annotations

import re
import time
from typing import Any

import psycopg

from guard.model import EVERYONE
from tests.chaos.history import History, Violation
from tests.chaos.world import World
from tests.waiting import wait_for

TOLD_WITHIN = 90.0
"""Seconds for a notice to arrive: after a long outage the outbox waits up to a minute, and a fifth more, for a try."""
_NOTICE = re.compile(r"notice=(\w+) .*? migration=(\S+)")


class Notices:
    """Compares; `told_by_now` may be asked at any time, `all_told` when all is healed."""

    def __init__(self, world: World, history: History) -> None:
        self.world, self.history = world, history

    def told_by_now(self) -> None:
        """What happened long enough ago has arrived. Raises Violation."""
        late = time.time() - TOLD_WITHIN
        try:
            trails = {place.name: place.events() for place in self.world.places}
        except psycopg.Error:  # the primary is down: asked again soon
            return
        taken = set(self.world.slack.taken)
        for name, trail in trails.items():
            if missing := [row for row in trail if row[3] and row[1] < late and row[3] not in taken]:
                raise Violation(f"{name}: Slack was not told within {TOLD_WITHIN:g} s of {missing}")

    def all_told(self) -> str:
        """Wait until everything was told; how much it was, in words. Raises TimeoutError, Violation."""
        trails = {place.name: [row[3] for row in place.events() if row[3]] for place in self.world.places}
        slack = self.world.slack

        def missing() -> list[str]:
            taken = set(slack.taken)
            return [f"{name} {ident}" for name, trail in trails.items() for ident in trail if ident not in taken]

        wait_for(lambda: not missing(), within=TOLD_WITHIN, message=lambda: f"Slack to be told {missing()}")
        taken = list(dict.fromkeys(slack.taken))
        for name, trail in trails.items():
            ours = set(trail)
            if [ident for ident in taken if ident in ours] != trail:
                raise Violation(f"{name}: Slack was told in another order than the audit trail has")
        self._same_words()
        beyond = self._beyond_the_trail({ident for trail in trails.values() for ident in trail})
        return f"{len(slack.tried)} messages for {len(taken)} notices{beyond}"

    def _same_words(self) -> None:
        """Who is told twice is told the same, and can see by the id that it is."""
        known: dict[str, Any] = {}
        for request in list(self.world.slack.requests):
            if known.setdefault(request.notice_id, request.payload) != request.payload:
                raise Violation(f"two messages of one id differ: {known[request.notice_id]} and {request.payload}")

    def _beyond_the_trail(self, known: set[str]) -> str:
        """Notices in no audit trail: of the daemon itself, or told while the database could not be written."""
        told = dict(_NOTICE.findall(self.world.guard_log.read_text(errors="replace")))
        shift = time.time() - time.monotonic()
        beyond = {each.notice_id: each.at + shift for each in self.world.slack.requests if each.notice_id not in known}
        for ident, at in beyond.items():
            if told.get(ident) == EVERYONE:
                continue
            if not any(each.fault.mute for each in self.history.during(at, at, TOLD_WITHIN)):
                raise Violation(f"Slack was told of {ident}, which stands in no audit trail")
        return (
            f", {len(beyond)} of them of the daemon itself or while the database could not be written" if beyond else ""
        )
