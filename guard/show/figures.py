"""Drawings of a run as figures of a page: each for a wide and for a narrow screen, and what is said below it."""

from __future__ import annotations

import htpy as h
from markupsafe import Markup

from guard.judge.quantities import say
from guard.show import svg
from guard.show.timeline import Signal, Timeline, rates

STYLE = (
    svg.STYLE
    + """
figure { margin: 1.1rem 0; } figure svg { display: block; width: 100%; height: auto; }
figcaption { margin-bottom: .2rem; } figcaption strong { font-weight: 600; } figcaption span { color: var(--soft); }
.narrow { display: none; }
@media screen and (max-width: 640px) { .wide { display: none; } .narrow { display: block; } }
"""
)
"""With the colours of the drawings."""
_WIDE, _NARROW = 900, 380


def course(timeline: Timeline, ident: str = "course") -> h.Node:
    """The phases of the run."""
    return _figure(
        None, svg.course(timeline, ident=ident, width=_WIDE), svg.course(timeline, ident=f"{ident}-n", width=_NARROW)
    )


def signal(of: Signal, timeline: Timeline, ident: str) -> h.Node:
    """One signal; its caption says what it is and how bad it was."""
    worst = of.worst.value if of.worst is not None else None
    said = [of.metric] if of.metric != of.name else []
    said += [f"worst {say(worst, of.dimension)}"] if worst is not None else []
    said += [f"past its limit: {', '.join(of.past)}"] if of.past else []
    caption = h.figcaption[h.strong[of.name], " ", h.span["; ".join(said)]]
    wide, narrow = (
        svg.chart(of, timeline, ident=each, width=width) for each, width in ((ident, _WIDE), (f"{ident}-n", _NARROW))
    )
    return _figure(caption, wide, narrow)


def speed(timeline: Timeline, ident: str = "speed") -> h.Node:
    """How fast the run was; nothing where that was not recorded."""
    wide = svg.speed(timeline, ident=ident, width=_WIDE)
    if not wide:
        return None
    last, (of, _) = timeline.progress[-1], rates(timeline.progress)
    done = f"{last.rows:,} rows in {last.batches:,} batches were reported"
    caption = h.figcaption[h.strong[f"{of} a second"], " ", h.span[done]]
    return _figure(caption, wide, svg.speed(timeline, ident=f"{ident}-n", width=_NARROW))


def _figure(caption: h.Node, wide: str, narrow: str) -> h.Node:
    # Both are our own drawings, in which every text is escaped.
    return h.figure[caption, h.div(".wide")[Markup(wide)], h.div(".narrow")[Markup(narrow)]]  # noqa: S704
