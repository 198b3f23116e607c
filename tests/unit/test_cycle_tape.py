"""What the flight recorder is given: what is new at each step, all of it now and then, little while nobody runs."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from guard.ports import Frame
from tests.fakes import World, a_run, an_order, make_rule

RULE = make_rule(pause="> 5s for 3s", resume="< 2s for 10s")


def recorded(world: World) -> list[Frame]:
    """The frames from now on."""
    frames: list[Frame] = []
    world.guard.hands = dataclasses.replace(world.guard.hands, record=frames.append)
    return frames


def bodies(frames: list[Frame]) -> list[dict[str, Any]]:
    """As they are read."""
    return [json.loads(json.dumps(frame.body)) for frame in frames]


def test_at_work_each_step_says_what_is_new_and_nothing_twice() -> None:
    world = World(RULE)
    world.runs = [a_run()]
    frames = recorded(world)
    world.tick(400)
    said = bodies(frames)
    assert [body["n"] for body in said] == list(range(400))
    assert [body["n"] for body in said if "whole" in body] == [0, 300]
    assert [body["whole"]["why"] for body in said if "whole" in body] == ["start", "again"]
    assert all(len(body["s"]) == 1 for body in said)
    assert [body["n"] for body in said if body["d"]] == [0, 1, 300]
    assert [frame.body["n"] for frame in frames if frame.urgent] == [0]
    assert {frame.runs for frame in frames} == {(("m", 1),)}


def test_while_nobody_migrates_little_is_said_and_who_comes_is_told_whole() -> None:
    world = World(RULE)
    frames = recorded(world)
    world.tick(700)
    assert [frame.wall - frames[0].wall for frame in frames] == [0, 300, 600]
    assert all(frame.whole for frame in frames)
    world.runs = [a_run()]
    world.tick(2)
    assert [frame.whole for frame in frames[3:]] == [True, False]
    assert bodies(frames)[3]["whole"]["why"] == "thin"


def test_who_leaves_other_rules_another_server_and_muted_rules_are_said() -> None:
    world = World(RULE)
    world.runs = [a_run()]
    frames = recorded(world)
    world.tick(2)
    world.orders = [an_order("mute", rule="lag")]
    world.tick(2)
    assert [body["m"] for body in bodies(frames) if "m" in body] == [[["lag", "m"]]]
    world.guard.reconfigure(world.options, {})
    world.tick(2)
    world.signal.leadership = dataclasses.replace(world.signal.leadership, home="b")
    world.guard.board.home = "a"
    world.guard.publisher.leading = False
    world.tick(2)
    assert [body["whole"]["why"] for body in bodies(frames) if "whole" in body] == ["start", "rules", "moved"]
    world.runs = [a_run(outcome="failed", here=False)]
    world.tick(1)
    assert [body["closed"] for body in bodies(frames) if "closed" in body] == [[["m", 1]]]


def test_how_far_a_run_is_stands_in_the_frames_once_for_each_change_and_again_in_a_whole_one() -> None:
    world = World(RULE)
    world.runs = [a_run()]
    frames = recorded(world)
    world.tick(2)
    world.runs = [dataclasses.replace(a_run(), rows_done=5000, batches_done=5)]
    world.tick(400)
    said = [(body["p"], "whole" in body) for body in bodies(frames) if "p" in body]
    assert said == [({"1": [0, 0]}, False), ({"1": [5000, 5]}, False), ({"1": [5000, 5]}, True)]


def test_a_whole_frame_says_what_each_signal_is_held_against() -> None:
    relative = make_rule(name="p99", pause="> 1.5x baseline and > 200ms for 30s")
    world = World(RULE, relative)
    world.runs = [a_run()]
    frames = recorded(world)
    world.tick(1)
    lag, p99 = bodies(frames)[0]["whole"]["limits"]
    assert (lag["rule"], lag["sensor"], lag["unit"], lag["of"]) == ("lag", RULE.sensor, "seconds", "")
    assert lag["rungs"] == {
        "pause": {"text": "> 5s for 3s", "any": False, "terms": [[">", 5.0, "absolute"]]},
        "resume": {"text": "< 2s for 10s", "any": False, "terms": [["<", 2.0, "absolute"]]},
    }
    assert p99["rungs"]["pause"]["terms"] == [[">", 1.5, "factor"], [">", 0.2, "absolute"]]
    assert (p99["rungs"]["resume"]["any"], p99["of"]) == (True, world.guard.board.questions["p99"])
