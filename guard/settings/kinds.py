"""Kinds of values in the file: what each allows by itself, and in which words it is refused.

A message quotes what was given only where that cannot be a secret. The docstring of each that checks is what
docs/settings.md says of its kind.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator

from guard.decide.bounds import Flap
from guard.judge.conditions import parse_condition
from guard.judge.paths import parse_path
from guard.judge.quantities import parse_duration, say_seconds
from guard.postgres.dsn import flaw_of

_DURATION: Final = 'a duration such as "250ms", "5s" or "1m30s"'
LONGEST_NAME: Final = 200
"""As the schema has it."""
_MOST_ENTRIES: Final = 1000
_LONGEST_CONDITION: Final = 500
"""Far beyond any use. What is larger is a mistake, and a daemon that reads it on a reload must not stop to think."""


class Refused(ValueError):
    """What was given is not allowed; pydantic gathers it because it is a ValueError."""


def _text(value: Any) -> str:
    """A string."""
    if not isinstance(value, str):
        raise Refused("must be a string in quotes")
    if not value.strip() or "\0" in value:
        raise Refused("must not be empty" if "\0" not in value else "must not contain a NUL character")
    return value


def is_name(text: str) -> bool:
    """Whether it can be a name of a rule or a migration: one line that a terminal and a log show as it is."""
    return bool(text.strip()) and text.isprintable() and len(text) <= LONGEST_NAME


def _name(value: Any) -> str:
    """A string of one line, at most 200 characters."""
    text = _text(value)
    if not is_name(text):
        raise Refused(f"must be at most {LONGEST_NAME} characters, none of them a control character")
    return text


def _texts(value: Any) -> tuple[str, ...]:
    """A list of strings."""
    if not isinstance(value, list):
        raise Refused('must be a list of strings, such as ["one", "two"]')
    if len(value) > _MOST_ENTRIES:
        raise Refused(f"must have at most {_MOST_ENTRIES} entries")
    found = tuple(_text(each) for each in value)
    if twice := next((each for each, count in Counter(found).items() if count > 1), None):
        raise Refused(f'must not name "{twice}" twice')
    return found


def _arguments(value: Any) -> tuple[str, ...]:
    """A list of strings, the absolute path of a program first."""
    if not isinstance(value, list) or not all(isinstance(each, str) and "\0" not in each for each in value):
        raise Refused("must be a list of strings, the program first; no shell reads it")
    if not value or not value[0].startswith("/"):
        raise Refused('must begin with the absolute path of a program, such as ["/etc/migration-guard/rollback"]')
    return tuple(value)


@dataclass(frozen=True, slots=True)
class Between:
    """Checks a duration between two bounds in seconds."""

    least: float
    most: float

    def __call__(self, value: Any) -> float:
        """Seconds of it. Raises Refused, QuantityError."""
        if not isinstance(value, str):
            raise Refused(f"must be {_DURATION}, in quotes")
        seconds = parse_duration(value)
        if not self.least <= seconds <= self.most:
            raise Refused(f'"{value}" must be between {say_seconds(self.least)} and {say_seconds(self.most)}')
        return seconds


def lasting(least: float, most: float) -> Between:
    """Of a duration between two bounds in seconds."""
    return Between(least, most)


def _condition(value: Any) -> str:
    """A condition."""
    if not isinstance(value, str):
        raise Refused('must be a condition in quotes, such as "> 5s for 3s"')
    if len(value) > _LONGEST_CONDITION:
        raise Refused(f"must be at most {_LONGEST_CONDITION} characters")
    parse_condition(value)
    return value


def _no_data(value: Any) -> tuple[str, float | None]:
    """`"pause"`, `"pause for DURATION"`, `"hold"` or `"ignore"`."""
    if value in ("hold", "ignore"):  # a set would ask a table or a list for its hash
        return value, None
    match = re.fullmatch(r"pause(?: for (.+))?", value) if isinstance(value, str) else None
    if match is None:
        raise Refused('must be "pause", "pause for 3s", "hold" or "ignore"')
    return "pause", parse_duration(match[1]) if match[1] else None


def _flap(value: Any) -> Flap:
    """`N in DURATION`, N being 2 at least and the duration 1m to 24h."""
    match = re.fullmatch(r"([0-9]{1,3}) in (.+)", value) if isinstance(value, str) else None
    if match is None or int(match[1]) < 2:
        raise Refused('must be a number of pauses, 2 at least, and a time, such as "6 in 30m"')
    return Flap(int(match[1]), lasting(60.0, 86_400.0)(match[2]))


def _standbys(value: Any) -> tuple[str, ...] | int:
    """A list of strings, or a number."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 1000:
        return value
    if not isinstance(value, list):
        raise Refused(
            'must be a list of application_names, such as ["replica1"], a number of standbys, or [] for none on purpose'
        )
    return _texts(value)


