"""The picture of `watch`: how each run stands is always there to be read, whatever the terminal is like."""

from __future__ import annotations

import dataclasses
import io
import re
from typing import Literal

import pytest
from rich.console import Console
from rich.text import Text

from guard.cli.drawing import picture
from guard.cli.seen import View
from guard.cli.watched import Watched
from tests.watching import BREACH, NOON, a_guard, a_report, a_run, a_verdict, an_event, an_order, paused, watched

CLOCK = 100.0


def drawn(*databases: Watched, width: int = 80, height: int = 40, clock: float = CLOCK) -> list[str]:
    """The lines as a terminal shows them."""
    return [line.plain.rstrip() for line in picture(databases, clock, width, height)]


def text(*databases: Watched, width: int = 200, height: int = 40, clock: float = CLOCK) -> str:
    """The same on a wide one, as one text, its columns two spaces apart."""
    lines = drawn(*databases, width=width, height=height, clock=clock)
    return "\n".join(re.sub("(?<=[^ ])  +", "  ", line) for line in lines)


def test_a_pause_is_told_with_since_reason_what_would_end_it_and_the_command() -> None:
    said = text(watched(paused(), an_event(1)))
    assert "main  LIVE  web1, last beat 400 ms ago, term 3, epoch 17, 15:06:40 UTC" in said
    state = "PAUSED  backfill-email (run 27), for 2 min 26 s (since 15:04:14), acknowledged after 200 ms and effective"
    assert state in said
    assert f"why  {BREACH}" in said
    assert "rows  1,234,000 in 1,234 batches, last seen 1 s ago" in said
    assert "goes on  when replication.lag < 2s for 15s" in said
    assert "migration-guard override backfill-email --reason WHY --for 30m" in said
    assert "pause  replica lag  7.4 s  █  pause > 5s for 3s; goes on < 2s for 15s" in said
    assert "fine  lock queue  0  ▁  cancel >= 3" in said
    assert "unknown  checkout errors  checkout errors (http) is unknown for 2 s: refused" in said
    assert f"15:04:15  backfill-email paused: {BREACH}" in said


@pytest.mark.parametrize("width", [80, 60])
def test_a_narrow_terminal_cuts_reasons_with_an_ellipsis_and_never_a_state(width: int) -> None:
    reason = "replication.lag 7.4 s > 5s for 3s; " + "and so on " * 40
    view = dataclasses.replace(paused(), runs=(a_run("pause", reason, migration="backfill-" + "e" * 90),))
    lines = drawn(watched(view, an_event(1)), width=width)
    assert max(len(line) for line in lines) <= width
    (state,) = [line for line in lines if line.startswith("  PAUSED ")]
    (why,) = [line for line in lines if line.startswith("    why ")]
    assert state.endswith("…")
    assert why.endswith("…")
    assert len(why) == width
    assert lines[0].startswith("main  LIVE  ")
    assert "--reason WHY --for 30m" in " ".join(line.strip() for line in lines)


@pytest.mark.parametrize("width", [80, 60])
def test_a_reason_that_needs_a_second_line_gets_it(width: int) -> None:
    reason = "replication.lag 7.4 s > 5s for 3s, now for 3 s (replica1 is the slowest, 120 ms old)"
    lines = drawn(watched(dataclasses.replace(paused(), runs=(a_run("pause", reason),))), width=width)
    at = next(number for number, line in enumerate(lines) if line.startswith("    why "))
    assert f"{lines[at][15:]} {lines[at + 1][15:]}" == reason


@pytest.mark.parametrize(
    ("width", "command"),
    [
        (100, ["    to go on all the same: migration-guard override backfill-email --reason WHY --for 30m"]),
        (80, ["    migration-guard override backfill-email --reason WHY --for 30m"]),
        (
            50,
            [
                "    to go on all the same: migration-guard",
                "      override backfill-email --reason WHY --for",
                "      30m",
            ],
        ),
    ],
)
def test_a_command_is_never_cut(width: int, command: list[str]) -> None:
    lines = drawn(watched(paused()), width=width)
    first = next(number for number, line in enumerate(lines) if "migration-guard" in line)
    assert lines[first : first + len(command)] == command


