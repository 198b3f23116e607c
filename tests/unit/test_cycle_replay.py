"""A recorded course played again: with its own options exactly what was decided, with others what follows from them."""

from __future__ import annotations

import dataclasses
import json
import random
from typing import Any

import pytest

from guard.cycle import Options
from guard.cycle.replaying import Played, Replay, Side
from guard.decide.bounds import Bounds
from guard.errors import Unreachable
from guard.model import Fence, Phase, Rule, Silence
from guard.ports import CancelReport, Ended, Frame
from tests.fakes import FakeHook, World, a_run, a_session, an_order, make_rule

LAG = make_rule(pause="> 5s for 3s", resume="< 2s for 10s")
TIGHT = make_rule(pause="> 3s", resume="< 2s for 10s")


class Recorded(World):
    """A world whose guards, one after the other, are recorded on one tape."""

    frames: list[Frame]

    def new_guard(self) -> Any:
        self.frames = getattr(self, "frames", [])
        guard = super().new_guard()
        guard.hands = dataclasses.replace(guard.hands, record=self.frames.append)
        return guard

    def play(self, *rules: Rule, frames: list[Frame] | None = None, **options: Any) -> Played:
        """What other rules or options would have decided; without any, what was decided."""
        bodies = [json.loads(json.dumps(frame.body)) for frame in (self.frames if frames is None else frames)]
        changed = dataclasses.replace(self.options, rules=rules or self.options.rules, **options)
        return Replay(changed).play(bodies)


def phases(played: Played) -> tuple[list[str], list[str]]:
    return [turn.phase.value for turn in played.recorded.turns], [turn.phase.value for turn in played.other.turns]


def course(side: Side) -> tuple[object, ...]:
    """What became of the runs; which of two runs was decided on first in a step makes no difference."""
    return (side.states, sorted(side.turns, key=repr), sorted(side.queues))


def breached() -> Recorded:
    """A run that lagged 4 s for a while, which was no breach, and 7 s later, which was."""
    world = Recorded(LAG)
    world.runs = [a_run()]
    world.tick(5)
    for lag in (4.0, 0.0, 7.0, 0.0):
        world.values["lag sensor"] = lag
        world.tick(20)
    world.runs = [a_run(outcome="done", here=False)]
    world.tick(2)
    return world


def test_with_its_own_options_a_course_is_decided_again_as_it_was() -> None:
    world = breached()
    played = world.play()
    assert (played.same_options, played.configurations, played.missing, played.differs) == (True, 1, 0.0, "")
    assert course(played.recorded) == course(played.other)
    assert phases(played)[0] == ["waiting", "running", "paused", "running", "done"]
    assert [turn.because for turn in played.other.turns] == [turn.because for turn in played.recorded.turns]
    assert played.ended - played.began == 85


def test_frames_of_a_version_that_kept_no_accounts_are_decided_again_as_they_were() -> None:
    world = breached()
    world.new_guard()
    world.runs = [a_run(2)]
    world.tick(3)
    bodies = [json.loads(json.dumps(frame.body)) for frame in world.frames]
    for body in bodies:
        for kept in (*body.get("whole", {}).get("states", ()), *(v for run in body.get("d", ()) for v in run.values())):
            if isinstance(kept, dict):
                kept.pop("account", None)
    played = Replay(world.options).play(bodies)
    assert (played.differs, phases(played)[0]) == ("", phases(played)[1])


def test_what_waited_for_the_end_of_a_fence_waits_again() -> None:
    queue = make_rule("queue", pause="", cancel="> 2s", resume="< 1s")
    world = Recorded(queue)
    world.runs = [a_run()]
    world.tick(3)
    world.runs = [a_run(fence=Fence("cut-over", world.wall, world.wall + 5.0))]
    world.values["queue sensor"] = 3.0
    world.tick(8)
    played = world.play()
    assert played.differs == ""
    assert course(played.recorded) == course(played.other)
    assert [wall - played.began for wall, _, _ in played.other.queues][:1] == [7.0]


