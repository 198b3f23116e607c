"""Drawings: whatever is in a run, what comes out is well-formed, bounded, escaped, and says in words what it shows."""

from __future__ import annotations

import dataclasses
import re
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from guard.model import Dimension
from guard.show import svg
from guard.show.axes import span, ticks, times
from guard.show.timeline import Band, LimitLine, Mark, Point, Progress, Signal, Stage, Timeline

SVG = "{http://www.w3.org/2000/svg}"
AT = 1_700_000_000.0

SIGNAL = Signal(
    "lag sensor",
    "replication.lag",
    ("replica lag",),
    Dimension.SECONDS,
    tuple(Point(AT + n, 9.0 if 40 <= n < 50 else 1.0) for n in range(100)),
    (
        LimitLine("replica lag", "pause", ">", 5.0, "pause > 5 s"),
        LimitLine("replica lag", "resume", "<", 2.0, "resume < 2 s"),
    ),
    1.5,
    (Stage("running", 90, 1.0, 9.0),),
    100,
    0,
    Point(AT + 40, 9.0),
    ("pause",),
)
TIMELINE = Timeline(
    "main",
    "backfill",
    1,
    AT,
    AT + 100,
    (SIGNAL,),
    (
        Band("running", AT, AT + 41),
        Band("paused", AT + 41, AT + 60, "lag 9 s > 5 s", 0.4),
        Band("running", AT + 60, None),
    ),
    (Mark(AT + 70, "cancelled", "cancelled: 3 sessions wait"),),
    tuple(Progress(AT + n, n * 1000, n) for n in range(100)),
)
numbers = st.floats(allow_nan=False) | st.none()
words = st.text(max_size=30)


def drawings(timeline: Timeline, width: int = 900) -> list[ET.Element]:
    """All of them, as a strict reader of XML sees them."""
    texts = [svg.chart(signal, timeline, ident=f"s{n}", width=width) for n, signal in enumerate(timeline.signals)]
    texts += [svg.course(timeline, ident="c", width=width), svg.speed(timeline, ident="v", width=width)]
    return [ET.fromstring(text) for text in texts if text]  # noqa: S314 -- our own


def of_class(drawing: ET.Element, name: str) -> list[ET.Element]:
    return [each for each in drawing.iter() if name in each.get("class", "").split()]


def test_a_chart_shows_line_limits_baseline_pause_peak_and_event_where_they_belong() -> None:
    chart, course, speed = drawings(TIMELINE)
    (signal, beyond) = of_class(chart, "signal")
    assert signal.get("d", "").count("L") == 99
    assert "beyond" in beyond.get("class", "")
    pause, resume = of_class(chart, "limit")
    assert {pause.get("class"), resume.get("class")} == {"limit pause", "limit resume"}
    (band,) = of_class(chart, "band")
    assert band.get("class") == "band paused"
    assert of_class(chart, "baseline")
    assert "".join(of_class(chart, "strong")[0].itertext()) == "9 s"
    assert len(of_class(chart, "markline")) == len(of_class(course, "mark")) == 1
    assert [each.get("class") for each in of_class(course, "phase")] == [
        "phase running",
        "phase paused",
        "phase running",
    ]
    assert len(of_class(speed, "area")) == 1
    # The same moment lies at the same place in each of them.
    left = band.get("x")
    assert of_class(speed, "band")[0].get("x") == left
    assert of_class(course, "paused")[0].get("x") == left


def test_a_drawing_says_in_words_what_it_shows() -> None:
    chart, course, speed = drawings(TIMELINE)
    for drawing in (chart, course, speed):
        assert drawing.get("role") == "img"
        titles = drawing.get("aria-labelledby", "").split()
        assert [
            each.get("id") for each in (drawing.find(f"{SVG}title"), drawing.find(f"{SVG}desc")) if each is not None
        ] == titles
    said = chart.findtext(f"{SVG}desc") or ""
    assert said == (
        "replication.lag, 100 readings, 0 without a value. running: median 1 s, worst 9 s of 90. "
        "Limit: pause > 5 s. Limit: resume < 2 s."
    )
    assert course.findtext(f"{SVG}desc") == "running 41 s; paused 19 s; running 40 s"


