"""States, notices, events and orders as plain JSON objects, and back: what journal, event table and report keep.

It does not choose where they are kept. Reading is lenient towards another version of this program: a key that is
missing gets its default, one that is unknown is passed over; what cannot be understood at all raises ValueError, so
that the caller can leave out one record without losing the rest.
"""

# ruff: noqa: TRY004 -- a value of the wrong type comes from a file here, not from a programmer: one error to catch

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import cast

from guard.model import Account, Baseline, Event, Found, Kept, Notice, OperatorOrder, Phase, Severity, State

Record = dict[str, object]
"""A JSON object: strings, numbers, booleans, null, lists and objects only."""


def state_to_dict(state: State) -> Record:
    """All fields by their own names; tuples as lists, the phase as its word."""
    return _plain(state)


def state_from_dict(record: Mapping[str, object]) -> State:
    """Read what state_to_dict wrote. Raises ValueError."""
    read = _Reader(record)
    return State(
        migration=read.text("migration"),
        run_id=read.whole_or_none("run_id"),
        phase=Phase(read.text("phase")),
        because=read.text("because", ""),
        since_wall=read.number("since_wall"),
        effective=read.truth("effective"),
        cancels=read.whole_or_none("cancels") or 0,
        ran=read.number_or_none("ran") or 0.0,
        admitted=read.truth("admitted"),
        well_before=read.texts("well_before"),
        applied_since_wall=read.number_or_none("applied_since_wall"),
        breached_before=read.texts("breached_before"),
        asked_human=read.truth("asked_human"),
        soak_until_wall=read.number_or_none("soak_until_wall"),
        pauses=read.numbers("pauses"),
        stays=read.text("stays", ""),
        effective_since_wall=read.number_or_none("effective_since_wall"),
        reminded=read.whole_or_none("reminded") or 0,
        no_help=read.truth("no_help"),
        unseen=read.texts("unseen"),
        clearing=read.texts("clearing"),
        rollback_by=read.texts("rollback_by"),
        baselines=tuple(baseline_from_dict(each) for each in read.objects("baselines")),
        before=tuple(_found(each) for each in read.objects("before")),
        after=tuple(_found(each) for each in read.objects("after")),
        epoch=read.whole_or_none("epoch") or 0,
        acknowledged_since_wall=read.number_or_none("acknowledged_since_wall"),
        broken=read.whole_or_none("broken") or 0,
        rungs=read.texts("rungs"),
        account=_account(read.mapping("account")),
    )


def _account(record: Mapping[str, object]) -> Account:
    read = _Reader(record)
    return Account(
        began_wall=read.number_or_none("began_wall"),
        over_wall=read.number_or_none("over_wall"),
        pauses=read.whole_or_none("pauses") or 0,
        paused=read.number_or_none("paused") or 0.0,
        longest=read.number_or_none("longest") or 0.0,
        by=tuple((each.text("rule"), each.whole_or_none("times") or 0) for each in map(_Reader, read.objects("by"))),
        cut_off=read.whole_or_none("cut_off") or 0,
        observed=None if record.get("observed") is None else read.truth("observed"),
        mixed=read.truth("mixed"),
        overridden=read.truth("overridden"),
    )


def _account_to_dict(account: Account) -> Record:
    return {**_plain(account), "by": [{"rule": rule, "times": times} for rule, times in account.by]}


def _found(record: Mapping[str, object]) -> Found:
    read = _Reader(record)
    holds = None if record.get("holds") is None else read.truth("holds")
    return Found(read.text("check"), holds, read.text("value", ""), read.truth("rollback"))


def baseline_to_dict(baseline: Baseline) -> Record:
    """All fields by their own names."""
    return _plain(baseline)


def baseline_from_dict(record: Mapping[str, object]) -> Baseline:
    """Read what baseline_to_dict wrote. Raises ValueError."""
    read = _Reader(record)
    return Baseline(
        of=read.text("of"),
        value=read.number("value"),
        spread=read.number("spread"),
        count=int(read.number("count")),
        since_wall=read.number("since_wall"),
        until_wall=read.number("until_wall"),
        source=read.text("source"),
    )


def kept_to_dict(kept: Kept) -> Record:
    """All fields by their own names; a reading as [time, value]."""
    readings = {of: [list(each) for each in samples] for of, samples in kept.readings.items()}
    return {"home": kept.home, "readings": readings}


def kept_from_dict(record: Mapping[str, object]) -> Kept:
    """Read what kept_to_dict wrote. Raises ValueError."""
    read = _Reader(record)
    readings = {of: _pairs(of, samples) for of, samples in read.mapping("readings").items()}
    return Kept(read.text("home"), readings)


def _pairs(of: str, samples: object) -> tuple[tuple[float, float], ...]:
    pairs = [_Reader({of: each}).numbers(of) for each in samples] if isinstance(samples, list) else [()]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"{of} is not a list of pairs")
    return tuple((pair[0], pair[1]) for pair in pairs)


