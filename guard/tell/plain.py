"""A notice as plain text, a subject of one line and a body, for whatever shows nothing better: mail, pagers, SMS.

It sends nothing and marks nothing up.
"""

from __future__ import annotations

import datetime as dt
import re

from guard.model import EVERYONE, Notice

SUBJECT = 150
"""Characters: more is cut by mail programs and refused by some services."""
_LONGEST = 3000
"""Characters of one text; the whole stays below what the common services take, or split."""
_CUT = " … (cut)"
# Control characters but the line feed, and those that turn the direction of text or break lines unseen.
_UNSEEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def subject(notice: Notice) -> str:
    """One line: how grave, who and what, and where."""
    words = f"[{notice.severity.value}] {notice.headline or notice.kind} ({notice.database})"
    return _fitting(" ".join(_seen(words).split()), SUBJECT)


def body(notice: Notice) -> str:
    """Why, what is known of it, what happens next, the commands that change that, and the id, by which a duplicate is
    known."""
    run = "" if notice.run_id is None else f" (run {notice.run_id})"
    # '*' is no name: whom it stands for is in the headline.
    migration = {} if notice.migration == EVERYONE else {"Migration": f"{notice.migration}{run}"}
    named = migration | {"Database": notice.database} | dict(notice.fields)
    parts = [
        notice.because,
        "\n".join(f"{key}: {value}" for key, value in named.items()),
        notice.next_step and f"Next: {notice.next_step}",
        "\n".join(f"    {command}" for command in notice.commands),
        f"{notice.notice_id} · {dt.datetime.fromtimestamp(notice.at_wall, dt.UTC):%Y-%m-%d %H:%M:%S} UTC",
    ]
    return "\n\n".join(_fitting(_seen(part), _LONGEST) for part in parts if part.strip())


def _seen(text: str) -> str:
    return _UNSEEN.sub(" ", text.encode("utf-8", "replace").decode())


def _fitting(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - len(_CUT)] + _CUT
