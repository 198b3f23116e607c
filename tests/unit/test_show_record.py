"""The record of a run as a page and as Markdown: its figures, its words as text, and nothing that needs a network."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.cli.recorded import Readings, Span, drawn_of, signal_words
from guard.show import record_html, record_markdown
from guard.show.timeline import Mark, Stage, Timeline
from tests.unit.test_show_svg import AT, SIGNAL, TIMELINE

RUN = {
    "run_id": 1, "migration": "backfill", "pid": 42, "usename": "migrator", "application_name": "", "rows_done": 99_000,
    "batches_done": 99, "registered_wall": AT, "last_seen_wall": AT + 100, "outcome": "done", "ended_wall": AT + 100,
    "here": False, "rollback_claimed": False, "rollback_outcome": None,
    "observed": False,
}  # fmt: skip
SPAN = Span("backfill", 1, AT, AT + 100)


def stretch(phase: str, since: float, until: float | None, because: str = "") -> dict[str, Any]:
    seconds = (AT + 100 if until is None else until) - since
    return {
        "phase": phase,
        "since": since,
        "until": until,
        "because": because,
        "effective_after": 0.4,
        "seconds": seconds,
    }


def told(readings: Readings, name: str = "backfill", why: str = "lag 9 s > 5 s") -> dict[str, Any]:
    """What `report --json` would say."""
    pause = stretch("paused", AT + 41, AT + 60, why)
    return {
        "database": "main",
        "now": AT + 200,
        "run": {**RUN, "migration": name, "application_name": why},
        "pauses": [pause],
        "paused_seconds": 19.0,
        "orders": [
            {"kind": "pause", "owner": name, "reason": why, "since": AT + 80, "until": None, "seconds": 20.0},
        ],
        "cancels": [{"at": AT + 70, "because": why}],
        "baselines": [],
        "checks_before": [{"check": name, "holds": True, "said": why, "offending": [why]}],
        "checks_after": [{"check": name, "holds": None, "said": why}],
        "phases": [stretch("running", AT, AT + 41), pause, stretch("running", AT + 60, None)],
        "events": [{"at": AT, "kind": "registered", "phase": "waiting", "because": why}],
        "readings": readings.as_json(),
    }


class Page(HTMLParser):
    """What a browser would find: tags with their attributes, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words += data

    def data(self, name: str) -> list[str]:
        return [attrs[name] or "" for _, attrs in self.tags if name in attrs]


@pytest.fixture
def readings() -> Readings:
    return Readings(None, TIMELINE)


def page(readings: Readings, **more: str) -> str:
    said = told(readings, **more)
    return record_html.page(said, [("began", "now")], drawn_of(said, readings, SPAN))


def test_the_page_says_first_how_it_ended_and_its_figures_stand_beside_the_words(readings: Readings) -> None:
    found = Page(page(readings))
    assert found.open == []
    assert "It ended well after 100 s, and was paused once by the guard's rules, 19 s in all." in found.words
    assert (found.data("data-pauses"), found.data("data-paused-seconds")) == (["1"], ["19.0"])
    assert (found.data("data-signal"), found.data("data-readings"), found.data("data-worst")) == (
        ["lag sensor"],
        ["100"],
        ["9.0"],
    )
    assert (found.data("data-running-median"), found.data("data-running-count")) == (["1.0"], ["90"])
    assert [float(each) for each in found.data("data-seconds")] == [41.0, 19.0, 40.0]
    assert found.words.index("Timeline") < found.words.index("Decisions") < found.words.index("Facts")


def test_of_a_run_that_was_only_observed_no_pause_is_claimed() -> None:
    said = told(Readings())
    observed = {**said, "run": {**said["run"], "observed": True}}
    words = "would have been paused once by the guard's rules, 19 s in all (observe mode: nothing was ordered)."
    assert record_html.summary_of(observed).endswith(words)
    calm = {**observed, "pauses": []}
    assert "was never paused by the guard's rules (observe mode: nothing was ordered)." in record_html.summary_of(calm)


def test_the_page_needs_nothing_but_itself_and_each_of_its_ids_is_there_once(readings: Readings) -> None:
    text = page(readings)
    found = Page(text)
    assert {tag for tag, _ in found.tags} & {"script", "link", "img", "iframe", "object", "form", "a"} == set()
    assert not [
        name for _, attrs in found.tags for name in attrs if name in {"src", "href", "style"} or name.startswith("on")
    ]
    assert re.findall(r"https?://[^\s\"<]+", text.replace("http://www.w3.org/2000/svg", "")) == []
    ids = found.data("id")
    assert len(ids) == len(set(ids))
    assert {each for value in found.data("aria-labelledby") for each in value.split()} <= set(ids)
    assert "default-src 'none'; style-src 'sha256-" in (found.data("content")[0])


@given(st.text(min_size=1, max_size=40), st.text(max_size=40))
def test_names_and_reasons_of_others_stay_text(name: str, why: str) -> None:
    name, why = f"<b>{name}", f"'\"><script>{why}"
    readings = Readings(None, dataclasses.replace(TIMELINE, signals=(dataclasses.replace(SIGNAL, rules=(why,)),)))
    found = Page(page(readings, name=name, why=why))
    assert found.open == []
    assert not {tag for tag, _ in found.tags} & {"b", "script"}


