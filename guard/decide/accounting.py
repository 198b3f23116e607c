"""Keeps the account of a run (guard.model.account) as it goes from phase to phase. Pure."""

from __future__ import annotations

import dataclasses
from collections import Counter

from guard.model import Account, Ask, Finding, Phase, State

_AT_WORK = (Phase.WAITING, Phase.RUNNING, Phase.STRAINED, Phase.PAUSED)


def accounted(before: State, phase: Phase, finding: Finding, wall: float) -> Account:
    """The account of a run that enters *phase* now, for what the rules have found."""
    account = before.account
    if before.phase is Phase.WAITING and phase in (Phase.RUNNING, Phase.STRAINED):
        account = dataclasses.replace(account, began_wall=wall)
    if before.phase is Phase.PAUSED:
        # A clock that was set back takes nothing away.
        lasted = max(0.0, wall - before.since_wall)
        longest = max(account.longest, lasted)
        account = dataclasses.replace(account, paused=account.paused + lasted, longest=longest)
    if phase is Phase.PAUSED:
        rules = [verdict.rule for verdict in finding.verdicts if verdict.ask >= Ask.PAUSE]
        by = Counter(dict(account.by)) + Counter(rules)
        account = dataclasses.replace(account, pauses=account.pauses + 1, by=tuple(sorted(by.items())))
    if phase not in _AT_WORK and account.over_wall is None:
        account = dataclasses.replace(account, over_wall=wall)
    return account


def cut_off_again(state: State) -> Account:
    """The account once sessions of the run were cancelled or terminated."""
    return dataclasses.replace(state.account, cut_off=state.account.cut_off + 1)