def _dsn(value: Any) -> str:
    """A connection string of libpq, or its URL."""
    text = _text(value)
    if flaw := flaw_of(text):
        raise Refused(flaw)
    return text


def _url(value: Any) -> str:
    """A URL of http or https, without user and password."""
    text = _text(value)
    wrong = Refused("must be a URL that begins with http:// or https://")
    try:
        parts = urlsplit(text)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise wrong from None
    if not good or re.search(r"\s", text):
        raise wrong
    if "@" in parts.netloc:
        raise Refused("must hold no user or password; give username and password_file, or bearer_token_file")
    return text


def _file(value: Any) -> Path:
    """The path of a file."""
    text = _text(value)
    # The secret itself in its file's place would be told with every "cannot be read".
    if "://" in text or "password=" in text or re.match(r"xox[a-z][.-]", text):
        raise Refused("must be the path of a file; what was given looks like the secret itself")
    return Path(text)


def _flag(value: Any) -> bool:
    """`true` or `false`."""
    if not isinstance(value, bool):
        raise Refused("must be true or false, without quotes")
    return value


def _headers(value: Any) -> dict[str, str]:
    """A table of strings."""
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise Refused('must be a table of strings, such as { "X-Scope-OrgID" = "shop" }')
    if any(not re.fullmatch(r"[!-9;-~]+", name) or re.search(r"[\r\n\0]", text) for name, text in value.items()):
        raise Refused("must hold names and values that HTTP allows")
    return dict(value)


def _select(value: Any) -> dict[str, str]:
    """A table of labels, such as `{ standby = "replica1" }`."""
    if not isinstance(value, dict) or not value:
        raise Refused('must be a table of labels, such as { standby = "replica1" }')
    if not all(isinstance(each, str) and is_name(each) for each in value.values()):
        raise Refused(f"must hold strings in quotes, of at most {LONGEST_NAME} characters and no control character")
    return dict(value)


def _more_than_nothing(value: Any) -> float:
    """A number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e15:
        raise Refused("must be a number above 0, in the unit of traffic")
    return float(value)


def _slack_channel(value: Any) -> str:
    """A channel's id, such as `"C0123456789"`, or its name, such as `"#deploys"`."""
    text = _text(value)
    if not re.fullmatch(r"#?[^\s#@<>:/]{1,80}", text):
        raise Refused('must be the id of a channel, such as "C0123456789", or its name, such as "#deploys"')
    return text


def _username(value: Any) -> str:
    """A string without a colon."""
    text = _text(value)
    if ":" in text or not text.isprintable():
        raise Refused("must hold no colon and no control character, which HTTP does not allow")
    return text


def _json_path(value: Any) -> str:
    """The path of a number."""
    text = _text(value)
    parse_path(text)
    return text


def _name_of_guard(value: str) -> str:
    """At most 63 letters, digits and any of `_ . : -`."""
    if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,63}", value):
        raise Refused("must be at most 63 letters, digits and any of _ . : -")
    return value


Text = Annotated[str, BeforeValidator(_text)]
Name = Annotated[str, BeforeValidator(_name)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Url = Annotated[str, BeforeValidator(_url)]
File = Annotated[Path, BeforeValidator(_file)]
ConditionText = Annotated[str, BeforeValidator(_condition)]
Command = Annotated[tuple[str, ...], BeforeValidator(_arguments)]
Short = Annotated[float, BeforeValidator(lasting(0.05, 60.0))]
Medium = Annotated[float, BeforeValidator(lasting(0.05, 3600.0))]
Lasting = Annotated[float, BeforeValidator(lasting(1.0, 7 * 86_400.0))]
Long = Annotated[float, BeforeValidator(lasting(0.0, 7 * 86_400.0))]
GuardName = Annotated[str, BeforeValidator(_text), AfterValidator(_name_of_guard)]
FlapText = Annotated[Flap, BeforeValidator(_flap)]
Dsn = Annotated[str, BeforeValidator(_dsn)]
Standbys = Annotated[Any, BeforeValidator(_standbys)]
SlackChannel = Annotated[str, BeforeValidator(_slack_channel)]
Username = Annotated[str, BeforeValidator(_username)]
Headers = Annotated[dict[str, str], BeforeValidator(_headers)]
Selection = Annotated[dict[str, str], BeforeValidator(_select)]
JsonPath = Annotated[str, BeforeValidator(_json_path)]
Traffic = Annotated[float, BeforeValidator(_more_than_nothing)]
NoDataText = Annotated[tuple[str, float | None], BeforeValidator(_no_data)]
