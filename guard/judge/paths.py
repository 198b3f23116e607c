"""Where in a JSON answer a number stands: `stats.errors`, `checks[0].p99`, `["http.p99"]`. Text to steps, no more."""

from __future__ import annotations

import re

_LONGEST = 500
_STEP = re.compile(r"""(?:^|(?<=.)\.)(?P<name>[^.\[\]"']+)|\[(?P<index>-?[0-9]{1,9})\]|\["(?P<quoted>[^"]+)"\]""")


class PathError(ValueError):
    """The text is no path; the message says what is allowed."""


def parse_path(text: str) -> tuple[str | int, ...]:
    """The steps from the top of an answer to its number; none for the empty text, the answer itself.

    A text is a key of an object, or, of digits alone, as well an index of a list; a number is an index (-1: the last).
    Raises PathError.
    """
    steps: list[str | int] = []
    at = 0
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None or len(text) > _LONGEST or match["name"] == "$":
            raise PathError('must be a path such as stats.p99, checks[0].p99 or stats["http.p99"], from the top')
        steps.append(int(match["index"]) if match["index"] else match["name"] or match["quoted"])
        at = match.end()
    return tuple(steps)