def test_a_tighter_limit_pauses_more_often_and_a_looser_one_never() -> None:
    world = breached()
    tighter = world.play(TIGHT)
    assert not tighter.same_options
    assert "phase" in tighter.differs
    assert phases(tighter)[0].count("paused") == 1
    assert phases(tighter)[1] == ["waiting", "running", "paused", "running", "paused", "running", "done"]
    assert "paused" not in phases(world.play(make_rule(pause="> 60s")))[1]


def test_a_longer_soak_outlasts_the_tape_and_none_ends_at_once() -> None:
    world = Recorded(LAG, soak={"*": 5.0})
    world.runs = [a_run()]
    world.tick(2)
    world.runs = [a_run(outcome="done", here=False)]
    world.tick(20)
    assert world.play().differs == ""
    assert not world.play(soak={"*": 2.0}).same_options
    assert phases(world.play(soak={"*": 2.0}))[1][-2:] == ["soaking", "done"]
    assert phases(world.play(soak={"*": 100.0}))[1][-1] == "soaking"
    assert phases(world.play(soak={}))[1][-1] == "done"


def test_what_is_said_of_a_run_that_is_over_for_other_options_is_passed_over() -> None:
    world = Recorded(LAG, soak={"*": 30.0})
    world.runs = [a_run()]
    world.tick(2)
    world.runs = [a_run(outcome="done", here=False)]
    world.tick(10)
    world.clock_set_by = 60.0
    world.tick(10)
    assert phases(world.play(soak={}))[1] == ["waiting", "running", "done"]


def test_a_primary_that_was_left_is_left_on_the_tape_as_well() -> None:
    world = Recorded(LAG)
    world.runs = [a_run()]
    world.tick(5)
    world.guard.board.home, world.guard.publisher.leading = "a", False
    world.signal.leadership = dataclasses.replace(world.signal.leadership, home="b")
    world.values["lag sensor"] = 7.0
    world.tick(20)
    played = world.play()
    assert (played.differs, phases(played)[0]) == ("", ["waiting", "running", "paused"])
    assert course(played.recorded) == course(played.other)


def test_before_the_guard_leads_it_judges_and_decides_nothing() -> None:
    world = Recorded(make_rule(pause="> 5s for 4s"))
    world.signal.lead_fails = Unreachable("gone")
    world.runs, world.values["lag sensor"] = [a_run()], 7.0
    world.tick(3)
    world.signal.lead_fails = None
    world.tick(5)
    played = world.play()
    assert (played.differs, phases(played)[0]) == ("", ["waiting", "running", "paused"])
    assert course(played.recorded) == course(played.other)


def test_frames_that_were_lost_are_told_in_seconds_and_what_follows_is_decided_as_it_was() -> None:
    world = Recorded(LAG)
    world.runs = [a_run()]
    world.tick(500)
    part = world.play(frames=[*world.frames[:50], *world.frames[60:]])
    assert (part.missing, part.differs) == (251.0, "")
    assert world.play(frames=world.frames[10:]).began == world.frames[300].wall


def test_other_options_while_a_run_goes_on_count_as_another_configuration() -> None:
    world = Recorded(LAG)
    world.runs = [a_run()]
    world.tick(5)
    world.guard.reconfigure(Options("main", (TIGHT,)), {})
    world.values["lag sensor"] = 4.0
    world.tick(5)
    played = world.play()
    assert (played.same_options, played.configurations) == (False, 2)
    assert phases(played) == (["waiting", "running", "paused"], ["waiting", "running"])


def test_an_abort_and_a_rollback_that_other_rules_would_not_have_begun_are_not_theirs() -> None:
    world = Recorded(make_rule(pause="", rollback="> 5s", resume="< 2s"), hook=FakeHook())
    world.runs = [a_run()]
    world.tick(2)
    world.runs = [a_run(batches_done=1)]
    world.tick(2)
    world.values["lag sensor"] = 7.0
    world.tick(3)
    assert world.phases == {"m": "aborted"}
    assert world.play().differs == ""
    calm = world.play(make_rule(pause="> 6s for 1s"))
    assert phases(calm)[0][-2:] == ["rolling back", "aborted"]
    assert phases(calm)[1][-1] == "paused"


