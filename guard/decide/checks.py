"""What the checks of the data ask for a run: what they found becomes verdicts beside those of the rules. Pure.

A check that did not hold before the run says nothing against it, and one that fails after it only asks for a rollback
where the configuration says so; whether that may fire is for guard.decide.ladder to say, as of any rule's.
"""

from __future__ import annotations

import dataclasses

from guard.model import Ask, Finding, Found, Level, Phase, State, Verdict
from guard.model.checks import titled


def with_checks(finding: Finding, state: State) -> Finding:
    """The finding, with what is known of the run's data: before it begins, and once it has ended."""
    if state.phase is Phase.WAITING:
        mine = tuple(_before(found) for found in state.before)
        return dataclasses.replace(finding, verdicts=finding.verdicts + mine) if mine else finding
    if state.phase is not Phase.SOAKING or not (failed := failed_checks(state)):
        return finding
    mine = tuple(_after(name) for name in failed)
    alone = finding.ask < Ask.ROLLBACK
    because = "; ".join(verdict.because for verdict in mine)
    return dataclasses.replace(
        finding,
        ask=Ask.ROLLBACK,
        because=because if alone else f"{finding.because}; {because}",
        verdicts=finding.verdicts + mine,
        well=False,
    )


def failed_checks(state: State) -> tuple[str, ...]:
    """Checks that do not hold after the run, and for which it is to be rolled back."""
    return tuple(found.check for found in state.after if found.holds is False and found.rollback)


def due_by_check(state: State) -> bool:
    """Whether a rollback that is under way fell due by a check, and not by a rule alone."""
    return any(titled(check) in state.rollback_by for check in failed_checks(state))


def _before(found: Found) -> Verdict:
    # It stops nobody: whether data that were wrong before may be migrated is for the people who were told.
    level = Level.FINE if found.holds else Level.UNKNOWN
    harms = False if found.holds else None
    return Verdict(titled(found.check), level, Ask.PROCEED, "", well=True, settled=True, harms=harms, since=0.0)


def _after(check: str) -> Verdict:
    # Measured: the database was asked after the run had ended, so that nothing of it can still be under way.
    because = f"{titled(check)} does not hold after the run"
    return Verdict(
        titled(check),
        Level.ROLLBACK,
        Ask.ROLLBACK,
        because,
        well=False,
        settled=True,
        since=0.0,
        measured=True,
        harms=True,
    )
