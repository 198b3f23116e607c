"""Why a migration may not go on, as exceptions."""

from __future__ import annotations

from guard.errors import GuardError


class Paused(GuardError):
    """It has to wait and must not wait here: a transaction is open, or the time for waiting is over."""


class Aborted(GuardError):
    """The run was told to end; it stays so until an operator forgets it (``migration-guard forget NAME``)."""


class GuardLost(GuardError):
    """No guard has spoken for longer than this run was ready to wait."""


class FenceRefused(GuardError):
    """No fence can be had: it would be longer than the guard allows, or the guard that leads knows none."""


class AlreadyRunning(GuardError):
    """Another live session runs the migration of this name."""
