"""Words that must not be seen: every secret that this process has looked at, masked in what it logs.

The last of several walls. Messages of our own hold no secret; but a library's error in a traceback may hold a whole
address. It is one register for the process, since a traceback does not know whose secret stands in it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, quote_plus

SHORTEST: Final = 6
"""Characters: a shorter word stands in ordinary text too, and would tell by its absence what it is."""
_SHOWN: Final = "***"

_lock = threading.Lock()
_known: set[str] = set()
_forms: tuple[str, ...] = ()


def remember(secret: str) -> None:
    """Mask this from now on, however it is written, and of a URL its path too: libraries name them apart.

    What is too short to be a secret is not masked.
    """
    global _forms  # noqa: PLW0603 -- replaced as a whole, so that a thread that masks needs no lock
    path = re.sub(r"^https?://[^/?]*", "", secret)
    with _lock:
        new = {each for each in (secret, path) if len(each) >= SHORTEST} - _known
        if new:
            _known.update(new)
            _forms = _longest_first(form for each in _known for form in forms_of(each))


def mask(text: str) -> str:
    """The text without any of the secrets."""
    return without(text, _forms)


def without(text: str, forms: Iterable[str]) -> str:
    """The text without these words; the longest first, or a part of one would keep the rest from being found."""
    for form in _longest_first(forms):
        text = text.replace(form, _SHOWN)
    return text


def forms_of(secret: str) -> set[str]:
    """The secret as it may be written: plain, on one line, percent-encoded, in a connection string, by repr()."""
    # Half a surrogate pair, as from an environment that is not UTF-8, cannot be encoded.
    whole = secret.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    encoded = {quote(whole, safe=""), quote(whole), quote_plus(whole)}
    lower = {_lower_hex(each) for each in encoded}
    escaped = secret.replace("\\", "\\\\").replace("'", "\\'")
    return {secret, " ".join(secret.split()), escaped, repr(secret)[1:-1], *encoded, *lower} - {""}


def _lower_hex(encoded: str) -> str:
    parts = encoded.split("%")
    return "%".join([parts[0], *(part[:2].lower() + part[2:] for part in parts[1:])])


def _longest_first(forms: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(forms), key=len, reverse=True))
