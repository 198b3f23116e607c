"""What a notice looks like in Slack, whatever its texts hold; and which answers mean what."""

import json
import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import TellError
from guard.model import Notice, Severity
from guard.tell.http import judge, seconds_of
from guard.tell.log import LogLines, line
from guard.tell.slack_blocks import blocks, escape
from tests.slack_server import problem_of, texts_of


def a_notice(text: str = "replica lag 9 s > 5 s for 3 s", **changes: object) -> Notice:
    values: dict[str, object] = {
        "notice_id": "main:17",
        "at_wall": 1_700_000_000.0,
        "database": "main",
        "migration": "add_index",
        "run_id": 4,
        "kind": "paused",
        "severity": Severity.WARNING,
        "headline": "add_index paused",
        "because": text,
        "next_step": "It goes on by itself.",
        "commands": ("migration-guard resume add_index",),
        "fields": {"Since": "2 s ago"},
    }
    return Notice(**(values | changes))  # type: ignore[arg-type]


def everywhere(text: str) -> Notice:
    return a_notice(
        text,
        notice_id=text,
        database=text,
        migration=text,
        headline=text,
        next_step=text,
        commands=(text, text),
        fields={f"{text}{number}": text for number in range(20)},
    )


def test_whoever_has_no_name_is_named_by_the_headline_alone() -> None:
    payload = blocks(a_notice(migration="*", run_id=None, headline="all migrations: pause ordered by ann"))
    assert problem_of(payload) is None
    shown = "\n".join(texts_of(payload))
    assert "all migrations: pause ordered by ann" in shown
    assert "*" not in shown


def test_a_message_says_who_what_why_what_next_and_its_id() -> None:
    payload = blocks(a_notice())
    assert problem_of(payload) is None
    shown = "\n".join(texts_of(payload["blocks"]))
    for words in (
        "🟠 add_index paused",
        "replica lag 9 s &gt; 5 s for 3 s",
        "Migration: add_index (run 4)",
        "Database: main",
        "Since: 2 s ago",
        "Next: It goes on by itself.",
        "```\nmigration-guard resume add_index\n```",
        "main:17 · 2023-11-14 22:13:20 UTC",
    ):
        assert words in shown
    assert payload["text"] == "add_index paused: replica lag 9 s &gt; 5 s for 3 s (add_index on main) [main:17]"


def test_a_message_that_is_cut_keeps_its_id() -> None:
    text = blocks(a_notice("long " * 1000))["text"]
    assert isinstance(text, str)
    assert text.endswith(" … (cut) [main:17]")


def test_blocks_without_content_are_left_out() -> None:
    payload = blocks(a_notice("", next_step="", commands=(), fields={}, headline="", run_id=None))
    assert problem_of(payload) is None
    kinds = [block["type"] for block in payload["blocks"]]  # type: ignore[attr-defined]
    assert kinds == ["header", "section", "context"]


@pytest.mark.fault(53)
@given(st.text(alphabet=st.characters(), max_size=40), st.integers(1, 2000))
def test_no_text_makes_a_message_that_slack_refuses(piece: str, times: int) -> None:
    payload = blocks(everywhere((piece * times)[:8000]))
    assert problem_of(payload) is None
    json.dumps(payload, ensure_ascii=False).encode()


@pytest.mark.fault(53)
@given(st.text(alphabet="<>&!@#|`*_~aé😀\n\t\x00\x1b\u202e", max_size=300))
def test_no_text_can_mention_link_or_hide_anything(text: str) -> None:
    for shown in texts_of(blocks(everywhere(text))):
        assert not re.search(r"[<>]", shown), "only < opens a mention or a link"
        assert not re.search(r"&(?!amp;|lt;|gt;)", shown)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", shown)


