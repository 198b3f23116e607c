"""Records survive the way through JSON, and bad ones are refused one by one."""

import dataclasses
import json
from typing import cast

import pytest

from guard.model import Account, Baseline, Event, Found, Notice, OperatorOrder, Phase, Severity, State
from guard.records import (
    event_from_dict,
    event_to_dict,
    notice_from_dict,
    notice_to_dict,
    operator_order_from_dict,
    operator_order_to_dict,
    state_from_dict,
    state_to_dict,
)

STATE = State(
    migration="add index",
    run_id=7,
    phase=Phase.ROLLING_BACK,
    because="replica lag 9 s > 5 s",
    since_wall=1.5,
    effective=True,
    cancels=2,
    ran=60.5,
    admitted=True,
    well_before=("lag", "errors"),
    applied_since_wall=2.5,
    breached_before=("errors",),
    asked_human=True,
    soak_until_wall=3.5,
    pauses=(4.5, 5.5),
    stays="paused 2 times in 10 min",
    effective_since_wall=6.5,
    reminded=3,
    no_help=True,
    unseen=("errors",),
    clearing=("queue",),
    rollback_by=("errors",),
    baselines=(Baseline("lag#1", 1.5, 0.5, 30, 2.5, 3.5, "Prometheus"),),
    before=(Found("sum", holds=True, value="120", rollback=True), Found("totals", holds=None)),
    after=(Found("sum", holds=False),),
    epoch=9,
    acknowledged_since_wall=7.5,
    broken=1,
    rungs=("cancel",),
    account=Account(8.5, 9.5, 3, 20.5, 10.5, (("errors", 1), ("lag", 2)), 1, True, True, True),
)
NOTICE = Notice(
    notice_id="main:12",
    at_wall=1.5,
    database="main",
    migration="add index",
    run_id=None,
    kind="paused",
    severity=Severity.WARNING,
    headline="paused",
    because="lag",
    next_step="resumes by itself",
    commands=("migration-guard status",),
    fields={"signal": "lag"},
)
EVENT = Event("paused", "add index", 7, "lag", "paused", {"state": state_to_dict(STATE)})


def through_json(record: dict[str, object]) -> dict[str, object]:
    return cast("dict[str, object]", json.loads(json.dumps(record)))


def test_every_field_survives_json() -> None:
    defaults = {field.name: field.default for field in dataclasses.fields(State)}
    assert all(getattr(STATE, name) != default for name, default in defaults.items()), "give the new field a value here"
    assert state_from_dict(through_json(state_to_dict(STATE))) == STATE
    assert notice_from_dict(through_json(notice_to_dict(NOTICE))) == NOTICE
    assert event_from_dict(through_json(event_to_dict(EVENT))) == EVENT


def test_the_fields_of_a_notice_come_back_in_their_order_from_a_store_that_sorts_keys() -> None:
    told = dataclasses.replace(NOTICE, fields={"took": "1 s", "done": "2 rows", "chart": "▁█"})
    stored = json.loads(json.dumps(notice_to_dict(told), sort_keys=True))
    assert list(notice_from_dict(stored).fields.items()) == list(told.fields.items())
    # One of an earlier version has no order, and one that somebody else wrote has any.
    assert list(notice_from_dict(stored | {"order": []}).fields) == ["chart", "done", "took"]
    assert list(notice_from_dict(stored | {"order": ["x", "took"]}).fields) == ["took", "chart", "done"]


def test_a_record_of_another_version_is_read_with_defaults() -> None:
    old = {"migration": "m", "run_id": 1, "phase": "paused", "since_wall": 1, "of the future": [1]}
    assert state_from_dict(old) == State("m", 1, Phase.PAUSED, "", 1.0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("migration", None),
        ("run_id", "7"),
        ("run_id", True),
        ("phase", "asleep"),
        ("since_wall", None),
        ("since_wall", "now"),
        ("effective", 1),
        ("well_before", "lag"),
        ("well_before", [1]),
        ("pauses", 4.5),
        ("pauses", [4.5, "5.5"]),
        ("pauses", [True]),
        ("account", []),
        ("account", {"by": [{"times": 1}]}),
    ],
)
def test_a_value_that_does_not_fit_is_refused(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        state_from_dict(state_to_dict(STATE) | {key: value})


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(ValueError, match="object"):
        notice_from_dict(cast("dict[str, object]", [1]))
    with pytest.raises(ValueError, match="payload"):
        event_from_dict(event_to_dict(EVENT) | {"payload": 3})


@pytest.mark.parametrize("rule", [None, "lag"])
def test_an_operators_order_comes_back_as_it_was(rule: str | None) -> None:
    order = OperatorOrder(7, "mute", "m", "ada", "known", 1.5, 2.5, rule)
    assert operator_order_from_dict(json.loads(json.dumps(operator_order_to_dict(order)))) == order


@pytest.mark.parametrize("key", ["order_id", "kind", "owner", "created_wall", "expires_wall", "rule"])
def test_an_order_that_somebody_else_wrote_is_refused(key: str) -> None:
    order = operator_order_to_dict(OperatorOrder(7, "mute", "m", "ada", "known", 1.5, 2.5, "lag"))
    with pytest.raises(ValueError, match=key):
        operator_order_from_dict(order | {key: None if key == "order_id" else []})