def test_a_queue_that_was_cleared_counts_for_other_rules_as_well() -> None:
    queue = make_rule("queue", pause="", cancel=">= 3s")
    world = Recorded(queue, LAG)
    gone = Ended(a_session(1001, 1), "cancelled", gone=True)
    world.canceller.reports = [CancelReport(ended=(gone,), queued=3)]
    world.runs = [a_run()]
    world.tick(2)
    world.values["queue sensor"] = 4.0
    world.tick(3)
    played = world.play()
    assert (played.differs, played.recorded.queues) == ("", played.other.queues)
    assert {rule for _, _, rule in played.other.queues} == {"queue"}
    assert world.play(queue, TIGHT).other.states["m", 1].cancels == world.guard.states["m", 1].cancels > 0
    assert world.play(TIGHT).other.queues == []


STRICT: dict[str, Any] = {"grace": 2.0, "bounds": Bounds(ignored=("cancel", "terminate", "abort"))}
RULES = (
    make_rule(pause="> 5s for 3s", warn="> 3s", resume="< 2s for 4s"),
    make_rule("errors", pause="> 5s", rollback="> 8s for 2s", resume="< 2s", no_data="hold"),
    make_rule("queue", pause="", cancel=">= 6s", resume="< 6s", migrations=("m", "n")),
    make_rule("load", pause="> 7s for 1s", no_data="ignore"),
)


DOING = (
    a_session(1001, 1),
    dataclasses.replace(a_session(1001, 1), writes=True),
    dataclasses.replace(a_session(1001, 1), state="idle", in_state=9.0),
    dataclasses.replace(a_session(1001, 1), state="idle in transaction", in_state=9.0, holds="a snapshot"),
)
"""What the session of a run may be seen to do."""


def happen(world: Recorded, chance: random.Random) -> None:
    """Something happens in the world."""
    match chance.randrange(12):
        case 0 | 1 | 2 | 3:
            sensor = chance.choice(sorted(world.values))
            values = [0.0, 1.0, 4.0, 7.0, 9.0, None, Silence(sensor, "no answer", world.now, 6.0)]
            world.values[sensor] = chance.choice(values)
        case 4 | 5:
            number = chance.randrange(1, 4)
            world.runs = [run for run in world.runs if run.run_id != number]
            name, batches = "mn*"[number % 2], chance.randrange(2)
            acknowledged = chance.choice([0, 10**6])
            run = a_run(number, name, batches_done=batches, acknowledged_epoch=acknowledged)
            world.runs.append(dataclasses.replace(run, session=chance.choice(DOING)))
        case 6:
            ended = chance.choice(["done", "failed", None])
            world.runs = [dataclasses.replace(run, outcome=ended, session=None) for run in world.runs]
        case 7:
            world.strangers = chance.choice([[], [a_session(77)]])
        case 8:
            kind = chance.choice(["mute", "override", "abort", "pause"])
            rule = "lag" if kind == "mute" else None
            world.orders = chance.choice([[], [an_order(kind, rule=rule)]])
        case 9:
            world.forgotten = chance.choice([[], [("m", 9), ("n", 9), ("*", 0)]])
        case 10:
            world.drop_chores()
            world.new_guard()
        case _:
            world.clock_set_by += chance.choice([0.0, 30.0, -30.0])


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_a_course_is_decided_again_as_it_was(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    world = Recorded(*RULES, hook=FakeHook(), soak={"*": 6.0}, auto_rollback=True, observing=seed % 4 == 3, **STRICT)
    gone = Ended(a_session(1001, 1), "cancelled", gone=True)
    world.canceller.reports = [CancelReport(ended=(gone,), queued=3)]
    for _ in range(60):
        happen(world, chance)
        world.tick(chance.randrange(1, 8))
    played = world.play()
    assert played.differs == ""
    assert played.same_options
    assert course(played.recorded) == course(played.other)
    assert len(played.recorded.turns) >= 5
    assert all(state.phase is not Phase.DONE for state in played.other.states.values())
    loose = world.play(*RULES[1:])
    assert course(loose.recorded) == course(played.recorded)
