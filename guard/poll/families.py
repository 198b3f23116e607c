"""Which probes of PostgreSQL the rules need: one for each family of metrics that some rule uses, and none else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from guard.model import Rule
from guard.poll.activity import ActivityProbe
from guard.ports import Probe
from guard.postgres import Door

_ALWAYS: Final = frozenset({"roster", "signal", "gate", "listen", "cancel"})
_FAMILIES: Final = frozenset({"replication", "locks", "activity"})


def connections_for(rules: Iterable[Rule]) -> int:
    """How many connections a guard with these *rules* keeps open to its database."""
    return len(_ALWAYS) + len(_FAMILIES & {family_of(rule) for rule in rules})


def family_of(rule: Rule) -> str:
    """The family whose probe reads a rule's metric; one connection serves it."""
    return rule.metric.partition(".")[0]


def family_probes(door: Callable[[str], Door], rules: Iterable[Rule]) -> list[Probe]:
    """Ready probes, each with a *door* of its own by its purpose; nothing is connected yet."""
    used: dict[str, set[str]] = {}
    for rule in rules:
        used.setdefault(family_of(rule), set()).add(rule.metric)
    probes: list[Probe] = []
    if metrics := used.get("activity"):
        probes.append(ActivityProbe(door("activity"), metrics))
    return probes
