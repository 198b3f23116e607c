"""What stands in a message beside its reason: what is paused, since when, how bad it was, what goes on when. Pure.

Whether there is a message at all, and its headline, is decided in guard.decide.notices; the words of a run's end are in
guard.cycle.digest.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from guard.cycle.courses import Course, Signal
from guard.cycle.digest import checks, digest, known_since, progress
from guard.cycle.disobeyed import took_hold
from guard.decide.bounds import pardoned
from guard.decide.notices import Draft
from guard.judge.moments import say_clock, say_moment
from guard.judge.quantities import say, say_seconds
from guard.judge.verdicts import signal_of
from guard.model import Finding, OperatorOrder, Phase, Run, State

Fields = dict[str, str]


@dataclass(frozen=True, slots=True)
class Scene:
    """What is known of a run at the moment of a message; `now` is monotonic, `wall` the guard's time."""

    before: State
    state: State
    finding: Finding
    course: Course
    orders: tuple[OperatorOrder, ...]
    """Of operators, in force for this run: pauses and overrides."""
    now: float
    wall: float
    server_wall: float
    shortest_pause: float = 0.0
    observing: bool = False


def detailed(draft: Draft, scene: Scene) -> Draft:
    """The draft of what was decided, with all that is known beside it."""
    if draft.kind in ("paused", "stays_paused"):
        return _paused(draft, scene)
    if draft.kind == "resumed":
        return _with(
            draft, _looking_back(scene), _at_work(scene) if not scene.observing else {}, next_step=_held(scene)
        )
    if draft.kind == "warned" and scene.before.phase is Phase.PAUSED:
        return _with(draft, _looking_back(scene))
    if draft.kind == "started":
        return _with(draft, _session(scene), next_step=_held(scene))
    if draft.kind in ("rolling_back", "rollback_due"):
        return _with(draft, _at_work(scene), worst(scene.course, scene.wall))
    if scene.before.account.over_wall is None and scene.state.account.over_wall is not None:
        return _ended(draft, scene)
    if draft.kind == "ended":
        found = checks(scene.state.after)  # which were asked only when its figures had been told
        return _with(draft, {"checks": found} if found else {})
    return draft


def reminding(draft: Draft, scene: Scene) -> Draft:
    """A reminder of a pause, with how it stands now."""
    if draft.kind not in ("pause_lasts", "no_help"):
        return draft
    state = scene.state
    now = "; ".join(verdict.because for verdict in scene.finding.verdicts if not verdict.well)
    lasting = {"since": say_moment(state.since_wall)}
    if now != draft.because:
        lasting |= {"now": now or "every rule is well"}
    held = {"the pause was": took_hold(state)}
    step = draft.next_step if draft.kind == "no_help" else draft.next_step + _earliest(scene)
    peaks = worst(scene.course, scene.wall, now, began=state.since_wall)
    return _with(draft, lasting, peaks, held, _at_work(scene), next_step=step)


def _with(draft: Draft, *fields: Fields, next_step: str = "") -> Draft:
    every = dict(draft.fields)
    for each in fields:
        every |= each
    return dataclasses.replace(draft, fields=every, next_step=next_step or draft.next_step)


def _paused(draft: Draft, scene: Scene) -> Draft:
    fields = (_at_work(scene), _before(scene), worst(scene.course, scene.wall, draft.because))
    if scene.observing or scene.state.run_id is None:
        return _with(draft, *fields[1:])
    if override := next((order for order in scene.orders if order.kind == "override"), None):
        step = f"It goes on all the same: {_words(override, scene)}. A lock queue behind it is cleared all the same."
        return _with(draft, *fields, next_step=step)
    return _with(draft, *fields, next_step=draft.next_step + _earliest(scene))


def _before(scene: Scene) -> Fields:
    was = scene.before
    if was is scene.state:  # it is told late
        return {"since": say_moment(was.since_wall)}
    lasted = say_seconds(round(max(0.0, scene.wall - was.since_wall)))
    return {} if was.phase is Phase.WAITING else {"before": f"{was.phase.value} for {lasted}"}


def _ended(draft: Draft, scene: Scene) -> Draft:
    told = _with(draft, digest(scene.state, scene.course, scene.wall, observing=scene.observing))
    if scene.observing or scene.state.run_id is None or draft.kind == "aborted":
        return told
    report = f"migration-guard report {scene.state.run_id}"
    return dataclasses.replace(told, commands=tuple(dict.fromkeys((*told.commands, report))))


def _earliest(scene: Scene) -> str:
    """When it may go on, where that is known and nobody is waited for."""
    times = [verdict.well_at for verdict in scene.finding.verdicts if not verdict.well]
    known = [at for at in times if at is not None]
    if scene.state.stays or len(known) < len(times):
        return ""
    at = scene.wall + max((at - scene.now for at in known), default=0.0)
    at = max(at, scene.state.since_wall + scene.shortest_pause)
    return f" At the earliest at {say_clock(at, scene.wall)}, in {say_seconds(max(0.0, round(at - scene.wall, 1)))}."


def _held(scene: Scene) -> str:
    """What keeps it although the guard lets it go."""
    pause = next((order for order in scene.orders if order.kind == "pause"), None)
    return f"It begins no batch all the same: {_words(pause, scene)}." if pause else ""


def _words(order: OperatorOrder, scene: Scene) -> str:
    ends = order.expires_wall
    until = "somebody takes it back" if ends is None else say_clock(ends, scene.wall)
    reason = f" ({order.reason})" if order.reason else ""
    return f"the {order.kind} by {order.owner}{reason} stands until {until}"


def worst(course: Course, wall: float, said: str = "", *, began: float = math.inf) -> Fields:
    """The worst values of the signals that asked for the pause; not those that were *said* as they are now.

    Of a pause that *began* before this guard did, no more is claimed than it has seen.
    """
    fired = (course.signals[name] for name in course.fired if name in course.signals)
    peaks = [(_peak(signal), signal.peak[1]) for signal in fired if signal.peak is not None]
    told = "; ".join(f"{words} at {say_clock(at, wall)}" for words, at in peaks if words not in said)
    return {"worst": told + (known_since(course, wall) if course.since_wall > began else "")} if told else {}


def _peak(signal: Signal) -> str:
    return f"{signal_of(signal.rule)} {say(signal.peak[0], signal.rule.dimension)}" if signal.peak else ""


def _session(scene: Scene) -> Fields:
    run = scene.course.run
    return {"session": _who(run)} if run is not None else {}


def _at_work(scene: Scene) -> Fields:
    """Who it is, how far it has come, and when it was heard of last."""
    run = scene.course.run
    if run is None:
        return {}
    heard = say_seconds(round(max(0.0, scene.server_wall - run.last_seen_wall), 1))
    return {"session": _who(run), "done so far": f"{progress(run)}; last heard of {heard} ago"}


def _who(run: Run) -> str:
    if run.session is None:
        return "behind a pooler" if run.pooled else "its session is gone"
    more = f", and {len(run.members)} more" if run.members else ""
    return f"{run.session.words}{more}"


def _looking_back(scene: Scene) -> Fields:
    """Who goes on is told with how long it had been paused, and why: the two messages may lie hours apart."""
    before, would = scene.before, "would have been " * scene.observing
    lasted = say_seconds(max(0.0, round(scene.wall - before.since_wall, 1)))
    past = {
        f"{would}paused for": lasted,
        f"{would}paused because": pardoned(before).because,
        **worst(scene.course, scene.wall, began=before.since_wall),
    }
    return past if scene.observing else past | {"the pause was": took_hold(before)}
