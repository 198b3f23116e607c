"""Where people are told beside Slack, and of what: `[[channel]]`, and the keys that [slack] shares with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator

from guard.model import Severity
from guard.settings.environment import channel_variable, of_channel, strays_of_channels
from guard.settings.kinds import File, Name, Refused
from guard.settings.lines import Key
from guard.settings.problems import Problems, did_you_mean
from guard.settings.secret import Secret
from guard.settings.tables import RouteTable
from guard.settings.values import ChannelSettings, RouteSettings

TAKEN: Final = ("slack", "log")
"""Names of the channels that are there without a table of their own."""
SHORTEST: Final = 16
"""Characters of a signing secret."""


def _name_of_channel(value: str) -> str:
    """A letter, then at most 30 letters, digits, `_` and `-`; not `slack` or `log`."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,30}", value) or value.lower() in TAKEN:
        raise Refused("must be a letter, then at most 30 letters, digits, _ and -; slack and log are taken")
    return value


class ChannelTable(RouteTable):
    """[[channel]]: a further way on which people, or programs of yours, are told (docs/channels.md). Its variables have
    the name in capitals, with `_` for `-`."""

    name: Annotated[Name, AfterValidator(_name_of_channel)]
    """For `status`, `check` and the log. A notice that waits, waits for the channel of this name."""
    kind: Literal["webhook", "apprise"]
    """`webhook`: JSON by a signed POST; `apprise`: mail, pagers and chats, once the extra `apprise` is installed."""
    url_file: File | None = None
    """It holds the URL, one of http or https for a webhook, one of Apprise's for `apprise`; the variable
    `MIGRATION_GUARD_CHANNEL_NAME_URL` wins."""
    secret_file: File | None = None
    """It holds the secret by which a webhook is signed, 16 characters at least; the variable
    `MIGRATION_GUARD_CHANNEL_NAME_SECRET` wins."""


@dataclass(frozen=True, slots=True)
class ChannelReader:
    """Reads them; *at* is where the file's relative paths begin, *databases* are those of the file."""

    problems: Problems
    at: Callable[[Path], Path]
    databases: Collection[str]

    def read(self, given: Any) -> tuple[ChannelSettings, ...]:
        """All of `[[channel]]`; mistakes are noted."""
        if given is None:
            given = []
        if not isinstance(given, list):
            self.problems.add(("channel",), "must be written [[channel]], with two brackets")
            return ()
        found: dict[str, ChannelSettings] = {}
        for index, each in enumerate(given):
            key = ("channel", index)
            table, broken = self.problems.check(ChannelTable, each, key)
            if table is None:
                continue
            # Their variables cannot be told apart otherwise.
            same = table.name.upper().replace("-", "_")
            if same in found:
                self.problems.add((*key, "name"), f'there is another channel "{table.name}"; names must be unique')
            elif (channel := self._channel(table, key, broken)) is not None:
                found[same] = channel
        for variable, known in strays_of_channels([channel.name for channel in found.values()]):
            self.problems.warn(
                ("channel",), f"the variable {variable} belongs to none of them; {did_you_mean(variable, known)}"
            )
        return tuple(found.values())

    def route(self, table: RouteTable, key: Key) -> RouteSettings:
        """What a channel is told of; mistakes are noted."""
        for name in table.databases:
            if name not in self.databases:
                said = f"there is no [database.{name}]; {did_you_mean(name, self.databases)}"
                self.problems.add((*key, "databases"), said)
        return RouteSettings(Severity(table.least), table.databases, table.migrations)

    def _channel(self, table: ChannelTable, key: Key, broken: frozenset[str]) -> ChannelSettings | None:
        url = of_channel(table.name, "URL") or self._file(table.url_file)
        secret = of_channel(table.name, "SECRET") or self._file(table.secret_file)
        if url is None and "url_file" not in broken:
            self.problems.add(key, f"needs url_file or the variable {channel_variable(table.name, 'URL')}")
        if table.kind == "apprise" and table.secret_file is not None:
            self.problems.add((*key, "secret_file"), 'goes with kind = "webhook" alone: Apprise signs nothing')
        if table.kind == "webhook" and secret is None and "secret_file" not in broken:
            said = "by it a receiver knows that a notice is the guard's"
            self.problems.add(
                key, f"needs secret_file or the variable {channel_variable(table.name, 'SECRET')}: {said}"
            )
        route = self.route(table, key)
        return None if url is None else ChannelSettings(table.name, table.kind, url, secret, route)

    def _file(self, path: Path | None) -> Secret | None:
        return None if path is None else Secret(str(self.at(path)), path=self.at(path))
