"""`select` in a rule: which series of a metric is meant, and how it is told from the others."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from guard.errors import ConfigError, Problem
from guard.judge.verdicts import Streak, judge
from guard.model import Reading, Rule
from guard.model.metric import labelled
from guard.settings import Settings, load
from tests.fakes import make_rule

HEAD = '[database.main]\ndsn = "host=db1"\nstandbys = ["replica1"]\n[[rule]]\nname = "one"\n'


def read(tmp_path: Path, rule: str) -> Settings:
    path = tmp_path / "guard.toml"
    path.write_text(HEAD + rule)
    return load(path)


def rule_of(tmp_path: Path, rule: str) -> Rule:
    (found,) = read(tmp_path, rule).rules
    return found


def test_a_selected_series_has_a_key_of_its_own_and_is_the_metric_still(tmp_path: Path) -> None:
    text = 'metric = "replication.lag"\npause = "> 5s"\n'
    one, worst = rule_of(tmp_path, f'{text}select = {{ standby = "replica1" }}'), rule_of(tmp_path, text)
    assert (one.metric, one.select, one.sensor) == (worst.metric, (("standby", "replica1"),), one.series)
    assert (one.series, worst.sensor) == ("replication.lag{standby=replica1}", "replication.lag")


def test_a_standby_that_is_selected_need_not_be_one_that_is_expected(tmp_path: Path) -> None:
    rule = 'metric = "replication.lag"\npause = "> 5s"\nselect.standby = "reports"\n'
    path = tmp_path / "guard.toml"
    path.write_text((HEAD + rule).replace('["replica1"]', "[]"))
    assert load(path).warnings == ()


def test_messages_name_the_series() -> None:
    rule = make_rule("one", pause="> 5s")
    rule = dataclasses.replace(rule, metric="replication.lag", select=(("standby", "replica1"),))
    for value in (0.0, 7.0):
        verdict, _ = judge(rule, Streak(), Reading(rule.sensor, value, 1.0), 1.0)
        assert verdict.because.startswith(f"replication.lag{{standby=replica1}} {value:g} s")


@pytest.mark.parametrize(
    ("labels", "shown"),
    [
        ({}, "m"),
        ({"a": "1"}, "m{a=1}"),
        ({"b": "2", "a": "1"}, "m{a=1,b=2}"),
        ({"a": "1,b=2"}, 'm{a="1,b=2"}'),
        ({"a": 'say "x"'}, 'm{a="say \\"x\\""}'),
        ({"a": "größer als"}, 'm{a="größer als"}'),
    ],
)
def test_no_two_series_have_the_same_name(labels: dict[str, str], shown: str) -> None:
    assert labelled("m", labels.items()) == shown


LAG = 'metric = "replication.lag"\npause = "> 5s"\n'
WAITING = 'metric = "activity.waiting"\npause = "> 5"\n'
LATENCY = 'metric = "statements.mean_latency"\npause = "> 5s"\n'
MISTAKES = [
    (f'{LAG}select = "replica1"', 8, "select", 'such as { standby = "replica1" }'),
    (f"{LAG}select = {{}}", 8, "select", 'such as { standby = "replica1" }'),
    (f"{LAG}select = {{ standby = 1 }}", 8, "select", "strings in quotes"),
    (f'{LAG}select = {{ standby = "" }}', 8, "select", "strings in quotes"),
    (f'{LAG}select = {{ standby = "a\\nb" }}', 8, "select", "strings in quotes"),
    (f'{LAG}select = {{ standy = "a" }}', 8, "select.standy", 'did you mean "standby"?'),
    (f'{LAG}[rule.select]\nstandby = "a"\nslot = "b"', 10, "select.slot", "allowed: standby"),
    (
        'metric = "replication.standbys"\npause = "< 1"\nselect = { standby = "a" }',
        *(8, "select", "one series only; those with several: replication.lag, "),
    ),
    (f'{WAITING}select = {{ wait_event_type = "lock" }}', 8, "select.wait_event_type", 'did you mean "Lock"?'),
    (f'{LATENCY}select = {{ queryid = "shop" }}', 8, "select.queryid", "as pg_stat_statements shows it"),
    (f'{LATENCY}select = {{ queryid = "9223372036854775808" }}', 8, "select.queryid", "as pg_stat_statements"),
    ('sql = "select 1"\npause = "> 1"\nselect = { standby = "a" }', 8, "select", "goes with metric alone"),
]


@pytest.mark.parametrize(("rule", "line", "key", "message"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_wrong_selection_is_told_with_its_line_and_what_is_allowed(
    tmp_path: Path, rule: str, line: int, key: str, message: str
) -> None:
    with pytest.raises(ConfigError) as wrong:
        read(tmp_path, rule)
    (found,) = wrong.value.problems
    assert found == Problem(str(tmp_path / "guard.toml"), line, f'rule "one".{key}', found.message)
    assert message in found.message