def test_a_low_terminal_gives_up_fine_rules_then_details_then_events_and_never_a_state() -> None:
    view = paused()
    many = tuple(dataclasses.replace(view.runs[0], run_id=27 + each) for each in range(3))
    database = watched(dataclasses.replace(view, runs=many), *(an_event(each) for each in range(20)))
    high = text(database, height=60)
    assert "lock queue" in high
    assert high.count(" paused: ") == 20
    lower = text(database, height=21)
    assert "lock queue" not in lower
    assert "1 more that is fine" in lower
    least = text(database, height=12)
    assert "rows " not in least
    for said in (high, lower, least):
        assert said.count("PAUSED ") == 3
        assert said.count("\n    why ") == 3
    assert len(drawn(database, height=5)) == 5
    assert drawn(database, height=5)[-1].endswith("more lines: watch one --database or one NAME")


def test_a_dead_guard_is_said_to_be_dead_and_since_when_and_that_its_runs_hold() -> None:
    view = View(a_guard(beat_age=182.0, runs=[]), (a_run("lost", "the guard is silent", source="guard"),), ())
    said = text(watched(view))
    assert "main  DEAD  web1, since 15:03:38 UTC: silent for 3 min 2 s, its lease ended 2 min 52 s ago" in said
    assert "HOLDS  backfill-email (run 27), without a guard" in said
    assert "why  the guard is silent" in said
    assert "override backfill-email" in said


def test_a_run_that_chose_so_goes_on_without_a_guard() -> None:
    view = View(a_guard(beat_age=182.0), (a_run("lost", "silent", on_guard_lost="proceed"),), ())
    assert "GOES ON  backfill-email" in text(watched(view))


def test_a_database_that_cannot_be_reached_shows_what_was_known_and_from_when() -> None:
    database = watched(paused())
    database.failed("connection refused.", 105.0)
    database.failed("connection refused. Trying again in 3 s.", 110.0)
    said = text(database, clock=117.0)
    assert "main  NOT REACHED  for 12 s; it is tried again\n    why  connection refused. Trying again in 3 s." in said
    assert "as it was at 15:06:40 UTC:" in said
    assert "PAUSED  backfill-email" in said
    database.answered(paused(), (), 118.0)
    assert "NOT REACHED" not in text(database, clock=118.0)
    nobody = Watched("other")
    nobody.failed("no such host", 100.0)
    assert text(nobody) == "other  NOT REACHED  for 0 s; it is tried again\n    why  no such host"
    assert text(Watched("third")) == "third  asking"


@pytest.mark.parametrize(
    ("run", "phase", "state"),
    [
        (a_run(), "running", "RUNNING  backfill-email (run 27), for"),
        (a_run(), "strained", "STRAINED  backfill-email"),
        (a_run("pause", "not yet", admitted=False), "waiting", "WAITING  backfill-email"),
        (a_run("pause", "pause by ann: lunch", source="operator"), "running", "PAUSED  backfill-email (run 27), by"),
        (a_run("abort", "wrong data"), "aborted", "ABORTED  backfill-email"),
        (a_run("abort", "errors"), "rolling back", "ROLLING BACK backfill-email"),
        (a_run(source="operator"), "paused", "RUNNING  backfill-email (run 27), by an operator's override"),
        (a_run(source="observing"), "paused", "RUNNING  backfill-email (run 27), the guard only observes"),
        (a_run(told=None, outcome="completed"), "done", "ENDED  backfill-email"),
    ],
)  # fmt: skip
def test_each_state_is_a_word(run: object, phase: str, state: str) -> None:
    view = View(a_guard(runs=[a_report(phase)]), (run,), ())  # type: ignore[arg-type]
    assert state in text(watched(view))


def test_orders_troubles_the_soaking_and_the_unregistered_are_shown() -> None:
    others = [a_report("soaking", run_id=26), a_report("paused", migration="*", run_id=None)]
    view = View(a_guard(runs=others, troubles={"slack": "revoked"}), (), (an_order(),))
    said = text(watched(view))
    assert "SOAKING  backfill-email (run 26), for 2 min 26 s" in said
    assert "PAUSED  sessions that registered nothing" in said
    assert "ORDERED  order 5: pause for backfill-email by ann: lunch (given 60 s ago)" in said
    assert "TROUBLE  slack does not get through (reported 2 s ago): revoked" in said


def test_what_only_a_dead_guard_knows_of_is_said_to_have_been() -> None:
    dead = View(a_guard(beat_age=20.0, runs=[a_report("running")]), (), ())
    assert "WAS RUNNING  backfill-email (run 27)" in text(watched(dead))


def test_where_nothing_runs_that_is_said_with_the_rules() -> None:
    view = View(a_guard(mode="dormant", rules=[{"verdicts": [a_verdict("replica lag")]}]), (), ())
    database = watched(view)
    said = text(database)
    assert "main  DORMANT  " in said
    assert "No migration is running." in said
    assert "fine  replica lag" in said
    database.only = "backfill-email"
    assert "No run of backfill-email goes on." in text(database)


