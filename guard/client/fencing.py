"""Declares sections in which the guard must not cancel a run, on the migration's own connection while that is idle.

It does not wait for the guard: that is Migration's. Whether a fence still holds, the server's clock says.
"""

from __future__ import annotations

import logging

import psycopg
from psycopg import pq

from guard.client.asking import Line
from guard.client.outcomes import FenceRefused
from guard.errors import NotInstalled

_UNKNOWN = "42883"  # no such function
_WAITS = ("55P03", "MG001")
_REFUSED = ("22007", "22008", "22015", "22023", "55000")

log = logging.getLogger("guard.client")


def declare(line: Line, run_id: int, what: str, at_most: float | str) -> float | None:
    """Begin a fence; for how many seconds it holds at most, or None where the run has to wait or to end by now.

    Raises FenceRefused, NotInstalled (a schema that knows no fences), psycopg.Error.
    """
    length = at_most if isinstance(at_most, str) else f"{at_most} s"
    try:
        return float(line.run("client_fence", run_id, what, length)[0])
    except psycopg.Error as error:
        if error.sqlstate in _WAITS:
            return None
        if error.sqlstate == _UNKNOWN:
            raise NotInstalled(
                "Schema migration_guard is of an earlier version, which knows no fences: run migration-guard install.",
                error.sqlstate,
            ) from error
        if error.sqlstate in _REFUSED:
            hint = f" {error.diag.message_hint}" if error.diag.message_hint else ""
            raise FenceRefused(f"{error.diag.message_primary}{hint}", error.sqlstate) from error
        raise


def lift(line: Line, run_id: int, what: str) -> None:
    """The section is over. Never raises: it ends with its time all the same, and others tell what broke the line."""
    usable = line.status in (pq.TransactionStatus.IDLE, pq.TransactionStatus.INTRANS)
    query, run = ("client_unfence", line.run) if line.idle else ("client_unfence_here", line.run_apart)
    try:
        # In a transaction that the caller has yet to commit it ends with that.
        held = usable and run(query, run_id)[0]
    except psycopg.Error as error:
        log.warning("fence %s stays until its time is over: %s", what, error)
        return
    if not usable:
        log.warning("fence %s stays until its time is over: a transaction is open", what)
    elif not held:
        log.warning("fence %s ran out before its section was over, and did not protect the end of it", what)
