"""The colours of drawings, for light and dark and on paper, as one style sheet; and which of them stands for what."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2128; --soft: #5b6470; --rule: #d7dbe0; --paper: #ffffff; --line: #0b62c4;
  --bad: #c2261b; --warn: #8a5a00; --good: #1a7240; --paused: #f5b93a; --waiting: #b9c2cc; --stopped: #e5655b;
  --soaking: #7fb2ea; --running: #74c495; --ordered: #a98be0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ebef; --soft: #a3adb8; --rule: #39414b; --paper: #14181d;
  --line: #6cb2ff; --bad: #ff8178; --warn: #f0b849; --good: #6fd39a; --paused: #a87610; --waiting: #59636e;
  --stopped: #a8342b; --soaking: #2f689f; --running: #2b7a4b; --ordered: #6d4fae; } }
.mg text { font: 11px system-ui, sans-serif; fill: var(--soft); }
.mg .halo { paint-order: stroke; stroke: var(--paper); stroke-width: 3px; stroke-linejoin: round; }
.mg .strong { fill: var(--ink); font-weight: 600; }
.mg .axis { stroke: var(--rule); stroke-width: 1; }
.mg .signal { fill: none; stroke: var(--line); stroke-width: 1.6; stroke-linejoin: round; }
.mg .dot { fill: var(--line); }
.mg .signal.beyond { stroke: var(--bad); stroke-width: 2.4; }
.mg .dot.beyond { fill: var(--bad); }
.mg .area { fill: var(--line); opacity: .18; }
.mg .unknown { fill: var(--bad); }
.mg .limit { stroke: var(--bad); stroke-width: 1.2; stroke-dasharray: 6 3; }
.mg .limit.warn { stroke: var(--warn); }
.mg .limit.resume { stroke: var(--good); }
.mg .words { fill: var(--bad); }
.mg .words.warn { fill: var(--warn); }
.mg .words.resume { fill: var(--good); }
.mg .baseline { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 1 3; }
.mg .peak { fill: var(--paper); stroke: var(--bad); stroke-width: 2; }
.mg .band { opacity: .3; }
.mg .strip { opacity: .85; }
.mg .phase { opacity: .85; }
.mg .mark { fill: var(--ink); }
.mg .markline { stroke: var(--ink); stroke-width: 1; stroke-dasharray: 2 2; opacity: .6; }
.mg .paused { fill: var(--paused); }
.mg .waiting { fill: var(--waiting); }
.mg .stopped { fill: var(--stopped); }
.mg .soaking { fill: var(--soaking); }
.mg .running { fill: var(--running); }
.mg .ordered { fill: var(--ordered); }
"""
"""The custom properties may be set anew by the sheet of a page."""

CLASS_OF: Final = {
    "waiting": "waiting", "running": "running", "strained": "running", "paused": "paused", "soaking": "soaking",
    "rolling back": "stopped", "aborted": "stopped", "pause": "ordered", "abort": "ordered", "override": "ordered",
}  # fmt: skip
"""Of a band, by its kind."""
ORDERED: Final = "ordered"
"""What an operator has ordered."""
