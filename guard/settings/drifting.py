"""Limits of a rule that speak of a baseline: what must stand beside them, and whether one can be had at all."""

from __future__ import annotations

from collections.abc import Mapping

from guard.judge.baselines import LEAST, Gathering, is_relative
from guard.judge.quantities import say_seconds
from guard.model import Condition
from guard.settings.lines import Key
from guard.settings.problems import Problems

_BREACHES = ("warn", "pause", "rollback")


def check_baselines(limits: Mapping[str, Condition], gathering: Gathering, key: Key, problems: Problems) -> None:
    """Note what is wrong with them, by the name of the limit."""
    for name, condition in limits.items():
        if not is_relative(condition):
            continue
        if gathering.most < LEAST:
            window, seldom = say_seconds(gathering.window), say_seconds(gathering.idle_interval)
            problems.add(
                (*key, name),
                f"no baseline could be taken: [guard] baseline_window, {window}, holds {gathering.most} readings at an "
                f"idle_interval of {seldom}, and {LEAST} are needed",
            )
        if name == "cancel":
            problems.add((*key, name), "must not speak of a baseline: it is measured anew as a statement is cancelled")
        if name in _BREACHES and all(term.limit.kind != "absolute" for term in condition.terms):
            problems.warn(
                (*key, name),
                'no absolute limit stands beside it, as in "> 1.5x baseline and > 200ms": a change of what is small '
                "harms nobody, and without a baseline none of it can be judged",
            )