def test_only_our_own_code_block_is_marked_up() -> None:
    payload = blocks(everywhere("<!channel> <@U1> *b* `c` ```d```"))
    found = re.findall(r'"type": "mrkdwn", "text": "([^"]*)"', json.dumps(payload))
    assert len(found) == 1
    assert found[0].startswith("```")
    assert found[0].count("```") == 2


@given(st.text(alphabet=st.characters(), max_size=200), st.integers(20, 100))
def test_a_cut_keeps_the_limit_says_so_and_halves_no_entity(text: str, limit: int) -> None:
    whole, cut = escape(text, 10_000), escape(text, limit)
    assert len(cut.encode("utf-16-le")) // 2 <= limit
    if cut != whole:
        assert cut.endswith(" … (cut)")
        kept = cut.removesuffix(" … (cut)")
        assert whole.startswith(kept)
        assert re.fullmatch(r"(?:[^&]|&amp;|&lt;|&gt;)*", kept, re.DOTALL)


def test_a_cut_uses_most_of_the_room() -> None:
    assert len(escape("x" * 9000, 3000)) == 3000
    assert len(escape("&" * 9000, 3000)) > 2980


# -- answers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "body"), [(200, "ok"), (204, ""), (200, '{"ok": true}'), (200, "[" * 100_000)])
def test_a_success_is_a_success(status: int, body: str) -> None:
    judge(status, None, body)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 599])
def test_what_may_pass_is_tried_again(status: int) -> None:
    with pytest.raises(TellError) as caught:
        judge(status, "7", "busy")
    assert (caught.value.again, caught.value.after) == (True, 7.0)


@pytest.mark.parametrize(
    ("status", "body"), [(302, ""), (400, "x"), (403, "x"), (404, "x"), (410, "x"), (200, '{"ok": false}')]
)
def test_what_stays_wrong_is_not_tried_again(status: int, body: str) -> None:
    with pytest.raises(TellError) as caught:
        judge(status, "7", body)
    assert not caught.value.again


def test_of_an_answer_only_slacks_own_words_are_repeated() -> None:
    with pytest.raises(TellError, match="HTTP 410 channel_is_archived"):
        judge(410, None, "channel_is_archived")
    with pytest.raises(TellError) as caught:
        judge(403, None, "<html>https://hooks.slack.com/services/secret</html>")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("30", 30.0),
        ("99999", 99_999.0),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0),
        ("Tue, 14 Nov 2023 22:13:00 GMT", 0.0),
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("9" * 5000, None),
        ("Tue, 14 Nov 99999999 22:13:50 GMT", None),
    ],
)
def test_retry_after_is_read_or_passed_over(header: str | None, seconds: float | None) -> None:
    assert seconds_of(header, 1_700_000_000.0) == seconds


# -- the log line ------------------------------------------------------------------------------------------------------


def test_a_log_line_is_one_line_whatever_the_texts_hold() -> None:
    shown = line(everywhere('a "b"\n\x1b[31m\u2028c'))
    assert shown.isprintable()
    assert 'because="a \\"b\\"\\n\\u001b[31m\\u2028c"' in shown


async def _send(notice: Notice) -> None:
    await LogLines().send(notice)


def test_a_log_line_leaves_out_the_line_of_bars() -> None:
    said = line(a_notice(fields={"took": "8 s", "chart": "lag, 0 s to 8 s\n▁▂▅"}))
    assert 'took="8 s"' in said
    assert "chart" not in said


def test_a_log_line_has_the_level_of_its_severity(caplog: pytest.LogCaptureFixture) -> None:
    coroutine = _send(a_notice(severity=Severity.CRITICAL))
    with pytest.raises(StopIteration):  # it never waits, so it needs no loop
        coroutine.send(None)
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (
            logging.ERROR,
            (
                "notice=main:17 severity=critical kind=paused database=main migration=add_index run=4 "
                'headline="add_index paused" because="replica lag 9 s > 5 s for 3 s" next="It goes on by itself." '
                'since="2 s ago"'
            ),
        )
    ]
