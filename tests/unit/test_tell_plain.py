"""A notice as plain text: one line, and a body that anybody can read, whatever its texts hold."""

import dataclasses
import re

from hypothesis import given
from hypothesis import strategies as st

from guard.model import Notice, Severity
from guard.tell.plain import SUBJECT, body, subject

PAUSED = Notice(
    notice_id="main:17",
    at_wall=1_700_000_000.0,
    database="main",
    migration="add_index",
    run_id=4,
    kind="paused",
    severity=Severity.WARNING,
    headline="add_index paused",
    because="replica lag 9 s > 5 s for 3 s",
    next_step="It goes on by itself.",
    commands=("migration-guard explain add_index", "migration-guard resume add_index"),
    fields={"Since": "2 s ago"},
)


def test_the_subject_says_how_grave_who_what_and_where() -> None:
    assert subject(PAUSED) == "[warning] add_index paused (main)"


def test_the_body_says_why_what_next_by_which_command_and_which_notice_it_is() -> None:
    assert body(PAUSED) == (
        "replica lag 9 s > 5 s for 3 s\n\n"
        "Migration: add_index (run 4)\nDatabase: main\nSince: 2 s ago\n\n"
        "Next: It goes on by itself.\n\n"
        "    migration-guard explain add_index\n    migration-guard resume add_index\n\n"
        "main:17 · 2023-11-14 22:13:20 UTC"
    )


def test_what_is_not_known_leaves_no_gap_and_nobody_is_called_a_star() -> None:
    bare = dataclasses.replace(
        PAUSED, migration="*", run_id=None, because="", next_step="", commands=(), fields={}, headline=""
    )
    assert subject(bare) == "[warning] paused (main)"
    assert body(bare) == "Database: main\n\nmain:17 · 2023-11-14 22:13:20 UTC"


@given(st.text(alphabet=st.characters(), max_size=60), st.integers(1, 200))
def test_no_text_makes_a_second_line_of_the_subject_hides_anything_or_grows_without_bound(
    piece: str, times: int
) -> None:
    text = piece * times
    notice = dataclasses.replace(
        PAUSED, headline=text, because=text, database=text, commands=(text,), fields={text: text}, next_step=text
    )
    assert len(subject(notice).splitlines()) == 1
    assert len(subject(notice)) <= SUBJECT
    assert len(body(notice)) <= 4 * 3000 + 200
    assert body(notice).endswith("main:17 · 2023-11-14 22:13:20 UTC")
    for shown in (subject(notice), body(notice)):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", shown)
        shown.encode()
