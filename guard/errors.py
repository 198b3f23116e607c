"""Everything that goes wrong on purpose, as one tree:

    GuardError
    +-- ConfigError          the file is wrong on any machine (exit 2); carries every problem at once
    +-- WorldError           this machine or database is not as it must be (exit 3)
    |   +-- WrongServer      a standby, another cluster, behind a pooler
    |   +-- NotInstalled     the schema migration_guard is missing or of another version
    |   +-- HeldByAnother    another guard leads this database
    +-- Fenced               a newer guard has taken over; this one writes nothing more
    +-- ServerError          PostgreSQL did not answer as asked; wrapped once, at guard.postgres
    |   +-- Unreachable      no connection, or it broke
    |   +-- DeadlineExceeded no answer in time; the connection was given up
    |   +-- NotPermitted     42501: the role lacks a privilege
    |   +-- QueryFailed      any other SQLSTATE
    +-- Refused              what was asked for cannot be had, and nothing fails for it: too few samples, no history
    +-- HookError            the rollback hook cannot be started
    +-- TellError            a messenger refused; `again` says whether trying once more can help

Messages are complete sentences for people and hold no secret: no DSN, no URL path, no header.
"""

from __future__ import annotations

from dataclasses import dataclass


class GuardError(Exception):
    """Base of all errors that this project raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a configuration file."""

    file: str
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.key}: {self.message}"


class ConfigError(GuardError):
    """The configuration is wrong on any machine; `problems` holds every mistake found."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class WorldError(GuardError):
    """This machine or database is not as it must be."""


class WrongServer(WorldError):
    """The connection leads to a server that must not be guarded through it."""


class NotInstalled(WorldError):
    """The schema migration_guard is missing or of a version that this program does not speak."""


class HeldByAnother(WorldError):
    """Another guard leads this database."""


class Fenced(GuardError):
    """A newer guard leads this database; nothing more may be written."""


class ServerError(GuardError):
    """PostgreSQL did not do as asked."""

    sqlstate: str | None = None

    def __init__(self, message: str, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class Unreachable(ServerError):
    """No connection could be had, or it broke."""


class DeadlineExceeded(ServerError):
    """No answer came in time; the connection was given up, since the server may still be at work on it."""


class NotPermitted(ServerError):
    """The role lacks a privilege (42501)."""


class QueryFailed(ServerError):
    """The server refused the statement."""


class Refused(GuardError):
    """What was asked for cannot be had; whoever asked goes on without it. The message says why, and is no sentence."""


class HookError(GuardError):
    """The hook cannot be started."""


class TellError(GuardError):
    """A messenger refused a message."""

    def __init__(self, message: str, *, again: bool, after: float | None = None) -> None:
        super().__init__(message)
        self.again = again
        self.after = after
