"""By which a recorded configuration is known again: by all that bears on decisions, and by nothing else."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import pytest

from guard.cycle import Options
from guard.cycle.frames import fingerprint, rule_print
from guard.decide.bounds import Bounds, Flap
from guard.model import NoData, Rule
from tests.fakes import make_rule

RULE = make_rule("errors", pause="> 1s", rollback="> 5s for 2s", migrations=("m",))
OTHER = make_rule("lag")


def later(rule: Rule, new: str = "") -> Rule:
    """The same rule of a later version: its fields in another order, and one more."""
    fields = [("new", str), *((field.name, Any) for field in reversed(dataclasses.fields(Rule)))]
    values = {field.name: getattr(rule, field.name) for field in dataclasses.fields(Rule)}
    return cast("Rule", dataclasses.make_dataclass("Later", fields, frozen=True)(**values, new=new))


def test_neither_the_order_of_fields_nor_a_new_one_that_is_empty_makes_it_another_rule() -> None:
    assert rule_print(later(RULE)) == rule_print(RULE)
    assert rule_print(later(RULE, "something")) != rule_print(RULE)


@pytest.mark.parametrize(
    "change",
    [
        {"pause": OTHER.pause},
        {"rollback": None},
        {"no_data": NoData.HOLD},
        {"stale_after": 6.0},
        {"migrations": ()},
        {"scale": 2.0},
        {"name": "other"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_a_rule_goes_by_makes_it_another_one(change: dict[str, object]) -> None:
    assert rule_print(dataclasses.replace(RULE, **change)) != rule_print(RULE)  # type: ignore[arg-type]


def test_a_configuration_is_its_rules_in_any_order_and_its_settings() -> None:
    options = Options("main", (RULE, OTHER), soak={"a": 1.0, "b": 2.0})
    assert fingerprint(dataclasses.replace(options, rules=(OTHER, RULE), soak={"b": 2.0, "a": 1.0})) == fingerprint(
        options
    )
    others = (
        dataclasses.replace(options, rules=(RULE,)),
        dataclasses.replace(options, observing=True),
        dataclasses.replace(options, auto_rollback=True),
        dataclasses.replace(options, soak={}),
        dataclasses.replace(options, bounds=Bounds(flap=Flap(3, 60.0))),
    )
    assert len({fingerprint(each) for each in (options, *others)}) == 6
