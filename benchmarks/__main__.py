"""`./dev bench`: all benchmarks on one cluster, one daemon for each poll interval, and one table at the end.

Exits 0 when every bar was met, else 1.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.console import Console

from benchmarks import backfill, cost, gate, healthy, light, pace, pileup, reaction, work
from benchmarks.rig import PATIENT, Daemon, Rig
from benchmarks.table import Row, notes, table
from guard.demo.embedded import find_binaries

POLLS = (1.0, 0.1)


@dataclass(frozen=True, slots=True)
class Runs:
    """How often each thing is done."""

    reaction: dict[float, int]
    pileup: dict[float, int]
    starts: int
    seconds: float
    """How long the work per tick is watched."""
    ticks: int
    """How many are looked at in each case of the cost of a tick."""
    blocks: int
    pairs: int
    minutes: float
    batches: int = 300
    """Of the backfill that is paced; a short one without foreground writers where there are few."""
    keys: int = 5_000_000
    """Rows of the backfill that is killed again and again."""

    @classmethod
    def of(cls, asked: argparse.Namespace) -> Runs:
        """The bars' own numbers, or --quick's, or one number for all."""
        quick = bool(asked.quick)
        minutes = asked.minutes if asked.minutes is not None else 0.25 if quick else 2.0
        if asked.runs is not None:
            n = asked.runs
            return cls(
                dict.fromkeys(POLLS, n), dict.fromkeys(POLLS, n), n, max(5.0, n), n, n, n, minutes, 20 * n, 50_000 * n
            )
        if quick:
            return cls({1.0: 6, 0.1: 12}, {1.0: 3, 0.1: 3}, 2, 10.0, 3, 20, 8, minutes, 120, 200_000)
        return cls({1.0: 60, 0.1: 200}, {1.0: 20, 0.1: 30}, 5, 60.0, 12, 100, 60, minutes)


Say = Callable[[str], None]


def start(rig: Rig, runs: Runs, _: Say) -> list[Row]:
    return light.start(rig, runs.starts)


def steady(rig: Rig, daemon: Daemon, runs: Runs, *, names: set[str], say: Say) -> list[Row]:
    """What is measured beside a guard with ordinary rules at a poll of 1 s."""
    rows = []
    if "tick" in names:
        rows += light.measure(rig, daemon, runs.seconds, say)
    if "checkpoint" in names:
        rows += work.checkpoint(rig, runs.blocks)
    if "throughput" in names:
        rows += work.throughput(rig, runs.pairs, say)
    if "healthy" in names:
        rows += healthy.measure(rig, runs.minutes, say)
    return rows


STEADY = ("tick", "checkpoint", "throughput", "healthy")
NAMES = ("reaction", "pileup", *STEADY, "start", "gate", "cost", "pace", "backfill", "kills")
OWN = {"cost", "pace", "backfill", "kills"}
"""With servers of their own."""


def run(rig: Rig, runs: Runs, names: set[str], say: Say) -> list[Row]:
    """All rows, in the order of the house's promises."""
    rows: list[Row] = []
    queues: list[Row] = []
    if names & {"reaction", "pileup"}:
        for poll in POLLS:
            say(f"a guard that polls every {poll:g} s")
            with rig.daemon(poll):
                if "reaction" in names:
                    rows += reaction.measure(rig, poll, runs.reaction[poll], say)
                if "pileup" in names:
                    queues += pileup.measure(rig, poll, runs.pileup[poll], say)
    rows += queues
    if names & set(STEADY):
        say("a guard with ordinary rules")
        with rig.daemon(1.0, PATIENT) as daemon:
            rows += steady(rig, daemon, runs, names=names, say=say)
    if "start" in names:
        rows += start(rig, runs, say)
    if "gate" in names:
        rows += gate.measure(rig, runs.blocks)
    return rows


def everything(runs: Runs, names: set[str], say: Say) -> tuple[list[Row], list[cost.Cost], list[pace.Run]]:
    """What was picked; the cost of a tick on a server of its own, which has room for its sessions."""
    rows: list[Row] = []
    costs: list[cost.Cost] = []
    paces: list[pace.Run] = []
    if names - OWN:
        say("making a primary and a standby")
        with Rig() as rig:
            say(str(rig.cluster.binaries))
            rows += run(rig, runs, names, say)
    if "pace" in names:
        more, paces = pace.measure(runs.batches, say, writers=runs.batches >= 300)
        rows += more
    if "backfill" in names:
        rows += backfill.measure(runs.pairs, say)
    if "kills" in names:
        rows += backfill.kills(runs.keys, say)
    if "cost" in names:
        more, costs = cost.measure(runs.ticks, say)
        rows += more
    return rows, costs, paces


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few runs, two to three minutes in all")
    parser.add_argument("--only", metavar="NAME", action="append", choices=NAMES, help=f"of {', '.join(NAMES)}")
    parser.add_argument("--runs", type=int, metavar="N", help="so many runs of everything")
    parser.add_argument("--minutes", type=float, metavar="M", help="how long the healthy backfill lasts")
    parser.add_argument("--rows", type=int, metavar="N", help="of the backfill that is killed again and again")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there too")
    asked = parser.parse_args()
    console, began = Console(width=None if sys.stdout.isatty() else 130), time.monotonic()

    def say(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:6.1f} s  {text}[/]", highlight=False)

    runs = Runs.of(asked)
    runs = runs if asked.rows is None else replace(runs, keys=asked.rows)
    rows, costs, paces = everything(runs, set(asked.only or NAMES), say)
    title = f"migration-guard on {find_binaries()}, {time.monotonic() - began:.0f} s in all"
    if asked.json is not None:
        samples = [{"what": row.what, "unit": row.unit, "samples": row.samples, "met": row.met} for row in rows]
        further = {"costs": [asdict(each) for each in costs], "paces": [asdict(each) for each in paces]}
        asked.json.write_text(json.dumps({"rows": samples, **further}))
    for each in cost.tables(costs):
        console.print(each)
    if paces:
        console.print(pace.table(paces))
    console.print(table(rows, title))
    for line in notes(rows):
        console.print(line, highlight=False)
    return 0 if all(row.met is not False for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