def test_what_was_not_known_is_a_gap_with_its_reason_and_no_line() -> None:
    points = (Point(AT, 1.0), Point(AT + 1, 1.0), Point(AT + 2, None, "standby away"), Point(AT + 9, 1.0))
    (chart, *_) = drawings(dataclasses.replace(TIMELINE, signals=(dataclasses.replace(SIGNAL, points=points),)))
    assert of_class(chart, "signal")[0].get("d", "").count("M") == 1
    assert len(of_class(chart, "dot")) == 2  # alone, in both colours
    (unknown,) = of_class(chart, "unknown")
    assert "".join(unknown.itertext()) == "not known: standby away"


def test_a_limit_far_above_all_that_was_read_is_said_and_does_not_flatten_the_signal() -> None:
    far = LimitLine("replica lag", "cancel", ">", 3600.0, "cancel > 1 h")
    signal = dataclasses.replace(SIGNAL, limits=(*SIGNAL.limits, far))
    (chart, *_) = drawings(dataclasses.replace(TIMELINE, signals=(signal,)))
    assert not of_class(chart, "cancel")
    assert "Limit: cancel > 1 h." in (chart.findtext(f"{SVG}desc") or "")


def test_a_signal_that_stands_on_its_limit_is_past_it_only_where_the_limit_says_so() -> None:
    def beyond(op: str) -> float:
        """Pixels from the limit's line to the edge of what is drawn as a breach, upwards."""
        limits = (LimitLine("standbys", "pause", op, 2.0, f"pause {op} 2"),)
        points = tuple(Point(AT + n, 2.0) for n in range(9))
        signal = dataclasses.replace(SIGNAL, limits=limits, points=points, baseline=None)
        (chart, *_) = drawings(dataclasses.replace(TIMELINE, signals=(signal,)))
        (clip,) = [each for each in chart.iter() if each.tag == f"{SVG}clipPath"]
        area, line = clip[0], of_class(chart, "limit")[0]
        edge = float(area.get("y", "")) + (float(area.get("height", "")) if op.startswith(">") else 0.0)
        return float(line.get("y1", "")) - edge

    assert beyond(">") > 1
    assert beyond(">=") < 0
    assert beyond("<") < -1
    assert beyond("<=") > 0


def test_marks_that_lie_close_together_have_one_word_and_each_its_own_on_being_pointed_at() -> None:
    marks = tuple(Mark(AT + at, "cancelled", f"cancelled {at}") for at in (10, 11, 60))
    course = drawings(dataclasses.replace(TIMELINE, marks=marks))[1]
    assert [each.text for each in course.iter(f"{SVG}text")].count("cancelled") == 2
    assert ["".join(each.itertext()) for each in of_class(course, "mark")] == [mark.words for mark in marks]


def test_a_narrow_chart_says_its_limits_inside_and_keeps_the_peak() -> None:
    spiky = tuple(Point(AT + n / 6, 9.0 if n == 301 else 1.0) for n in range(600))
    (chart, *_) = drawings(
        dataclasses.replace(TIMELINE, signals=(dataclasses.replace(SIGNAL, points=spiky),)), width=360
    )
    assert chart.get("viewBox", "").startswith("0 0 360 ")
    line = of_class(chart, "signal")[0].get("d", "")
    assert line.count("L") < 260
    heights = {float(each.split(",")[1]) for each in re.findall(r"[\d.]+,[\d.]+", line)}
    assert len(heights) == 2
    assert {each.get("text-anchor") for each in of_class(chart, "words")} == {"end"}


