"""Ends what a migration is doing when others queue behind it; never anybody else's work.

Nothing is ended on an old sight: the canceller looks again, judges the rule's limit on what it sees now, and the
statement that cancels tests once more that it is the same session at the same statement and that somebody still waits.
It does not decide whether a rule is due, and does not stop the migration from coming back: that is the cycle's order.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from guard import sql
from guard.act.blockers import root_words
from guard.act.candidates import ACTIVE, IDLE_IN_TRANSACTION, Candidate, Measure
from guard.act.ending import Ender
from guard.act.stopping import stop_run
from guard.errors import ServerError
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
        self._ender = Ender(door, refused_for)
        self.recognise(roles, application_names)
        self.let_finish = let_finish

    def recognise(self, roles: Sequence[str], application_names: Sequence[str]) -> None:
        """Take these for a migration's from now on."""
        self._ender.recognise(roles, application_names)

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
        before = await self._ender.leftovers(relations)
        run_ids = {session.pid: run.run_id for run in roster.runs for session in run.sessions}
        asked = [(c, await self._ender.end(c, measure, terminate=terminate)) for c in targets]
        ended = [replace(e, session=c.session(run_ids.get(c.pid))) for c, e in await self._verify(asked, measure)]
        left = tuple(words for words in await self._ender.leftovers(relations) if words not in before)
        return CancelReport(ended=tuple(ended), queued=queued, root=root, leftovers=left, spared=spared)

    async def end_run(self, run: Run, *, terminate: bool) -> CancelReport:
        """End every session of a run: cancel what it does, terminate it, and see it gone, within 10 s.

        Raises ServerError when it could not even look.
        """
        if run.pooled:
            return CancelReport(nothing_because="the run is behind a transaction pooler; its session may serve others")
        if run.session is None:
            return CancelReport(nothing_because="the registered session no longer exists")
        first = [seen for session in run.sessions if (seen := await self._ender.session_of(run, session)) is not None]
        if not first:
            return CancelReport(ended=(Ended(run.session, "already gone", gone=True),))
        relations = sorted({relation for seen in first for relation in seen.relations})
        before = await self._ender.leftovers(relations)
        # Beside each other: each may take all of its time.
        ended = await asyncio.gather(*(self._end_until_gone(run, each, terminate=terminate) for each in run.sessions))
        left = tuple(words for words in await self._ender.leftovers(relations) if words not in before)
        return CancelReport(ended=tuple(ended), leftovers=left)

    async def stop(self, run: Run, *, terminate: bool) -> CancelReport:
        """Cancel what the sessions of a run do in spite of a pause, or end those; verified within 2 s.

        Raises ServerError when it could not even look.
        """
        return await stop_run(self._ender, run, terminate=terminate, let_finish=self.let_finish)

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
            here = [run for run in roster.runs if run.outcome is None]
            open_runs = [run for run in here if not pids.isdisjoint(session.pid for session in run.sessions)]
            params = {"run_ids": [run.run_id for run in open_runs]}
            rows = await self._door.fetch(sql.get("cancel_ended"), params) if open_runs else []
            if not rows:
                return seen
            ended = {run_id for (run_id,) in rows}
            roster = replace(roster, runs=tuple(run for run in roster.runs if run.run_id not in ended))

    async def _look_at(self, rule: Rule, roster: Roster) -> list[Candidate]:
        everyone = not rule.migrations or EVERYONE in rule.migrations
        ours, excluded, pooled = list[Session](), list[int](), list[Session]()
        strangers = everyone and bool(self._ender.roles)
        for run in roster.runs:
            if run.outcome is not None:
                continue
            if run.pooled:
                # Its queries may come through any backend of the pool, and those look alike.
                pooled += [run.session] if run.session else []
                strangers = strangers and run.session is not None
            elif not rule.migrations or run.migration in rule.migrations:
                ours += run.sessions
            else:
                excluded += [session.pid for session in run.sessions]
        params: dict[str, Any] = {
            "pids": [s.pid for s in ours],
            "starts": [s.backend_start_wall for s in ours],
            "users": [s.usename for s in ours],
            "names": [s.application_name for s in ours],
            "excluded_pids": excluded + [s.pid for s in pooled],
            "excluded_users": [s.usename for s in pooled],
            "excluded_names": [s.application_name for s in pooled],
            "strangers": strangers,
            "roles": self._ender.roles,
            "patterns": self._ender.patterns,
        }
        return await self._door.fetch_as(Candidate, sql.get("cancel_look"), params)

    def _choose(self, holding_up: list[Candidate], measure: Measure) -> tuple[list[Candidate], list[str]]:
        """Whom to end, and in words why not the others."""
        refusals = self._ender.refusals()
        refused = [c for c in holding_up if c.identity in refusals]
        able = [c for c in holding_up if c not in refused and c.state in (*ACTIVE, IDLE_IN_TRANSACTION)]
        if measure.metric == "idle_in_transaction":
            able = [c for c in able if c.state == IDLE_IN_TRANSACTION]
        # One that waits in the queue itself has done nothing yet: ending it costs least and lets the queue pass.
        chosen = [c for c in able if c.queued] or able
        reasons = [f"{c.words}: {refusals[c.identity]}" for c in refused]
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

    # -- ending --------------------------------------------------------------------------------------------------------

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
                seen = await self._ender.session_of(run, session)
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
                ended, asked = await self._ender.end(seen, None, terminate=harder), ask
                if ended.how == "refused":
                    return replace(ended, session=session)
                how = how if ended.how == "already gone" else ended.how
            await asyncio.sleep(_VERIFY_EVERY)