def test_without_the_recorder_the_page_says_so_and_draws_what_the_audit_trail_has() -> None:
    found = Page(page(Readings(missing="there is no recorder.sqlite.")))
    assert "No readings: there is no recorder.sqlite." in found.words
    classes = [value for value in found.data("class") if value.startswith("phase")]
    # Wide and narrow; the order of an operator below the phases.
    assert classes == ["phase running", "phase paused", "phase running", "phase ordered"] * 2
    assert found.data("data-signal") == []


def test_a_run_of_which_nobody_has_written_anything_has_a_page_too() -> None:
    empty = {
        **told(Readings()),
        "pauses": [],
        "phases": [],
        "orders": [],
        "cancels": [],
        "events": [],
        "paused_seconds": 0,
    }
    empty |= {
        "checks_before": [],
        "checks_after": [],
        "run": {**RUN, "outcome": None, "ended_wall": None, "here": True},
    }
    text = record_html.page(empty, [], drawn_of(empty, Readings(), SPAN))
    assert "It is still running after 100 s, and was never paused" in Page(text).words.replace("&#39;", "'")
    assert "still running" in record_markdown.page(empty, [], drawn_of(empty, Readings(), SPAN))
    gone = {**empty, "run": {**empty["run"], "here": False, "rollback_claimed": True}}
    assert record_html.summary_of(gone).endswith("Its rollback: its end is unknown.")


def test_what_was_done_at_a_moment_is_told_in_words_too() -> None:
    marks = (*TIMELINE.marks, Mark(AT + 5, "muted", "rule lag was muted by an operator"))
    words = Page(page(Readings(None, dataclasses.replace(TIMELINE, marks=marks)))).words
    assert "2023-11-14 22:13:25: rule lag was muted by an operator" in words
    assert "Cancelled 2023-11-14 22:14:30" in words


def test_a_run_that_flapped_for_days_has_a_page_of_bounded_length() -> None:
    phases = [stretch("paused" if n % 2 else "running", AT + n, AT + n + 1, "why") for n in range(9000)]
    flapped = {**told(Readings()), "phases": phases}
    drawn = drawn_of(flapped, Readings(), Span("backfill", 1, AT, AT + 9000))
    assert len(drawn.bands) <= 501
    text = record_html.page(flapped, [], drawn)
    assert len(text) < 500_000
    assert "The newest 1000; 8000 before them are in" in text


def test_markdown_has_the_figures_the_curve_and_what_was_done_and_escapes_what_others_wrote(readings: Readings) -> None:
    said = told(readings, why="a | b <i>* `x`\n# no")
    text = record_markdown.page(said, [("began", "now")], drawn_of(said, readings, SPAN))
    assert text.splitlines()[0] == f"<!-- {record_html.mark_of(said)} -->"
    assert "| replica lag | 1.5 s | – | 1 s, 9 s (90) | – | – | pause \\> 5 s; resume \\< 2 s |" in text
    assert r"a \| b \<i\>\* \`x\` \# no" in text
    curve = next(line for line in text.splitlines() if line.startswith("    replica lag"))
    assert "█" in curve
    assert curve.count("[") == curve.count("]") == 2  # the pause, and the operator's
    assert all(line.startswith("#") or "# no" not in line or r"\# no" in line for line in text.splitlines())


def test_the_words_of_a_signal_say_its_worst_its_limits_and_its_medians() -> None:
    assert signal_words(SIGNAL) == (
        "replica lag: worst 9 s during the run, past its limit to pause (pause > 5 s; resume < 2 s); "
        "medians: running 1 s"
    )
    unread = dataclasses.replace(SIGNAL, worst=None, past=(), limits=(), stages=())
    assert signal_words(unread) == "replica lag: nothing was read during the run; medians: none"


def test_what_is_infinite_is_null_in_json_and_words_on_the_page() -> None:
    endless = dataclasses.replace(SIGNAL, stages=(Stage("running", 3, 1.0, float("inf")),))
    readings = Readings(None, dataclasses.replace(TIMELINE, signals=(endless,)))
    signals = readings.as_json()["signals"]
    assert isinstance(signals, list)
    assert signals[0]["stages"] == [{"stage": "running", "count": 3, "median": 1.0, "worst": None}]
    assert "1 s, infinitely much (3)" in Page(page(readings)).words


def test_an_empty_timeline_is_a_page(readings: Readings) -> None:
    assert Page(page(Readings(None, Timeline("main", "backfill", 1, AT, AT)))).open == []


def test_what_the_recorder_has_not_written_yet_is_drawn_by_the_audit_trail() -> None:
    said = told(Readings())
    paused = [("running", AT, AT + 41), ("paused", AT + 41, AT + 60)]
    for kept in (1, 2, 3):
        bands = (*TIMELINE.bands[: kept - 1], dataclasses.replace(TIMELINE.bands[kept - 1], until=None))
        drawn = drawn_of(said, Readings(None, dataclasses.replace(TIMELINE, bands=bands)), SPAN)
        shown = [(band.kind, band.since, band.until) for band in drawn.bands]
        assert shown == [*paused, ("running", AT + 60, None), ("pause", AT + 80, None)]
    over = {**said, "orders": [], "phases": [*said["phases"], stretch("done", AT + 90, None)]}
    assert [band.until for band in drawn_of(over, Readings(None, TIMELINE), SPAN).bands] == [AT + 41, AT + 60, AT + 90]
    # Of another course, such as one that was cut short, each is believed as it is.
    other = dataclasses.replace(TIMELINE, bands=TIMELINE.bands[1:2])
    assert [band.kind for band in drawn_of({**said, "orders": []}, Readings(None, other), SPAN).bands] == ["paused"]
