"""Ends what the sessions of one run do although it is told to pause: cancelled, or the sessions terminated.

Who idles, asks the guard or is in a fence is left alone, and so is what is left to finish. Whether it is due, and what
follows, is decided elsewhere.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from guard.act.candidates import ACTIVE, IDLE_IN_TRANSACTION, Candidate
from guard.act.ending import Ender
from guard.model import Run, Session
from guard.ports import CancelReport, Ended

_HIT_WITHIN, _VERIFY_WITHIN, _EVERY = 1.0, 2.0, 0.05
"""Seconds. Between two batches there is nothing to be cancelled for a moment, and the next one is another statement."""


async def stop_run(ender: Ender, run: Run, *, terminate: bool, let_finish: bool) -> CancelReport:
    """End what a run's sessions do; those that do nothing are not in the report. Raises ServerError."""
    if run.pooled:
        return CancelReport(nothing_because="the run is behind a transaction pooler; its session may serve others")
    now = [(session, await ender.session_of(run, session)) for session in run.sessions]
    seen = [(session, candidate) for session, candidate in now if candidate is not None]
    spared = tuple(f"{c.gentle} of {c.words}" for _, c in seen if _spared(c, let_finish=let_finish))
    targets = [session for session, c in seen if not _spared(c, let_finish=let_finish)]
    relations = sorted({relation for _, c in seen for relation in c.relations})
    before = await ender.leftovers(relations)
    found = await asyncio.gather(*(_stop(ender, run, session, terminate=terminate) for session in targets))
    left = tuple(words for words in await ender.leftovers(relations) if words not in before)
    return CancelReport(ended=tuple(filter(None, found)), leftovers=left, spared=spared)


def _spared(seen: Candidate, *, let_finish: bool) -> bool:
    return let_finish and bool(seen.gentle) and seen.state in ACTIVE


def _at_work(seen: Candidate, *, terminate: bool) -> bool:
    """Whether there is something to be ended in this way."""
    if seen.fenced:
        return False
    if seen.state in ACTIVE:
        return not seen.waits
    return terminate and seen.state == IDLE_IN_TRANSACTION and seen.holds


async def _stop(ender: Ender, run: Run, session: Session, *, terminate: bool) -> Ended | None:
    """One session; None where it does nothing, or nothing for long enough to be hit."""
    clock = asyncio.get_running_loop().time
    until = clock() + _HIT_WITHIN
    while clock() < until:
        seen = await ender.session_of(run, session)
        if seen is None:
            return None
        if (seen.usename, seen.application_name) != (session.usename, session.application_name):
            detail = f"{seen.words} no longer bears the name that it was seen with, so it is not touched"
            return Ended(session, "refused", gone=False, detail=detail)
        if _at_work(seen, terminate=terminate):
            ended = await ender.end(seen, None, terminate=terminate)
            if ended.how == "refused":
                return replace(ended, session=session)
            if ended.how != "already gone":
                return await _verified(ender, run, seen, replace(ended, session=session))
        await asyncio.sleep(_EVERY)
    return None


async def _verified(ender: Ender, run: Run, hit: Candidate, ended: Ended) -> Ended:
    """The end, with what could be seen of it: the session gone, or at another statement than the one cancelled."""
    clock = asyncio.get_running_loop().time
    until = clock() + _VERIFY_WITHIN
    while clock() < until:
        seen = await ender.session_of(run, ended.session)
        moved_on = seen is not None and (seen.query_start != hit.query_start or seen.state not in ACTIVE)
        if seen is None or (ended.how == "cancelled" and moved_on):
            return replace(ended, gone=True)
        await asyncio.sleep(_EVERY)
    return replace(ended, detail=ended.detail or f"and still at work {_VERIFY_WITHIN:g} s later")
