"""Small words that all probes share: silences for all sensors of a probe, and how a migration's sessions are known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from guard.errors import NotPermitted, ServerError
from guard.model import Silence
from guard.ports import Observation

NOT_PERMITTED = "the guard's role lacks pg_monitor, without which PostgreSQL shows nothing of other sessions"
"""Without it the statistics views do not fail: they show NULL, which must not be read as "no lag" or "nobody waits"."""


def silences(sensors: Iterable[str], why: str, now: float) -> Observation:
    """The same silence for each sensor."""
    return Observation(tuple(Silence(sensor, why, now) for sensor in sensors))


def words(error: ServerError) -> str:
    """Why a question to PostgreSQL brought no answer; a missing privilege is named as such."""
    return f"{error} (insufficient_privilege)" if isinstance(error, NotPermitted) else str(error)


@dataclass(frozen=True, slots=True)
class Recognition:
    """Sessions of migrations that never registered: by role, by application_name, or by both where both are given.

    Names are patterns with ``*`` for any text; all else stands for itself. Without either nobody is recognised.
    """

    roles: tuple[str, ...] = ()
    application_names: tuple[str, ...] = ()
    params: dict[str, list[str]] = field(init=False, repr=False, compare=False)
    """For the queries: ``roles``, and ``names`` as patterns of LIKE."""

    def __post_init__(self) -> None:
        likes = [_like(name) for name in self.application_names]
        object.__setattr__(self, "params", {"roles": list(self.roles), "names": likes})


def _like(pattern: str) -> str:
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%")
