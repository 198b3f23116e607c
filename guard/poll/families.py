"""Which probes of PostgreSQL the rules need: one for each family of metrics that some rule uses, and none else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from guard.model import Rule
from guard.model.metric import Labels
from guard.poll.activity import ActivityProbe
from guard.poll.database import DatabaseProbe
from guard.poll.query import QueryProbe
from guard.poll.rated import RatedProbe
from guard.poll.samples import Recognition
from guard.poll.statements import StatementsProbe
from guard.ports import Probe
from guard.postgres import Door

_ALWAYS: Final = frozenset({"roster", "signal", "gate", "listen", "cancel"})
_FAMILIES: Final = frozenset({"replication", "locks", "activity", "database", "statements"})
_TOGETHER: Final = {"wal": "database", "vacuum": "database", "checkpoints": "database"}


def connections_for(rules: Iterable[Rule]) -> int:
    """How many connections a guard with these *rules* keeps open to its database."""
    known = tuple(rules)
    return len(_ALWAYS) + len(_FAMILIES & {family_of(rule) for rule in known}) + sum(map(is_query, known))


def is_query(rule: Rule) -> bool:
    """Whether it asks PostgreSQL with a query of its own; each such rule has a connection to itself."""
    return rule.metric == "sql"


def family_of(rule: Rule) -> str:
    """The family whose probe reads a rule's metric; one connection serves it."""
    if rule.metric == "database.primaries":  # asked of all hosts, not through a connection of its own
        return "hosts"
    family = rule.metric.partition(".")[0]
    return _TOGETHER.get(family, family)


def family_probes(
    door: Callable[[str], Door], rules: Iterable[Rule], recognition: Recognition | None = None, *, rest: float = 0.0
) -> list[Probe]:
    """Ready probes, each with a *door* of its own by its purpose; nothing is connected yet.

    *recognition* tells a migration's sessions that never registered. *rest*: seconds between two looks while nobody
    migrates.
    """
    known, used = tuple(rules), dict[str, set[tuple[str, Labels]]]()
    for rule in known:
        used.setdefault(family_of(rule), set()).add((rule.metric, rule.select))
    probes: list[Probe] = []
    if series := used.get("activity"):
        probes.append(ActivityProbe(door("activity"), _whole(series), selected=_selected(series)))
    if series := used.get("database"):
        probes.append(DatabaseProbe(door("database"), _whole(series), recognition=recognition))
    if series := used.get("statements"):
        probes.append(StatementsProbe(door("statements"), _whole(series), selected=_selected(series)))
    return [*probes, *(_as_told(door, rule, rest) for rule in known if is_query(rule))]


def _whole(series: Iterable[tuple[str, Labels]]) -> set[str]:
    return {metric for metric, labels in series if not labels}


def _selected(series: Iterable[tuple[str, Labels]]) -> set[tuple[str, Labels]]:
    return {each for each in series if each[1]}


def query_probe(door: Callable[[str], Door], rule: Rule) -> QueryProbe:
    """The probe of a rule with a query of its own; of a counter it reads how far it has counted."""
    return QueryProbe(door("sql"), rule.name, rule.query, scale=rule.scale)


def _as_told(door: Callable[[str], Door], rule: Rule, rest: float) -> Probe:
    mine = door("sql")
    probe = query_probe(lambda _: mine, rule)
    # After a failover the same query reads another server's counter.
    return RatedProbe(probe, rule, rest=rest, era=lambda: mine.generation) if rule.rate else probe
