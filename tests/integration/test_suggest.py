"""Limits suggested from a flight recorder: right by the numbers, with reasons, and a file that passes the check."""

from __future__ import annotations

import dataclasses
import time
import tomllib
from pathlib import Path
from typing import Any

from guard.cli.suggesting import Point, Suggestion, suggestion
from guard.journal import Recorder
from guard.judge.conditions import parse_condition
from guard.model import Dimension
from guard.wiring import TAPE
from tests.command import command
from tests.fakes import World, a_run, make_rule

RULE = make_rule(pause="> 5s for 3s", resume="< 2s for 20s")
KEYS = {"name": "lag", "metric": "replication.lag", "pause": "> 5s for 3s"}


def points(*values: float) -> list[Point]:
    """A reading a second."""
    return [Point(1000.0 + number, value) for number, value in enumerate(values)]


def suggested(*values: float, rule: Any = RULE) -> Suggestion:
    return suggestion(rule, KEYS, points(*values))


def test_a_pause_is_twice_what_99_of_100_readings_keep_to_and_says_what_it_would_have_done() -> None:
    common = [0.2, 0.4, 0.6, 1.0] * 250
    incident = [9.0] * 6
    found = suggested(*common, *incident, *common)
    assert (found.keys["pause"], found.keys["resume"]) == ("> 2s for 3s", "< 1.4s for 20s")
    assert "2006 readings: median 600 ms, 99 % at most 1 s, highest 9 s" in found.reasons[0]
    assert "above that once, 5 s at the longest; 1 of them would have paused" in found.reasons[2]
    assert "above that never; none would have paused" in suggested(*common).reasons[2]


def test_nearly_all_zero_has_a_least_limit_and_shares_stay_below_100_percent() -> None:
    assert suggested(*[0.0] * 200).keys["pause"] == "> 100ms for 3s"
    share = dataclasses.replace(RULE, dimension=Dimension.RATIO, pause=parse_condition("> 90%", Dimension.RATIO))
    assert suggested(*[0.8] * 200, rule=share).keys["pause"] == "> 90%"
    assert suggested(*[0.985] * 200, rule=share).keys["pause"] == "> 99.25%"
    assert suggested(*[0.012] * 200, rule=share).keys["pause"] == "> 2.4%"
    size = dataclasses.replace(RULE, dimension=Dimension.BYTES, pause=parse_condition("> 1GB", Dimension.BYTES))
    assert suggested(*[100 * 1024.0**2] * 200, rule=size).keys["pause"] == "> 200MB"
    count = dataclasses.replace(RULE, dimension=Dimension.COUNT, pause=parse_condition("> 9", Dimension.COUNT))
    assert suggested(*[1.7] * 200, rule=count).keys["pause"] == "> 4"


def test_what_rests_on_too_little_or_would_not_go_with_other_limits_is_left_as_it_is() -> None:
    assert suggested().keys is KEYS
    assert suggested(1.0, 2.0).keys is KEYS
    assert suggested(*[1.0] * 200, rule=make_rule(pause="", cancel="> 5s")).keys is KEYS
    assert suggested(*[1.0] * 200, rule=make_rule(pause="> 5s and > 1.5x baseline")).keys is KEYS
    clash = suggested(*[100.0] * 200, rule=make_rule(pause="> 5s", rollback="> 8s", resume="< 2s"))
    assert clash.keys is KEYS
    assert "within its own rollback limit" in clash.reasons[-1]


CONFIG = """
[guard]
state_directory = "{state}"
[database.main]
dsn = "host=localhost dbname=app"
standbys = ["replica1"]
[rollback]
command = ["/bin/true"]
"""
RULES = """
[[rule]]
name = 'lag of "replica1"'
metric = "replication.lag"
pause = "> 5s for 3s"
databases = ["main"]
no_data = "hold"
[[rule]]
name = "errors"
http = "http://localhost/errors"
unit = "ratio"
pause = "> 5% for 30s"
rollback = "> 50%"
"""


def record(directory: Path) -> None:
    """Ten minutes of a run."""
    lag = dataclasses.replace(RULE, name="lag", sensor="replication.lag")
    errors = dataclasses.replace(RULE, name="errors", sensor="http:errors")
    world = World(lag, errors)
    recorder = Recorder(directory / TAPE)
    world.guard.hands = dataclasses.replace(world.guard.hands, record=recorder.of("main"))
    world.clock_set_by = time.time() - world.wall
    world.runs = [a_run()]
    for number in range(300):
        world.values = {"replication.lag": number % 10 / 10, "http:errors": 0.002}
        world.tick(2)
    recorder.close()


def test_what_is_printed_is_a_file_that_passes_the_check_and_keeps_every_other_key(tmp_path: Path) -> None:
    record(tmp_path)
    head, file = CONFIG.format(state=tmp_path), tmp_path / "guard.toml"
    file.write_text(head + RULES)
    printed = command("suggest", "-c", str(file))
    assert printed.code == 0, printed.said
    before, after = tomllib.loads(RULES)["rule"], tomllib.loads(printed.out)["rule"]
    assert [rule["pause"] for rule in after] == ["> 1.8s for 3s", "> 0.4% for 30s"]
    changed = {"pause", "resume"}
    assert [{k: v for k, v in rule.items() if k not in changed} for rule in after] == [
        {k: v for k, v in rule.items() if k not in changed} for rule in before
    ]
    file.write_text(head + printed.out)
    assert command("check", "--file-only", "-c", str(file)).code == 0
    file.write_text(head)  # the rules by default are suggested as well
    printed = command("suggest", "-c", str(file), "--journal", str(tmp_path))
    file.write_text(head + printed.out)
    checked = command("check", "--file-only", "-c", str(file))
    assert checked.code == 0, printed.out + checked.said
    assert tomllib.loads(printed.out)["rule"][0]["pause"] == "> 1.8s for 5s"
