"""Pieces of pages: badges, times, commands, tables. Every text is escaped by htpy; no piece decides anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import htpy as h

from guard.judge.quantities import say_seconds
from guard.show.words import Badge, clock, machine_time, of_level, uneasy_first


@dataclass(frozen=True, slots=True)
class Now:
    """The moment that a page shows."""

    wall: float
    live: bool = False
    """Ages are left to the script: else a part would be new each second for nothing."""


def badge(state: Badge) -> h.Element:
    """A state: sign, word and tone."""
    return h.span(class_=f"badge {state.tone}", data_tone=state.tone)[
        h.span(class_="sign", aria_hidden="true")[state.sign], " ", state.word
    ]


def since(wall: float | None, now: Now, *, words: str = "for") -> h.Node:
    """How long ago something was; nothing where nobody knows."""
    if wall is None:
        return None
    age = "" if now.live else say_seconds(max(0.0, float(round(now.wall - wall))))
    return h.span(class_="since")[
        words, " ", h.time(datetime=machine_time(wall), data_since=f"{wall:.1f}", title=clock(wall))[age]
    ]


def at(wall: float) -> h.Element:
    """A moment."""
    return h.time(datetime=machine_time(wall))[clock(wall)]


def commands(said: Sequence[str]) -> h.Node:
    """Commands to be copied, one a line."""
    if not said:
        return None
    return h.ul(class_="commands", aria_label="Commands")[(h.li[h.code[_unbroken(each)]] for each in said)]


def _unbroken(command: str) -> h.Node:
    """Its words, between which alone a narrow screen breaks it: at a hyphen it would look like two of them."""
    words = command.split(" ")
    return [(" " if n else None, h.span[word]) for n, word in enumerate(words)]


def lines(class_: str, said: Iterable[str]) -> h.Node:
    """Sentences, a paragraph each."""
    return [h.p(class_=class_)[each] for each in said]


def fact(head: str, *said: h.Node) -> h.Node:
    """One line of a list of facts."""
    return h.div[h.dt[head], h.dd[said]]


def verdicts(found: Iterable[Mapping[str, Any]], limits: Mapping[str, Any], now: Now) -> h.Element:
    """A table: each rule, what it says and since when, its limits, and what would let a migration go on."""
    heads = ("Rule", "Says", "Because", "Limits", "Goes on when")
    return h.div(class_="scroll", tabindex="0", role="group", aria_label="Rules")[
        h.table(class_="rules")[
            h.thead[h.tr[(h.th(scope="col")[head] for head in heads)]],
            h.tbody[(_verdict(each, limits, now) for each in uneasy_first(found))],
        ]
    ]


def _verdict(verdict: Mapping[str, Any], limits: Mapping[str, Any], now: Now) -> h.Element:
    rule, level = str(verdict.get("rule")), str(verdict.get("level"))
    return h.tr(data_rule=rule, data_level=level)[
        h.th(scope="row")[rule],
        h.td[badge(of_level(level)), " ", since(verdict.get("since"), now) if level != "fine" else None],
        h.td[
            str(verdict.get("because", "")), h.br if verdict.get("baseline") else None, verdict.get("baseline") or None
        ],
        # Where the table is a list, since it has no room, the style sheet puts the name of the column before the cell.
        h.td(data_head="Limits")[str(limits.get(rule, ""))],
        h.td(data_head="Goes on when")[str(verdict.get("resume") or "")],
    ]
