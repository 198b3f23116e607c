"""Frames of the flight recorder as plain JSON, and back. It neither judges nor keeps them.

Reading is lenient towards another version of this program: a field that is unknown here is passed over.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

from guard.cycle.board import Memory
from guard.cycle.values import Options
from guard.decide.bounds import Bounds
from guard.decide.ladder import Circumstances
from guard.judge.baselines import Known
from guard.judge.verdicts import Streak
from guard.model import Ask, Condition, Level, Reading, Rule, Sample, Silence, State, Verdict
from guard.records import baseline_from_dict, baseline_to_dict, state_from_dict, state_to_dict

Body = Mapping[str, Any]
"""A frame as a JSON object; its keys stand at `guard.cycle.tape.Tape`."""


def fingerprint(options: Options) -> str:
    """By which a configuration is known again, as far as it bears on decisions; it gives nothing of it away."""
    return _hashed(
        (
            *sorted(map(_canonical, options.rules)),
            options.observing,
            options.auto_rollback,
            sorted(options.soak.items()),
            *([sorted(options.own_auto_rollback.items())] if options.own_auto_rollback else ()),
            _canonical(options.bounds),
        )
    )


def rule_print(rule: Rule) -> str:
    """The same of one rule."""
    return _hashed((_canonical(rule),))


def limits_to_dict(rule: Rule, question: str) -> dict[str, object]:
    """What a reader of the frames must know of a rule to draw its signal; *question* is the key of its baseline."""
    rungs = {name: getattr(rule, name) for name in ("warn", "pause", "cancel", "rollback", "resume")}
    return {
        "rule": rule.name,
        "sensor": rule.sensor,
        "metric": rule.series,
        "unit": rule.dimension.value,
        "stale": rule.stale_after,
        "of": question,
        "stops": rule.stops,
        "rungs": {name: _terms(condition) for name, condition in rungs.items() if condition is not None},
    }


def _terms(condition: Condition) -> dict[str, object]:
    terms = [[term.op, term.limit.value, term.limit.kind] for term in condition.terms]
    return {"text": condition.text, "any": condition.any_of, "terms": terms}


def _canonical(value: Rule | Bounds) -> str:
    """The same whatever order its fields have, and whatever fields a later version adds that are empty here.

    Only what is empty is left out, and not what is usual: a later version may think something else usual.
    """
    return json.dumps(_plainly(value), sort_keys=True)


def _plainly(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: _plainly(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {name: each for name, each in fields.items() if each}
    if isinstance(value, tuple):
        return [_plainly(each) for each in cast("tuple[object, ...]", value)]
    return value.value if isinstance(value, enum.Enum) else value


def _hashed(values: tuple[object, ...]) -> str:
    return hashlib.sha256("\n".join(map(str, values)).encode()).hexdigest()[:12]


def sample_to_list(sample: Sample) -> list[object]:
    """Short, since it is written at each poll: sensor, value, time, words, and what only one of the two kinds has."""
    if isinstance(sample, Reading):
        return [sample.sensor, sample.value, sample.taken_at, sample.detail, sorted(sample.caused_by)]
    return [sample.sensor, None, sample.taken_at, sample.why, sample.abstains or sample.at_least]


def sample_from_list(kept: list[Any]) -> Sample:
    """Read what sample_to_list wrote. Raises ValueError."""
    sensor, value, taken_at, words, rest = kept
    if value is None:
        abstains = rest is True
        return Silence(sensor, words, taken_at, None if abstains else rest, abstains)
    return Reading(sensor, value, taken_at, words, frozenset(rest))


def baselines_to_dict(baselines: Mapping[str, Known]) -> dict[str, object]:
    """What is known, by question; why there is none, as a text."""
    return {of: known if isinstance(known, str) else baseline_to_dict(known) for of, known in baselines.items()}


def baselines_from_dict(kept: Body) -> dict[str, Known]:
    """Read what baselines_to_dict wrote. Raises ValueError."""
    return {of: known if isinstance(known, str) else baseline_from_dict(known) for of, known in kept.items()}


def facts_to_dict(facts: Circumstances) -> dict[str, object]:
    """All fields but the time, which is the frame's, and the bounds, which are the configuration's."""
    return {name: value for name, value in _fields(facts).items() if name not in {"wall", "bounds"}}


def facts_from_dict(kept: Body, wall: float) -> Circumstances:
    """Read what facts_to_dict wrote."""
    return Circumstances(**_known(Circumstances, kept), wall=wall)


def changes(before: Mapping[str, object], after: Mapping[str, object]) -> dict[str, object]:
    """The fields of *after* that differ."""
    return {name: value for name, value in after.items() if name not in before or before[name] != value}


def changed_state(state: State, change: Body) -> State:
    """The state with some fields as written by state_to_dict. Raises ValueError."""
    return state_from_dict({**state_to_dict(state), **change})


def memory_to_dict(memory: Memory) -> dict[str, object]:
    """What a board remembers."""
    return {
        "streaks": {name: _fields(streak) for name, streak in memory.streaks.items()},
        "verdicts": {name: _fields(verdict) for name, verdict in memory.verdicts.items()},
        "acted": dict(memory.acted_at),
        "rested": memory.rested_at,
    }


def memory_from_dict(kept: Body, rules: Iterable[str]) -> Memory:
    """Read what memory_to_dict wrote, of these rules alone."""
    of = set(rules)
    return Memory(
        streaks={name: Streak(**_known(Streak, each)) for name, each in kept["streaks"].items() if name in of},
        verdicts={name: _verdict(each) for name, each in kept["verdicts"].items() if name in of},
        acted_at={name: at for name, at in kept["acted"].items() if name in of},
        rested_at=kept["rested"],
    )


def _verdict(kept: Body) -> Verdict:
    known = _known(Verdict, kept)
    enums = {"level": Level(kept["level"]), "ask": Ask(kept["ask"]), "caused_by": frozenset(kept["caused_by"])}
    return Verdict(**{**known, **enums})


def _fields(value: Circumstances | Streak | Verdict) -> dict[str, object]:
    return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}


def _plain(value: object) -> object:
    if isinstance(value, enum.Enum):
        return cast("object", value.value)
    if isinstance(value, tuple | frozenset):
        return list(cast("tuple[object, ...]", value))
    return value


def _known(kind: type[Circumstances | Streak | Verdict], kept: Body) -> dict[str, Any]:
    names = {field.name for field in dataclasses.fields(kind)}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in kept.items() if name in names}
