"""The exit codes, by name. They say who has to act next, so that a script may ask for the number alone."""

from __future__ import annotations

import enum


class Exit(enum.IntEnum):
    """What a command of this program ends with."""

    DONE = 0
    USAGE = 2
    """A wrong option, or a configuration file that is wrong on any machine."""
    WORLD = 3
    """This machine or database is not as it must be."""
    ABORTED = 4
    """The migration was told to end."""
    UNVERIFIED = 5
    """It ended, but it is not shown to have done what it was to do."""
    LATER = 75
    """Not now; try again (EX_TEMPFAIL of sysexits)."""
