"""A notice as Slack shows it: the text of a message, in blocks.

It sends nothing. Limits of Slack, in characters: header 150, section text 3000, a field 2000, 10 fields, 50 blocks, and
about 13,200 in all although no page says so; over any of them the message is refused whole.
"""

from __future__ import annotations

import bisect
import datetime as dt
import itertools
import re

from guard.model import EVERYONE, Notice, Severity

Json = dict[str, object]

_MARKS = {Severity.INFO: "🔵", Severity.WARNING: "🟠", Severity.CRITICAL: "🔴"}
_CUT = " … (cut)"
# Control characters but the line feed, and those that turn the direction of text or break lines unseen.
_UNSEEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def blocks(notice: Notice) -> Json:
    """The payload of a notice. All but the commands is plain text, so that no name can format, link or mention."""
    # '*' is no name: whom it stands for is in the headline.
    where = notice.database if notice.migration == EVERYONE else f"{notice.migration} on {notice.database}"
    parts: list[Json | None] = [
        _text_block("header", f"{_MARKS[notice.severity]} {notice.headline or notice.kind}", 150),
        _text_block("section", notice.because, 3000),
        {"type": "section", "fields": [_plain(text, 300) for text in _fields(notice)]},
        _text_block("section", notice.next_step and f"Next: {notice.next_step}", 1500),
        _commands(notice.commands),
        {"type": "context", "elements": [_plain(f"{notice.notice_id} · {utc(notice.at_wall)}", 300)]},
    ]
    return {
        # The id stands beyond the cut: by it a reader knows a duplicate.
        "text": escape(f"{notice.headline}: {notice.because} ({where})", 900) + escape(f" [{notice.notice_id}]", 100),
        "mrkdwn": False,
        "unfurl_links": False,
        "unfurl_media": False,
        "blocks": [part for part in parts if part],
    }


def escape(text: str, limit: int) -> str:
    """Text that Slack shows as it is: no mentions, no unseen characters, at most `limit` long, with a note of a cut.

    Length is counted after escaping and in UTF-16 units, the greatest of the ways in which it might be counted.
    """
    clean = _UNSEEN.sub(" ", text.encode("utf-8", "replace").decode())
    pieces = [_ENTITIES.get(character, character) for character in clean]
    widths = list(itertools.accumulate(len(piece) + (piece > "\uffff") for piece in pieces))
    if not widths or widths[-1] <= limit:
        return "".join(pieces)
    return "".join(pieces[: bisect.bisect_right(widths, limit - len(_CUT))]) + _CUT


def _fields(notice: Notice) -> list[str]:
    run = "" if notice.run_id is None else f" (run {notice.run_id})"
    migration = {} if notice.migration == EVERYONE else {"Migration": f"{notice.migration}{run}"}
    named = migration | {"Database": notice.database} | dict(notice.fields)
    texts = [f"{key}: {value}" for key, value in named.items()]
    return texts if len(texts) <= 10 else [*texts[:9], f"and {len(texts) - 9} more; see migration-guard explain"]


def _commands(commands: tuple[str, ...]) -> Json | None:
    if not commands:
        return None
    # Three backticks would end the code block early.
    text = escape("\n".join(commands).replace("```", "'''"), 2000)
    return {"type": "section", "text": {"type": "mrkdwn", "text": f"```\n{text}\n```", "verbatim": True}}


def _text_block(kind: str, text: str, limit: int) -> Json | None:
    return {"type": kind, "text": _plain(text, limit)} if text.strip() else None


def _plain(text: str, limit: int) -> Json:
    return {"type": "plain_text", "text": escape(text, limit), "emoji": False}


def utc(wall: float) -> str:
    """A moment for people, to the second."""
    return dt.datetime.fromtimestamp(wall, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
