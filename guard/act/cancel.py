"""Ends what a migration is doing when others queue behind it; never anybody else's work.

Nothing is ended on an old sight: the canceller looks again, judges the rule's limit on what it sees now, and the
statement that cancels tests once more that it is the same session at the same statement and that somebody still waits.
It does not decide whether a rule is due, and does not stop the migration from coming back: that is the cycle's order.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from guard import sql
from guard.act.blockers import root_words
from guard.act.candidates import ACTIVE, IDLE_IN_TRANSACTION, Candidate, Measure
from guard.errors import NotPermitted, ServerError
from guard.judge.conditions import Answer, truth
from guard.model import EVERYONE, Roster, Rule, Run, Session
from guard.ports import CancelReport, Ended
from guard.postgres import Door

_VERIFY_WITHIN, _VERIFY_EVERY = 2.0, 0.05
_LEAVES_BY_ITSELF = 2.0
"""Seconds in which a run that has been told to abort may end its batch and go, before it is cancelled."""
_END_RUN_WITHIN = 10.0


@dataclass(frozen=True, slots=True)
class _Alive:
    alive: bool
    blocking: bool


@dataclass(frozen=True, slots=True)
class _Leftover:
    words: str


class QueueCanceller:
    """Cancels (or terminates) a migration's sessions that hold up a queue.

    A session is the migration's by registration, or by *roles* and *application_names* (patterns with `*`; none given:
    any name of these roles). *let_finish* spares CREATE INDEX CONCURRENTLY, VALIDATE CONSTRAINT, VACUUM and the like:
    they stop no reader or writer by themselves, and cancelled they leave something behind that must be mended.
    Sessions of a run behind a transaction pooler are never touched: the application may be on that backend by now.
    """

    def __init__(
        self,
        door: Door,
        *,
        roles: Sequence[str] = (),
        application_names: Sequence[str] = (),
        let_finish: bool = True,
        refused_for: float = 30.0,
    ) -> None:
        self._door = door
        self.recognise(roles, application_names)
        self.let_finish = let_finish
        self._refused_for = refused_for
        self._refused: dict[tuple[int, dt.datetime], tuple[str, float]] = {}
        """What the server said to an attempt to end a session, and when, by the loop's time."""

    def recognise(self, roles: Sequence[str], application_names: Sequence[str]) -> None:
        """Take these for a migration's from now on."""
        self._roles = list(roles)
        self._patterns = [_pattern(name) for name in application_names]

    async def ready(self) -> None:
        """Open the connection where it is not, and see that it still answers: broken while idle, it says nothing.

        When the application has taken the last connection there is no new one to be had, and a queue is most likely.
        """
        with contextlib.suppress(ServerError):
            await self._door.fetch(sql.get("cancel_ready"))

    async def clear_queue(self, rule: Rule, roster: Roster, *, terminate: bool) -> CancelReport:
        """Look again, and end what holds up the queue by this rule; verified within 2 s, else reported as not gone.

        Raises ServerError when it could not even look.
        """
        if rule.cancel is None:
            return CancelReport(nothing_because=f"rule {rule.name} has no cancel limit")
        measure = Measure.of(rule)
        seen = await self._look(rule, roster)
        queued = len(measure.waiters(seen))
        judged = truth(rule.cancel, measure.value(seen), dimension=rule.dimension)
        if judged.answer is not Answer.YES:
            return CancelReport(queued=queued, nothing_because=f"looked again: {judged.words}")
        holding_up = [c for c in seen if measure.waiters([c])]
        fenced = [c for c in holding_up if c.fenced]
        gentle = [c for c in holding_up if self.let_finish and c.gentle and c.state in ACTIVE and not c.fenced]
        spared = tuple(f"{c.gentle} of {c.words}" for c in gentle)
        targets, others = self._choose([c for c in holding_up if c not in (*gentle, *fenced)], measure)
        others += [f"{c.words} is fenced: {c.fence}" for c in fenced]
        root = await self._root(holding_up)
        if not targets:
            nothing = "; ".join([*(f"{words} is left to finish" for words in spared), *others])
            return CancelReport(queued=queued, nothing_because=nothing, root=root, spared=spared)
        relations = sorted({relation for c in targets for relation in c.relations})
        before = await self._leftovers(relations)
        run_ids = {run.session.pid: run.run_id for run in roster.runs if run.session}
        asked = [(c, await self._end(c, measure, terminate=terminate)) for c in targets]
        ended = [replace(e, session=c.session(run_ids.get(c.pid))) for c, e in await self._verify(asked, measure)]
        left = tuple(words for words in await self._leftovers(relations) if words not in before)
        return CancelReport(ended=tuple(ended), queued=queued, root=root, leftovers=left, spared=spared)

    async def end_run(self, run: Run, *, terminate: bool) -> CancelReport:
        """End the registered session of a run: cancel what it does, terminate it, and see it gone, within 10 s.

        Raises ServerError when it could not even look.
        """
        if run.pooled:
            return CancelReport(nothing_because="the run is behind a transaction pooler; its session may serve others")
        if run.session is None:
            return CancelReport(nothing_because="the registered session no longer exists")
        first = await self._session_of(run, run.session)
        if first is None:
            return CancelReport(ended=(Ended(run.session, "already gone", gone=True),))
        before = await self._leftovers(first.relations)
        ended = await self._end_until_gone(run, run.session, terminate=terminate)
        left = tuple(words for words in await self._leftovers(first.relations) if words not in before)
        return CancelReport(ended=(ended,), leftovers=left)

    async def close(self) -> None:
        await self._door.close()

    # -- looking -------------------------------------------------------------------------------------------------------

    async def _look(self, rule: Rule, roster: Roster) -> list[Candidate]:
        """Who holds up a queue now, of those who are still a migration's.

        The roster may be a moment old, or many where it cannot be read; a run that has ended since may have left its
        session to the application. So the ends are looked at last: who had not ended then was at it when it was seen.
        """
        while True:
            seen = await self._look_at(rule, roster)
            pids = {candidate.pid for candidate in seen}
            open_runs = [run for run in roster.runs if run.outcome is None and run.session and run.session.pid in pids]
            params = {"run_ids": [run.run_id for run in open_runs]}
            rows = await self._door.fetch(sql.get("cancel_ended"), params) if open_runs else []
            if not rows:
                return seen
            ended = {run_id for (run_id,) in rows}
            roster = replace(roster, runs=tuple(run for run in roster.runs if run.run_id not in ended))

    async def _look_at(self, rule: Rule, roster: Roster) -> list[Candidate]:
        everyone = not rule.migrations or EVERYONE in rule.migrations
        ours, excluded, pooled = [], [], []
        strangers = everyone and bool(self._roles)
        for run in roster.runs:
            if run.outcome is not None:
                continue
            if run.pooled:
                # Its queries may come through any backend of the pool, and those look alike.
                pooled += [run.session] if run.session else []
                strangers = strangers and run.session is not None
            elif run.session and (not rule.migrations or run.migration in rule.migrations):
                ours.append(run.session)
            elif run.session:
                excluded.append(run.session.pid)
        params: dict[str, Any] = {
            "pids": [s.pid for s in ours],
            "starts": [s.backend_start_wall for s in ours],
            "users": [s.usename for s in ours],
            "names": [s.application_name for s in ours],
            "excluded_pids": excluded + [s.pid for s in pooled],
            "excluded_users": [s.usename for s in pooled],
            "excluded_names": [s.application_name for s in pooled],
            "strangers": strangers,
            "roles": self._roles,
            "patterns": self._patterns,
        }
        return await self._door.fetch_as(Candidate, sql.get("cancel_look"), params)

    def _choose(self, holding_up: list[Candidate], measure: Measure) -> tuple[list[Candidate], list[str]]:
        """Whom to end, and in words why not the others."""
        now = asyncio.get_running_loop().time()
        self._refused = {who: said for who, said in self._refused.items() if now - said[1] < self._refused_for}
        refused = [c for c in holding_up if c.identity in self._refused]
        able = [c for c in holding_up if c not in refused and c.state in (*ACTIVE, IDLE_IN_TRANSACTION)]
        if measure.metric == "idle_in_transaction":
            able = [c for c in able if c.state == IDLE_IN_TRANSACTION]
        # One that waits in the queue itself has done nothing yet: ending it costs least and lets the queue pass.
        chosen = [c for c in able if c.queued] or able
        reasons = [f"{c.words}: {self._refused[c.identity][0]}" for c in refused]
        rest = [c for c in holding_up if c not in able and c not in refused]
        reasons += [f"{c.words} is {c.state or 'in a state that this role may not see'}" for c in rest]
        return chosen, reasons

    async def _root(self, holding_up: list[Candidate]) -> str:
        queued = next((c for c in holding_up if c.queued), None)
        if queued is None:
            return ""
        try:
            return await root_words(self._door, queued.pid, {c.pid for c in holding_up})
        except ServerError as error:
            return f"unknown: {error}"

    async def _leftovers(self, relations: list[int]) -> tuple[str, ...]:
        if not relations:
            return ()
        try:
            rows = await self._door.fetch_as(_Leftover, sql.get("cancel_leftovers"), {"relations": relations})
        except ServerError:
            return ()
        return tuple(row.words for row in rows)

    async def _session_of(self, run: Run, session: Session) -> Candidate | None:
        params: dict[str, Any] = {"pid": session.pid, "backend_start": session.backend_start_wall, "run_id": run.run_id}
        params |= {"roles": self._roles, "patterns": self._patterns}
        rows = await self._door.fetch_as(Candidate, sql.get("cancel_run"), params)
        return rows[0] if rows else None

    # -- ending --------------------------------------------------------------------------------------------------------

    async def _end(self, seen: Candidate, measure: Measure | None, *, terminate: bool) -> Ended:
        """Cancel, or terminate where asked or where a cancel would do nothing; not yet verified."""
        # An idle session has no statement to cancel: the server says true and does nothing.
        terminate = terminate or seen.state not in ACTIVE
        query = sql.get("cancel_session" if terminate else "cancel_query")
        params = {
            "pid": seen.pid,
            "backend_start": seen.backend_start,
            "query_start": seen.query_start,
            "usename": seen.usename,
            "application_name": seen.application_name,
            "state": seen.state,
            "whats": list(measure.whats) if measure else [],
            "waited": measure.waited if measure else 0.0,
        }
        session, how = seen.session(), "terminated" if terminate else "cancelled"
        try:
            hit = await self._door.fetch(query, params)
        except NotPermitted as error:
            said = (
                f"this role may not end it, since it belongs to a superuser or pg_signal_backend is missing ({error})"
            )
            self._refused[seen.identity] = (said, asyncio.get_running_loop().time())
            return Ended(session, "refused", gone=False, detail=said)
        except ServerError as error:
            return Ended(session, how, gone=False, detail=f"not known whether it took effect: {error}")
        if not hit:
            return Ended(session, "already gone", gone=True, detail="it had moved on or was fenced, or nobody waited")
        return Ended(session, how, gone=False)

    async def _verify(self, asked: list[tuple[Candidate, Ended]], measure: Measure) -> list[tuple[Candidate, Ended]]:
        """Each end, with what could be seen of it within 2 s."""
        until = asyncio.get_running_loop().time() + _VERIFY_WITHIN
        return [
            (c, e if e.gone or e.how == "refused" else await self._seen_gone(c, e, measure, until)) for c, e in asked
        ]

    async def _seen_gone(self, seen: Candidate, ended: Ended, measure: Measure, until: float) -> Ended:
        params = {"pid": seen.pid, "backend_start": seen.backend_start, "whats": list(measure.whats)}
        detail = f"{seen.words} still holds others up {_VERIFY_WITHIN:g} s after it was {ended.how}"
        while True:
            try:
                rows = await self._door.fetch_as(_Alive, sql.get("cancel_still"), params)
            except ServerError as error:
                detail = f"not known whether it is gone: {error}"
            else:
                gone = not rows[0].alive if ended.how == "terminated" else not rows[0].blocking
                if gone:
                    return replace(ended, gone=True, detail=seen.fence_over)
            if asyncio.get_running_loop().time() >= until:
                return replace(ended, detail=ended.detail or detail)
            await asyncio.sleep(_VERIFY_EVERY)

    async def _end_until_gone(self, run: Run, session: Session, *, terminate: bool) -> Ended:
        clock = asyncio.get_running_loop().time
        start, how, asked = clock(), "already gone", None
        while True:
            try:
                seen = await self._session_of(run, session)
            except ServerError as error:
                return Ended(session, how, gone=False, detail=f"not known whether it is gone: {error}")
            if seen is None:
                return Ended(session, how, gone=True)
            if (seen.usename, seen.application_name) != (session.usename, session.application_name):
                detail = f"{seen.words} no longer bears the name that it registered with, so it is not touched"
                return Ended(session, "refused", gone=False, detail=detail)
            if seen.fenced:  # bounded by its own time; only then does ours begin
                start = clock()
                await asyncio.sleep(_VERIFY_EVERY)
                continue
            if clock() - start >= _END_RUN_WITHIN:
                return Ended(session, how, gone=False, detail=f"still there {_END_RUN_WITHIN:g} s later")
            if not terminate and clock() - start < _LEAVES_BY_ITSELF:
                await asyncio.sleep(_VERIFY_EVERY)
                continue
            harder = terminate or clock() - start >= _LEAVES_BY_ITSELF + _VERIFY_WITHIN
            ask = (seen.query_start, seen.state, harder)
            if ask != asked:
                ended, asked = await self._end(seen, None, terminate=harder), ask
                if ended.how == "refused":
                    return replace(ended, session=session)
                how = how if ended.how == "already gone" else ended.how
            await asyncio.sleep(_VERIFY_EVERY)


def _pattern(name: str) -> str:
    """`migration:*` as a regular expression of PostgreSQL."""
    parts = (re.sub(r"([^A-Za-z0-9_ ])", r"\\\1", part) for part in name.split("*"))
    return f"^{'.*'.join(parts)}$"
