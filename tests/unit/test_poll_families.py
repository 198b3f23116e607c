"""A family of metrics that no rule uses is not read, and has no connection."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from guard.model.sensors import METRICS
from guard.poll.families import connections_for, family_probes
from guard.postgres import Door
from guard.settings import GuardSettings, Settings, load, one_primary

HEAD = "[database.main]\ndsn='dbname=x'\nstandbys=['a']\n"


@pytest.fixture
def settings(tmp_path: Path) -> Callable[[str], Settings]:
    def read(text: str) -> Settings:
        path = tmp_path / "c.toml"
        path.write_text(HEAD + text)
        return load(path)

    return read


def door(purpose: str) -> Door:
    return Door("host=127.0.0.1 port=1", purpose=purpose)


def test_without_such_a_rule_there_is_no_such_probe(settings: Callable[[str], Settings]) -> None:
    rules = settings("[[rule]]\nname='x'\nmetric='locks.queued_behind_migration'\nwarn='> 1'\n").rules
    assert family_probes(door, rules) == []
    assert connections_for(rules) == 6


def test_two_rules_of_one_family_share_one_probe_and_one_connection(settings: Callable[[str], Settings]) -> None:
    text = "".join(
        f"[[rule]]\nname='{name}'\nmetric='activity.{name}'\nwarn='> 1'\n" for name in ("active", "connections")
    )
    rules = settings(text).rules
    assert [probe.name for probe in family_probes(door, rules)] == ["activity"]
    assert connections_for(rules) == 6


def test_each_rule_with_a_query_has_a_probe_and_a_connection_to_itself(settings: Callable[[str], Settings]) -> None:
    text = "".join(f"[[rule]]\nname='{name}'\nsql='select 1'\nwarn='> 1'\n" for name in "ab")
    rules = settings(text).rules
    assert [probe.name for probe in family_probes(door, rules)] == ["sql:a", "sql:b"]
    assert connections_for(rules) == 7


def test_a_counter_has_one_connection_too_and_answers_for_the_sensor_of_its_rule(
    settings: Callable[[str], Settings],
) -> None:
    (rule,) = settings("[[rule]]\nname='a'\nsql='select 1'\nas='rate'\nwarn='> 1'\n").rules
    doors: list[str] = []

    def counted(purpose: str) -> Door:
        doors.append(purpose)
        return door(purpose)

    (probe,) = family_probes(counted, [rule])
    assert doors == ["sql"]
    assert [sample.sensor for sample in probe.silence("why", 0.0).samples] == [rule.sensor] == ["sql:a|as=rate"]


def test_each_metric_that_a_rule_may_name_belongs_to_a_family_that_is_read() -> None:
    elsewhere = ("database.primaries", "replication.", "locks.")
    for name in (name for name in METRICS if not name.startswith(elsewhere)):
        rule = dataclasses.replace(one_primary(GuardSettings("g"), ()), metric=name, sensor=name)
        (probe,) = family_probes(door, [rule])
        assert [sample.sensor for sample in probe.silence("why", 0.0).samples] == [name]


def test_series_of_one_family_share_one_probe_which_tells_each_by_its_name(
    settings: Callable[[str], Settings],
) -> None:
    selected = (
        ("activity.waiting", 'select={wait_event_type="IO"}'),
        ("activity.active", ""),
        ("statements.mean_latency", 'select={queryid="-7"}'),
        ("statements.calls_per_second", ""),
    )
    text = "".join(
        f"[[rule]]\nname='{number}'\nmetric='{metric}'\nwarn='> 1{'s' if 'latency' in metric else ''}'\n{select}\n"
        for number, (metric, select) in enumerate(selected)
    )
    rules = settings(text).rules
    probes = family_probes(door, rules)
    assert [probe.name for probe in probes] == ["activity", "statements"]
    told = {sample.sensor for probe in probes for sample in probe.silence("why", 0.0).samples}
    assert told == {rule.sensor for rule in rules}
    assert "activity.waiting{wait_event_type=IO}" in told


def test_the_primaries_are_counted_without_a_connection_more() -> None:
    rule = one_primary(GuardSettings("g"), ())
    assert family_probes(door, [rule]) == []
    assert connections_for([rule]) == 5
