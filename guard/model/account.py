"""What befell one run, in figures: how often and how long it was paused, and by what. Told when it is over."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Account:
    """Grows with a change of phase only, so that it is written down with each; times are Unix time."""

    began_wall: float | None = None
    """When the run was let begin; None: not yet, or by a guard that kept no account."""
    over_wall: float | None = None
    """When its work was over, however it went; a soak does not count as work."""
    pauses: int = 0
    paused: float = 0.0
    """Seconds of those pauses that are over."""
    longest: float = 0.0
    """Seconds of the longest of them."""
    by: tuple[tuple[str, int], ...] = ()
    """Rules that asked for a pause when one began, each with how often; sorted by name."""
    cut_off: int = 0
    """How often its sessions were cancelled or terminated."""
    observed: bool | None = None
    """Whether the guard only observed when it looked last; None: it has not looked, or kept no account."""
    mixed: bool = False
    """Of its pauses some held and some would only have been: the mode was changed meanwhile."""
    overridden: bool = False
    """An operator let it go on in a pause, so that it may have worked in it."""


NO_ACCOUNT = Account()
"""Of a run that has not begun."""
