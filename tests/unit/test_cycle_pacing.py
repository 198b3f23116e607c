"""What the guard says for migrations that pace themselves: who must stream, and the lag at which it pauses."""

from __future__ import annotations

import dataclasses

import pytest

from guard.cycle.words import pacing
from guard.judge.conditions import complement, parse_condition
from guard.model import Dimension, Rule

STANDBYS = ("a", "b")


def lag(pause: str, metric: str = "replication.lag") -> Rule:
    condition = parse_condition(pause, Dimension.SECONDS)
    return Rule("lag", metric, metric, Dimension.SECONDS, resume=complement(condition), pause=condition)


@pytest.mark.parametrize(
    ("pauses", "wanted"),
    [
        (["> 5s for 3s"], 5.0),
        (["> 5s", ">= 2s for 1m"], 2.0),
        (["> 1.5x baseline and > 3s"], 3.0),
        (["> 1.5x baseline", "> 8s"], 8.0),
        (["> 1.5x baseline"], None),
        (["< 5s"], None),
        ([], None),
    ],
)
def test_the_first_rule_that_pauses_gives_the_limit(pauses: list[str], wanted: float | None) -> None:
    said = pacing([lag(each) for each in pauses], STANDBYS)
    assert said == {"standbys": ["a", "b"]} | ({} if wanted is None else {"lag": wanted})


def test_other_metrics_and_rules_that_only_warn_give_no_limit() -> None:
    warns = dataclasses.replace(lag("> 1s"), pause=None)
    assert pacing([warns, lag("> 1s", "replication.reply_age"), lag("> 9s")], 2) == {"standbys": 2, "lag": 9.0}


def test_that_there_are_none_on_purpose_is_said_and_that_it_is_not_known_is_not() -> None:
    assert pacing([], ()) == {"standbys": []}
    assert pacing([], None) == {}
