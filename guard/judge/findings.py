"""All verdicts that concern one migration, as one. The order of rules and of arrivals makes no difference."""

from __future__ import annotations

from collections.abc import Iterable

from guard.model import Ask, Finding, Level, Rule, Verdict


def concerns(rule: Rule, migration: str) -> bool:
    """Whether a rule speaks of this migration (`*`: of the unregistered ones)."""
    return not rule.migrations or migration in rule.migrations


def find(verdicts: Iterable[Verdict]) -> Finding:
    """Fold verdicts: the gravest wish holds, well and settled only where every one is."""
    ordered = tuple(sorted(verdicts, key=lambda verdict: verdict.rule))
    ask = max((verdict.ask for verdict in ordered), default=Ask.PROCEED)
    return Finding(
        ask=ask,
        because=_because(ordered, ask),
        verdicts=ordered,
        well=all(verdict.well for verdict in ordered),
        settled=all(verdict.settled for verdict in ordered),
        due=min((verdict.due for verdict in ordered if verdict.due is not None), default=None),
    )


def _because(verdicts: tuple[Verdict, ...], ask: Ask) -> str:
    if not verdicts:
        return "no rule concerns it"
    if ask is Ask.PROCEED:
        return "all is well: " + "; ".join(verdict.because for verdict in verdicts)
    return "; ".join(verdict.because for verdict in verdicts if verdict.ask is ask)


def what_would_resume(finding: Finding) -> str:
    """What is still missing before a paused migration goes on, rule by rule; what only takes its time comes last."""
    missing = (verdict for verdict in finding.verdicts if not verdict.well and verdict.resume)
    return "; ".join(verdict.resume for verdict in sorted(missing, key=lambda each: each.level is Level.FINE))
