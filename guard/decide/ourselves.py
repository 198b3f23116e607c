"""What the guard tells of itself: it stood still, it leads elsewhere, its files are wrong or full. Pure."""

from __future__ import annotations

from guard.decide.draft import OURSELVES, Draft
from guard.model import Severity


def moved(place: str) -> Draft:
    """The guard leads on another server than before."""
    steps = "Everything is read anew there. A migration has to connect to it by itself, and begins after a fair start."
    because = f"{place} is the primary now"
    return Draft("moved", Severity.WARNING, "leads on another server", because, steps, about=OURSELVES)


def stood_still(seconds: float) -> Draft:
    """The guard itself did nothing for a while."""
    because = f"its own process did nothing for {seconds:.1f} s: it was stopped, or the machine had no time for it"
    step = "Migrations hold by themselves when the lease ends. It looks at everything anew before it decides."
    return Draft("stood_still", Severity.WARNING, "stood still", because, step, about=OURSELVES)


def baseline_anew(rule: str, now: str, before: str) -> Draft:
    """A run has outlived a baseline, and another was taken while it went on."""
    headline = f"measures {rule} anew: {now}"
    steps = "It was taken while a migration was at work and every rule was fine. Is that still what is usual?"
    return Draft("baseline", Severity.INFO, headline, before, steps, about=OURSELVES)


def reload_refused(problems: str) -> Draft:
    """A new configuration is wrong, or takes a restart."""
    step = "The configuration stays as it was."
    return Draft("reload_refused", Severity.WARNING, "refused a reload", problems, step, about=OURSELVES)


def journal_trouble(trouble: str | None) -> Draft:
    """The journal cannot be written, or can be again."""
    if trouble is None:
        return Draft("journal", Severity.INFO, "can write its journal again", "nothing of it was lost", about=OURSELVES)
    step = "It goes on judging and giving orders, and tries again. Mend its state directory before it is restarted."
    return Draft("journal", Severity.WARNING, "has trouble with its disk", trouble, step, about=OURSELVES)
