"""What is left of a run for others to judge it by: diaries, the event table, Slack's server, the server's log.

Nothing here comes from the daemon's own mouth, but for its events, which stand in the database. Nothing is judged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from guard.demo.diary import Entry, read_diary
from guard.demo.world import World

_KILLED = re.compile(
    r"user=(?P<user>\S*) app=(?P<app>.*?) (?:ERROR|FATAL):  "
    r"(?P<what>canceling statement due to user request|terminating connection due to administrator command)"
)


@dataclass(frozen=True, slots=True)
class Event:
    """A line of the guard's audit trail; *at* is Unix time by the database."""

    at: float
    kind: str
    migration: str
    because: str
    phase: str
    notice_id: str


@dataclass(slots=True)
class Staged:
    """When the demonstration did what, in Unix time, and what it saw with its own eyes; None: it did not happen."""

    replay_stopped: float | None = None
    replay_resumed: float | None = None
    alter_queued: float | None = None
    pile_up: float | None = None
    """Three sessions of the application had each waited as long as the rule says."""
    released: float | None = None
    most_queued: int = 0
    report_survived: bool = False
    """The application's idle transaction, which the ALTER waited for, could go on and commit."""
    flag_on: float | None = None
    shop_well: float | None = None
    """The application's error rate was well again."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a verdict may look at."""

    staged: Staged
    backfill: Sequence[Entry]
    alter: Sequence[Entry]
    events: Sequence[Event]
    slack_ids: Sequence[str]
    ended_sessions: Sequence[tuple[str, str, str]]
    """(user, application_name, what) of each statement cancelled and connection terminated, by the server's log."""
    hook_runs: Sequence[str]
    fills: dict[int, int] = field(default_factory=dict)
    """How many rows were filled how often, by the table."""
    last_filled: int = 0


def events_of(world: World) -> list[Event]:
    """The audit trail, in order."""
    query = """
        select extract(epoch from at)::float8, kind, migration, because, phase,
               coalesce(payload -> 'notice' ->> 'notice_id', '')
          from migration_guard.event order by event_id
    """
    with world.connect("postgres") as admin:
        return [Event(*row) for row in admin.execute(query).fetchall()]


def ended_sessions(log_text: str) -> list[tuple[str, str, str]]:
    """Whom the server cancelled or disconnected on somebody's request."""
    return [(found["user"], found["app"], found["what"]) for found in _KILLED.finditer(log_text)]


def gather(world: World, staged: Staged) -> Evidence:
    """Collect it while the servers still run."""
    with world.connect("postgres") as admin:
        fills: dict[int, int] = dict(admin.execute("select fills, count(*) from orders group by 1").fetchall())
        row: Any = admin.execute("select coalesce(max(id), 0) from orders where fills > 0").fetchone()
    return Evidence(
        staged=staged,
        backfill=read_diary(world.diary),
        alter=read_diary(world.alter_diary),
        events=events_of(world),
        slack_ids=[message.notice_id for message in world.slack.messages],
        ended_sessions=ended_sessions(world.primary.log_text()),
        hook_runs=world.hook_log.read_text().splitlines() if world.hook_log.exists() else [],
        fills=fills,
        last_filled=row[0],
    )
