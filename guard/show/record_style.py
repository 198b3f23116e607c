"""The style of the record of a run: light, dark, on paper, and as wide as a phone."""

from __future__ import annotations

from typing import Final

from guard.show import figures

_PAGE: Final = """
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1.2rem 1rem 3rem; }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2rem 0 .4rem; }
p { margin: .4rem 0; overflow-wrap: anywhere; }
.soft { color: var(--soft); }
.lead { font-size: 1.1rem; }
.outcome { display: inline-block; padding: .05rem .6rem; border-radius: 1rem; border: 2px solid var(--soft);
  font-weight: 600; }
.outcome.good { border-color: var(--good); color: var(--good); }
.outcome.bad { border-color: var(--bad); color: var(--bad); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--rule); }
th { font-weight: 600; color: var(--soft); }
td.why { overflow-wrap: anywhere; min-width: 14rem; }
td.n { white-space: nowrap; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: .6rem 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
.key { display: flex; flex-wrap: wrap; gap: .2rem 1rem; padding: 0; list-style: none; color: var(--soft);
  font-size: .85rem; }
.key li::before { content: ""; display: inline-block; width: .8em; height: .8em; margin-right: .4em;
  border-radius: 2px; }
.key .waiting::before { background: var(--waiting); }
.key .running::before { background: var(--running); }
.key .paused::before { background: var(--paused); }
.key .stopped::before { background: var(--stopped); }
.key .soaking::before { background: var(--soaking); }
.key .unknown::before { background: var(--bad); }
.key .ordered::before { background: var(--ordered); }
details { margin: .8rem 0; }
summary { cursor: pointer; color: var(--line); }
@media (max-width: 640px) {
  dl { grid-template-columns: 1fr; }
  dd { margin-bottom: .4rem; }
  /* On a telephone the reasons, which matter most, would stand beside the screen: each gets a line of its own. */
  table:has(td.why) thead { position: absolute; left: -100vw; }
  tr:has(td.why) { display: flex; flex-wrap: wrap; gap: 0 .8rem; padding: .3rem 0; }
  tr:has(td.why) { border-bottom: 1px solid var(--rule); }
  tr:has(td.why) > td { border: 0; padding: 0; }
  td.why { flex-basis: 100%; min-width: 0; }
  /* It is wider than the screen, so that more than a screen's width is needed to have it out of sight. */
  #readings thead { position: absolute; left: -9999px; }
  #readings tr { display: block; padding: .3rem 0; border-bottom: 1px solid var(--rule); }
  #readings td { display: block; border: 0; padding: 0; white-space: normal; }
  #readings td:empty { display: none; }
  #readings td[data-head]::before { content: attr(data-head) ": "; color: var(--soft); }
  #readings td[data-head] div { display: inline; }
  #readings td[data-head] div + div::before { content: "; "; }
}
@media print {
  body { font-size: 12px; }
  main { max-width: none; padding: 0; }
  .scroll { overflow: visible; }
  td.n { white-space: normal; }
  td.why { min-width: 0; }
  figure, tr { break-inside: avoid; }
  details::details-content { content-visibility: visible; }
}
"""
STYLE: Final = figures.STYLE + _PAGE
