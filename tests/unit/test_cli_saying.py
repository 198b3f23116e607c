"""`watch` as plain lines: one for each change, and none for what stays."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from guard.cli.saying import Saying
from guard.cli.seen import View
from guard.cli.watch import drawable
from guard.cli.watched import Watched, WatchedEvent
from tests.watching import BREACH, NOON, a_guard, a_report, a_run, an_event, an_order

HEAD = "2025-06-15 15:06:40 UTC  main: "


class Watcher:
    """A watch that is told what a database answers."""

    def __init__(self) -> None:
        self.watched, self.saying, self.clock = Watched("main"), Saying(), 100.0

    def sees(self, view: View, *events: WatchedEvent) -> list[str]:
        """What it says of an answer, without the time of the answer and the name of the database."""
        self.clock += 1
        lines = self.saying.lines(self.watched, self.watched.answered(view, events, self.clock), 0.0)
        return [line.removeprefix(HEAD) for line in lines]

    def fails(self, why: str) -> list[str]:
        self.watched.failed(why, self.clock)
        return self.saying.lines(self.watched, (), NOON)


LIVE = a_guard(runs=[a_report("running")])
RUNNING = View(LIVE, (a_run("proceed", "all is well"),), ())
HELD = View(a_guard(runs=[a_report("paused")]), (a_run("pause", BREACH),), ())


def test_at_first_all_that_stands_is_said_and_then_only_what_changes() -> None:
    watcher = Watcher()
    said = watcher.sees(RUNNING, an_event(1, "may start", "running"))
    assert said == [
        "LIVE: guard web1 is live (last beat 400 ms ago, term 3, epoch 17)",
        "backfill-email (run 27): RUNNING: all is well",
    ]
    assert watcher.sees(RUNNING) == []
    event = f"2025-06-15 15:04:16 UTC  main: backfill-email paused: {BREACH}"
    assert watcher.sees(HELD, an_event(2)) == [event]
    assert watcher.sees(HELD) == []
    assert watcher.sees(RUNNING, an_event(3, "resumed", "running", because="all is well")) == [
        "2025-06-15 15:04:17 UTC  main: backfill-email resumed: all is well"
    ]


def test_what_no_event_tells_is_said_by_the_state_itself() -> None:
    watcher = Watcher()
    watcher.sees(RUNNING)
    dead = View(a_guard(beat_age=20.0), (a_run("lost", "the guard is silent"),), ())
    silent, holds = watcher.sees(dead)
    assert silent.startswith("DEAD: guard web1 is DEAD: silent for 20 s")
    assert holds == "backfill-email (run 27): HOLDS without a guard: the guard is silent"
    assert watcher.sees(View(LIVE, (), ()), an_event(4, "ended", "done")) == [
        "LIVE: guard web1 is live (last beat 400 ms ago, term 3, epoch 17)",
        f"2025-06-15 15:04:18 UTC  main: backfill-email ended: {BREACH}",
    ]


def test_a_run_that_goes_without_a_word_is_said_to_be_gone() -> None:
    watcher = Watcher()
    watcher.sees(RUNNING)
    assert watcher.sees(View(LIVE, (), ())) == ["backfill-email (run 27): no longer there"]
    assert watcher.sees(View(LIVE, (), ())) == []


def test_an_idle_database_is_said_to_be_idle() -> None:
    assert Watcher().sees(View(a_guard(mode="dormant"), (), ()))[-1] == "no migration is running"


def test_orders_and_troubles_are_said_when_they_begin_and_when_they_end() -> None:
    watcher = Watcher()
    watcher.sees(RUNNING)
    trouble = a_guard(runs=[a_report("running")], troubles={"slack": "revoked"})
    assert watcher.sees(View(trouble, RUNNING.runs, (an_order("mute"),))) == [
        "slack does not get through (reported 2 s ago): revoked",
        "order 5: mute for backfill-email by ann: lunch (given 60 s ago)",
    ]
    assert watcher.sees(View(trouble, RUNNING.runs, (an_order("mute"),))) == []
    assert watcher.sees(RUNNING) == ["no longer: slack does not get through", "order 5 stands no more"]


def test_a_database_that_fails_to_answer_is_said_once_and_so_is_its_return() -> None:
    watcher = Watcher()
    assert watcher.fails("connection refused.") == [f"{HEAD}NOT REACHED, and tried again: connection refused."]
    assert watcher.fails("connection refused. Trying again in 1 s.") == []
    assert len(watcher.sees(RUNNING)) == 2
    watcher.fails("no answer.")
    assert watcher.sees(RUNNING) == ["it answers again"]


def test_a_name_with_a_line_feed_does_not_pass_for_a_line() -> None:
    said = Watcher().sees(View(LIVE, (a_run("proceed", "x", migration="a\nb"),), ()))
    assert said[-1] == "a b (run 27): RUNNING: x"


@pytest.mark.parametrize(("term", "draws"), [("xterm-256color", True), ("dumb", False), ("", False)])
def test_a_picture_is_drawn_on_a_terminal_whose_cursor_moves_and_nowhere_else(
    term: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, draws: bool
) -> None:
    monkeypatch.setenv("TERM", term)
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as terminal, (tmp_path / "file").open("w") as file:
        for stream, wanted in ((terminal, draws), (file, False), (None, False)):
            monkeypatch.setattr(sys, "stdout", stream)
            drawn = drawable()
            monkeypatch.undo()
            monkeypatch.setenv("TERM", term)
            assert drawn is wanted
    os.close(ours)