@given(words, words, st.lists(st.tuples(st.floats(-10, 200), numbers), max_size=60), st.sampled_from([360, 900]))
def test_any_words_and_any_series_give_a_well_formed_drawing_with_the_words_as_text(
    name: str, why: str, said: list[tuple[float, float | None]], width: int
) -> None:
    points = tuple(Point(AT + at, value, why) for at, value in sorted(said, key=lambda each: each[0]))
    values = [point for point in points if point.value is not None]
    signal = dataclasses.replace(SIGNAL, rules=(name,), metric=why, points=points, worst=values[0] if values else None)
    limits = (LimitLine(name, "pause", "<", 0.9, f"pause {why}"), LimitLine(name, "warn", ">", 1e300, name))
    timeline = dataclasses.replace(
        TIMELINE,
        migration=name,
        signals=(signal, dataclasses.replace(signal, limits=limits, baseline=None)),
        bands=(Band(name, AT - 50, AT + 1, why), Band("pause", AT, None, why), Band("aborted", AT + 500, AT + 600)),
        marks=(Mark(AT + 3, "x", why), Mark(AT - 3, "x", name)),
    )
    for drawing in drawings(timeline, width):
        assert {each.tag.removeprefix(SVG) for each in drawing.iter()} <= {
            "svg", "title", "desc", "rect", "line", "text", "path", "circle", "clipPath", "g", "polygon", "polyline"
        }  # fmt: skip
        for each in drawing.iter():
            assert not any(key.startswith("on") or "href" in key or key == "style" for key in each.attrib)
            places = [
                each.attrib[key] for key in ("x", "y", "x1", "y2", "cx", "cy", "width", "height") if key in each.attrib
            ]
            assert all(0 <= float(place) <= 900 for place in places)
    cleaned = re.sub("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", name or "lag sensor")
    title = ET.fromstring(svg.chart(signal, timeline, ident="i")).findtext(f"{SVG}title")  # noqa: S314
    assert (title or "").replace("\r", "\n") == cleaned.replace("\r\n", "\n").replace("\r", "\n")


def test_an_empty_timeline_is_drawn_and_one_without_progress_has_no_speed() -> None:
    empty = Timeline("main", "m", None, AT, AT)
    assert svg.speed(empty, ident="v") == ""
    assert len(drawings(empty)) == 1


def test_axes_mark_round_values_in_the_units_that_people_read() -> None:
    assert ticks(0.0, 9.9, Dimension.SECONDS) == [0, 5]
    assert ticks(0.0, 400.0, Dimension.SECONDS) == [0, 120, 240, 360]
    assert ticks(0.0, 4 * 1024.0**3, Dimension.BYTES) == [0, 1024.0**3, 2 * 1024.0**3, 3 * 1024.0**3, 4 * 1024.0**3]
    assert ticks(0.0, 1.8 * 1024**2, Dimension.BYTES) == [0, 512 * 1024, 1024**2, 1.5 * 1024**2]
    assert ticks(0.0, 1.0, Dimension.BYTES) == [0, 1]
    assert ticks(0.0, 0.6, Dimension.COUNT) == [0]
    assert ticks(0.0, 0.05, Dimension.RATIO) == [0, 0.02, 0.04]
    assert times(AT, AT + 100, 6)[1] == "%H:%M:%S"
    assert times(AT, AT + 7200, 6) == ([AT - AT % 1800 + 1800 * n for n in range(1, 5)], "%H:%M")
    assert len(times(AT, AT + 30 * 86_400, 6)[0]) <= 7


def test_an_axis_begins_at_zero_but_where_that_would_hide_what_moves() -> None:
    assert span([1.0, 2.0], [5.0]) == (0.0, 5.0 * 1.12)
    low, high = span([0.991, 0.999], [0.99])
    assert 0.98 < low < 0.99
    assert 0.999 < high < 1.01
    assert span([], []) == (0.0, 1.0)
    assert span([0.0], [3.0]) == (0.0, 3.0 * 1.12)
