"""The account of a run adds up: each pause once, with its length and the rules that asked for it."""

from __future__ import annotations

import pytest

from guard.decide.accounting import accounted, cut_off_again
from guard.judge.findings import find
from guard.model import Account, Ask, Finding, Level, Phase, State, Verdict

CALM = find([])


def asking(**rules: Ask) -> Finding:
    return find([Verdict(rule, Level.FINE, ask, rule, well=False, settled=True) for rule, ask in rules.items()])


def state(phase: Phase, since: float = 100.0, account: Account | None = None) -> State:
    return State("m", 1, phase, "", since, account=account or Account())


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.STRAINED])
def test_a_run_begins_when_it_is_let_go_first(phase: Phase) -> None:
    assert accounted(state(Phase.WAITING), phase, CALM, 110.0) == Account(began_wall=110.0)
    begun = state(Phase.PAUSED, account=Account(began_wall=90.0))
    assert accounted(begun, phase, CALM, 110.0).began_wall == 90.0


def test_one_that_ends_before_it_was_let_go_has_never_begun() -> None:
    assert accounted(state(Phase.WAITING), Phase.DONE, CALM, 110.0) == Account(over_wall=110.0)


def test_a_pause_counts_for_each_rule_that_asks_for_one_or_for_more() -> None:
    account = Account(pauses=1, by=(("lag", 1),))
    finding = asking(lag=Ask.PAUSE, queue=Ask.CANCEL, errors=Ask.HOLD)
    after = accounted(state(Phase.RUNNING, account=account), Phase.PAUSED, finding, 110.0)
    assert after == Account(pauses=2, by=(("lag", 2), ("queue", 1)))


def test_pauses_are_summed_up_and_the_longest_is_kept() -> None:
    account = accounted(state(Phase.PAUSED), Phase.RUNNING, CALM, 130.0)
    assert (account.paused, account.longest) == (30.0, 30.0)
    account = accounted(state(Phase.PAUSED, account=account), Phase.STRAINED, CALM, 110.0)
    assert (account.paused, account.longest) == (40.0, 30.0)
    account = accounted(state(Phase.PAUSED, account=account), Phase.RUNNING, CALM, 40.0)  # a clock that was set back
    assert (account.paused, account.longest) == (40.0, 30.0)


@pytest.mark.parametrize("phase", [Phase.ROLLING_BACK, Phase.ABORTED, Phase.SOAKING, Phase.DONE])
def test_the_work_of_a_run_is_over_once_and_a_pause_ends_with_it(phase: Phase) -> None:
    over = accounted(state(Phase.PAUSED), phase, CALM, 130.0)
    assert over == Account(over_wall=130.0, paused=30.0, longest=30.0)
    assert accounted(state(phase, account=over), Phase.DONE, CALM, 500.0) == over


def test_each_cancel_is_counted() -> None:
    assert cut_off_again(state(Phase.PAUSED, account=Account(pauses=1, cut_off=2))) == Account(pauses=1, cut_off=3)