def test_of_several_runs_the_worst_verdict_of_a_rule_is_shown() -> None:
    bad, good = a_verdict("lag", "pause", because="bad"), a_verdict("lag", because="good")
    reports = [a_report("running", good, run_id=26), a_report("paused", bad), a_report("running", good, run_id=28)]
    view = View(a_guard(runs=reports), (a_run("pause", "bad"),), ())
    assert [line for line in drawn(watched(view)) if line.endswith(" bad")][-1].startswith("  pause ")


def test_signals_and_speed_are_drawn_from_what_this_watch_has_seen() -> None:
    database, view = Watched("main"), paused()
    for second, lag in enumerate([0.0, 5.0, 5.0, 10.0]):
        now = NOON + second
        # The third report is the second one still: the guard writes it every ten seconds where nothing changes.
        taken = NOON + (1 if second == 2 else second)
        readings = {"lag": {"value": lag, "unit": "seconds", "at": taken}}
        view = View(
            a_guard(now=now, readings=readings, rules=[{"verdicts": [a_verdict("lag")]}]),
            (a_run(rows_done=1000 * second, last_seen_wall=now),),
            (),
        )
        database.answered(view, (), 100.0 + second)
    assert list(database.curves["lag"]) == [0.0, 5.0, 10.0]
    assert list(database.speeds[27]) == [1000.0] * 3
    said = text(database)
    assert "10 s  ▁▅█" in said
    assert "1000/s ███" in said
    still = dataclasses.replace(view.guard, now_wall=NOON + 8)
    database.answered(dataclasses.replace(view, guard=still), (), 108.0)
    assert list(database.speeds[27])[-1] == 0.0
    database.answered(View(still, (), ()), (), 109.0)
    assert database.speeds == {}


def test_only_the_named_migrations_events_come_and_later_ones_are_asked_for() -> None:
    database = Watched("main", only="backfill-email")
    fresh = database.answered(paused(), [an_event(1), an_event(2, migration="other")], 100.0)
    assert [event.event_id for event in fresh] == [1]
    assert database.last_event == 2


def test_others_words_cannot_move_the_cursor_nor_add_lines_nor_style_the_picture() -> None:
    evil = "m\x1b[2J\x1b[31m\n\rname[bold red]\u202e"
    view = View(
        a_guard(runs=[a_report("paused", a_verdict(evil, "pause"))], troubles={evil: evil}),
        (a_run("pause", evil, migration=evil, note=evil),),
        (an_order(migration=evil),),
    )
    lines = picture([watched(view, an_event(1, headline=evil, because=evil), name=evil)], CLOCK, 80, 40)
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=False, color_system=None)
    for line in lines:
        assert isinstance(line, Text)
        console.print(line)
    said = out.getvalue()
    assert not set("\x1b\r\u202e") & set(said)
    assert "name[bold red]" in said
    assert len(said.splitlines()) == len(lines)


def test_without_colour_the_picture_says_the_same() -> None:
    shown = {}
    colours: Literal["truecolor"] | None
    for colours in (None, "truecolor"):
        console = Console(record=True, width=80, file=io.StringIO(), color_system=colours)
        for line in picture([watched(paused(), an_event(1))], CLOCK, 80, 40):
            console.print(line)
        shown[colours] = console.export_text(styles=False)
    assert shown[None] == shown["truecolor"]
    assert "PAUSED" in shown[None]


def test_of_more_databases_than_fit_those_that_want_somebody_come_first() -> None:
    calm = [watched(View(a_guard(mode="dormant"), (), ()), name=f"calm{each}") for each in range(20)]
    running = watched(View(a_guard(), (a_run(),), ()), name="busy")
    lines = drawn(*calm, running, watched(paused(), name="held"), Watched("unheard"), height=20)
    order = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert order[:4] == ["held", "unheard", "busy", "calm0"]
    assert len(lines) == 20
    assert lines[-1].startswith("… ")


def test_several_databases_are_told_apart_also_in_what_happened() -> None:
    other = View(a_guard(), (), ())
    said = text(watched(paused(), an_event(2)), watched(other, an_event(1, migration="x", headline=None), name="shop"))
    assert said.index("main  LIVE") < said.index("shop  LIVE")
    assert said.index("15:04:15  shop  x: paused: ") < said.index("15:04:16  main  backfill-email paused")
