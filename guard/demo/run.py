"""The demonstration, from nothing to its closing table and back to nothing.

`python -m guard demo` calls run(). What is played is in scenario.py, what is right in verdict.py.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console

from guard.demo.backfill import NAME
from guard.demo.evidence import gather
from guard.demo.scenario import FAULTS, Scenario
from guard.demo.verdict import Figure, judge
from guard.demo.view import Stage, closing_table
from guard.demo.world import World

__all__ = ["FAULTS", "run"]


def run(*, without: Collection[str] = (), plain: bool = False, report: Path | None = None) -> int:
    """Play it all; 0 where every figure is right, 1 where one is wrong, 130 after Ctrl-C.

    *without* leaves out faults (FAULTS), so that one can see the figures fail. *plain* prints lines where the terminal
    could show a live view. The report of the backfill is written to *report*. Raises NoServerBinaries, ServerFailed.
    """
    if unknown := set(without) - set(FAULTS):
        raise ValueError(f"unknown faults {sorted(unknown)}: choose among {', '.join(FAULTS)}")
    console = Console()
    live = console.is_terminal and not plain and not os.environ.get("CI") and not os.environ.get("NO_COLOR")
    began = time.monotonic()
    try:
        with _sigterm_as_interrupt():
            figures = _play(console, without, live=live, report=report)
    except KeyboardInterrupt:
        console.print("Interrupted; everything that was started has been ended.")
        return 130
    # A table that is cut at 80 columns says nothing in a log.
    (console if console.is_terminal else Console(width=120)).print(closing_table(figures))
    wrong = sum(not figure.ok for figure in figures)
    said = f"{wrong} of {len(figures)} figures are wrong." if wrong else f"All {len(figures)} figures are right."
    left = "nothing is left behind" if report is None else "nothing else is left behind"
    console.print(f"{said} It took {time.monotonic() - began:.0f} s; {left}.")
    if report is None:
        console.print("Its record with charts, as one page: demo --report demo.html", highlight=False)
    return 1 if wrong else 0


def _play(console: Console, without: Collection[str], *, live: bool, report: Path | None) -> list[Figure]:
    with World() as world, Stage(console, live=live) as stage:
        stage.say("Starting a primary and a standby.")
        stage.say(f"{world.start_servers()}.")
        world.make_database()
        stage.say("A shop with 200,000 orders; guard, migration and application each with a role of its own.")
        configuration = world.write_files()
        world.start_shop()
        guard = world.start_guard(configuration)
        stage.say(f"The guard leads the database: python -m guard serve -c {configuration}")
        stage.watch(world)
        scenario = Scenario(world, stage.say, without=without)
        scenario.play()
        figures = judge(gather(world, scenario.staged))
        if not all(figure.ok for figure in figures):
            # Its log goes with the directory.
            console.print(f"The guard's last lines:\n{guard.tail(15)}", markup=False, highlight=False, soft_wrap=True)
        if report is not None:
            _write_report(console, configuration, report)
        return figures


def _write_report(console: Console, configuration: Path, report: Path) -> None:
    """As a person would, while servers and files are still there; a report of an earlier demonstration is replaced."""
    words = ["report", NAME, "-c", str(configuration), "--html", str(report), "--force"]
    command = [sys.executable, "-m", "guard", *words]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    console.print((done.stdout + done.stderr).strip(), markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """What a supervisor or `timeout` sends ends it as Ctrl-C does, with everything cleaned up."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(run(without=sys.argv[1:]))