def notice_to_dict(notice: Notice) -> Record:
    """All fields by their own names; tuples as lists, the severity as its word. `order`: that of `fields`.

    PostgreSQL keeps the keys of an object in an order of its own, and who is told again is told the same.
    """
    return {**_plain(notice), "order": list(notice.fields)}


def notice_from_dict(record: Mapping[str, object]) -> Notice:
    """Read what notice_to_dict wrote. Raises ValueError."""
    read = _Reader(record)
    return Notice(
        notice_id=read.text("notice_id"),
        at_wall=read.number("at_wall"),
        database=read.text("database"),
        migration=read.text("migration"),
        run_id=read.whole_or_none("run_id"),
        kind=read.text("kind"),
        severity=Severity(read.text("severity")),
        headline=read.text("headline"),
        because=read.text("because", ""),
        next_step=read.text("next_step", ""),
        commands=read.texts("commands"),
        fields=_in_order(read.mapping("fields"), read.texts("order")),
    )


def _in_order(fields: Mapping[str, object], order: tuple[str, ...]) -> dict[str, str]:
    known = [key for key in order if key in fields]
    return {key: str(fields[key]) for key in dict.fromkeys((*known, *fields))}


def event_to_dict(event: Event) -> Record:
    """All fields by their own names; the payload as it is."""
    return _plain(event)


def event_from_dict(record: Mapping[str, object]) -> Event:
    """Read what event_to_dict wrote. Raises ValueError."""
    read = _Reader(record)
    return Event(
        kind=read.text("kind"),
        migration=read.text("migration"),
        run_id=read.whole_or_none("run_id"),
        because=read.text("because", ""),
        phase=read.text("phase", ""),
        payload=read.mapping("payload"),
    )


def operator_order_to_dict(order: OperatorOrder) -> Record:
    """All fields by their own names."""
    return _plain(order)


def operator_order_from_dict(record: Mapping[str, object]) -> OperatorOrder:
    """Read what operator_order_to_dict wrote. Raises ValueError."""
    read = _Reader(record)
    order_id = read.whole_or_none("order_id")
    if order_id is None:
        raise ValueError("order_id is missing")
    return OperatorOrder(
        order_id=order_id,
        kind=read.text("kind"),
        migration=read.text("migration"),
        owner=read.text("owner"),
        reason=read.text("reason", ""),
        created_wall=read.number("created_wall"),
        expires_wall=read.number_or_none("expires_wall"),
        rule=None if record.get("rule") is None else read.text("rule"),
    )


def _plain(value: State | Notice | Event | OperatorOrder | Baseline | Found | Account) -> Record:
    # Shallow on purpose: dataclasses.asdict would deep-copy payloads that are JSON already.
    return {field.name: _json(getattr(value, field.name)) for field in dataclasses.fields(value)}


def _json(value: object) -> object:
    if isinstance(value, Phase | Severity):
        return value.value
    if isinstance(value, Account):
        return _account_to_dict(value)
    if isinstance(value, Baseline | Found):
        return _plain(value)
    if isinstance(value, tuple):
        return [_json(item) for item in cast("tuple[object, ...]", value)]
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, object]", value))
    return value


class _Reader:
    """Typed fields out of an object of unknown origin; every misfit is a ValueError that names the key."""

    def __init__(self, record: Mapping[str, object]) -> None:
        if not isinstance(record, Mapping):  # what json.loads gives is whatever somebody wrote
            raise ValueError("the record is not an object")
        self._record = record

    def text(self, key: str, default: str | None = None) -> str:
        value = self._record.get(key, default)
        if not isinstance(value, str):
            raise ValueError(f"{key} is not a text")
        return value

    def number(self, key: str) -> float:
        value = self.number_or_none(key)
        if value is None:
            raise ValueError(f"{key} is missing")
        return value

    def number_or_none(self, key: str) -> float | None:
        value = self._record.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{key} is not a number")
        return float(value)

    def whole_or_none(self, key: str) -> int | None:
        value = self._record.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"{key} is not a whole number")
        return value

    def truth(self, key: str) -> bool:
        value = self._record.get(key, False)
        if not isinstance(value, bool):
            raise ValueError(f"{key} is not true or false")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._record.get(key, ())
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise ValueError(f"{key} is not a list of texts")
        return tuple(cast("list[str]", value))

    def numbers(self, key: str) -> tuple[float, ...]:
        value = self._record.get(key, ())
        if not isinstance(value, list | tuple) or not all(
            isinstance(item, int | float) and not isinstance(item, bool) for item in value
        ):
            raise ValueError(f"{key} is not a list of numbers")
        return tuple(float(item) for item in cast("list[float]", value))

    def objects(self, key: str) -> tuple[Mapping[str, object], ...]:
        value = self._record.get(key, ())
        if not isinstance(value, list | tuple) or not all(isinstance(item, Mapping) for item in value):
            raise ValueError(f"{key} is not a list of objects")
        return tuple(cast("list[Mapping[str, object]]", value))

    def mapping(self, key: str) -> Mapping[str, object]:
        value = self._record.get(key, {})
        if not isinstance(value, Mapping):
            raise ValueError(f"{key} is not an object")
        return cast("Mapping[str, object]", value)
