"""The phase table: everything that may happen stands in it, and nothing else can."""

from __future__ import annotations

import itertools

import pytest

from guard.decide.machine import ENDINGS, ORDERS, TABLE, Move, diagram, move_for
from guard.model import Ask, Finding, OrderKind, Phase

ALL = list(itertools.product(Phase, Move))


def finding(ask: Ask, *, well: bool = True, settled: bool = True) -> Finding:
    return Finding(ask, "because", (), well=well, settled=settled)


def test_the_table_says_for_every_phase_and_move_what_follows() -> None:
    assert set(TABLE) == set(ALL)
    assert set(ORDERS) == set(Phase)


@pytest.mark.parametrize("phase", sorted(ENDINGS))
def test_nothing_leads_out_of_an_ending(phase: Phase) -> None:
    assert {TABLE[phase, move] for move in Move} == {phase}


def test_only_calm_or_a_warning_lets_a_stopped_migration_go_on() -> None:
    starts = {
        (phase, move)
        for phase, move in ALL
        if ORDERS[phase] > OrderKind.PROCEED and ORDERS[TABLE[phase, move]] is OrderKind.PROCEED
    }
    endings = {(phase, move) for phase, move in starts if TABLE[phase, move] in {Phase.DONE, Phase.SOAKING}}
    assert {phase for phase, _ in starts} == {Phase.WAITING, Phase.PAUSED}
    assert {move for _, move in starts - endings} == {Move.CALM, Move.WARN}
    assert {move for _, move in endings} == {Move.ENDED, Move.GONE}


def test_a_rollback_ends_in_an_abort_whatever_else_happens() -> None:
    assert {TABLE[Phase.ROLLING_BACK, move] for move in Move if move is not Move.ROLLED} == {Phase.ROLLING_BACK}
    assert TABLE[Phase.ROLLING_BACK, Move.ROLLED] is Phase.ABORTED


def test_a_run_that_has_not_begun_is_never_rolled_back_nor_paused() -> None:
    assert {TABLE[Phase.WAITING, move] for move in (Move.ROLLBACK, Move.PAUSE, Move.CANCEL, Move.HOLD)} == {
        Phase.WAITING
    }


@pytest.mark.parametrize(
    ("ask", "move"),
    [
        (Ask.PROCEED, Move.CALM),
        (Ask.WARN, Move.WARN),
        (Ask.HOLD, Move.HOLD),
        (Ask.PAUSE, Move.PAUSE),
        (Ask.CANCEL, Move.CANCEL),
        (Ask.ROLLBACK, Move.ROLLBACK),
    ],
)
def test_each_wish_of_the_rules_is_one_move(ask: Ask, move: Move) -> None:
    assert move_for(Phase.RUNNING, finding(ask)) is move


@pytest.mark.parametrize("ask", [Ask.PROCEED, Ask.WARN])
def test_a_stopped_migration_waits_for_every_rule_to_be_well_and_a_new_one_for_every_rule_to_speak(ask: Ask) -> None:
    assert move_for(Phase.PAUSED, finding(ask, well=False)) is Move.HOLD
    assert move_for(Phase.WAITING, finding(ask, settled=False)) is Move.HOLD
    assert move_for(Phase.WAITING, finding(ask, well=False)) is not Move.HOLD
    assert move_for(Phase.RUNNING, finding(ask, well=False, settled=False)) is not Move.HOLD


def test_the_diagram_shows_every_arrow_of_the_table_and_no_other() -> None:
    lines = diagram().splitlines()
    arrows = {(phase, TABLE[phase, move]) for phase, move in ALL if TABLE[phase, move] is not phase}
    shown = {tuple(line.split(":")[0].split(" --> ")) for line in lines if " --> " in line and "[*]" not in line}
    assert shown == {("    " + a.value.replace(" ", "_"), b.value.replace(" ", "_")) for a, b in arrows}
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> waiting: registered"]
    assert "    paused --> running: all is well" in lines
    assert "    done --> [*]" in lines
