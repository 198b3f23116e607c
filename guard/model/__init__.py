"""The nouns of the house: frozen values that every room speaks in. No behaviour beyond reading one's own fields.

Three clocks, never mixed. `taken_at`, `since`, `due`, `now` are seconds of the daemon's monotonic clock: they measure
durations and mean nothing outside the process. Names that end in `_wall` are Unix time: for people and for what must
survive a restart. Leases live by the server's clock and never leave it.

seen.py      what was seen: readings and silences, sessions, runs, operators' orders
wanted.py    what is wanted: rules, conditions, limits
meant.py     what it means: verdicts and findings
drift.py     how a signal was before: baselines
checks.py    what is asked about the data, before and after a run
follows.py   what follows: phases, orders, states, notices, events
account.py   what befell a run, in figures
sensors.py   the catalogue of metrics (metric.py: what one is); not imported here, since a migration has no use for it
"""

from guard.model.account import Account
from guard.model.checks import Answer, Check, Found
from guard.model.drift import OWN, Baseline, Kept
from guard.model.follows import Event, Notice, Order, OrderKind, Phase, Severity, State
from guard.model.meant import Ask, Finding, Level, Verdict
from guard.model.seen import EVERYONE, Dimension, Fence, OperatorOrder, Reading, Roster, Run, Sample, Session, Silence
from guard.model.wanted import Condition, Limit, NoData, Rule, Term

__all__ = [
    "EVERYONE",
    "OWN",
    "Account",
    "Answer",
    "Ask",
    "Baseline",
    "Check",
    "Condition",
    "Dimension",
    "Event",
    "Fence",
    "Finding",
    "Found",
    "Kept",
    "Level",
    "Limit",
    "NoData",
    "Notice",
    "OperatorOrder",
    "Order",
    "OrderKind",
    "Phase",
    "Reading",
    "Roster",
    "Rule",
    "Run",
    "Sample",
    "Session",
    "Severity",
    "Silence",
    "State",
    "Term",
    "Verdict",
]
