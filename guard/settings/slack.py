"""[slack]: by a webhook, or by a bot token and a channel; from the file, the environment or systemd's credentials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from guard.settings.environment import Environment
from guard.settings.problems import Problems
from guard.settings.secret import Secret
from guard.settings.tables import SlackTable
from guard.settings.values import SlackBotSettings, SlackSettings

_NOWHERE = "[slack] has no webhook_url_file and no bot_token_file, and neither the environment nor systemd gives one"
_CHANNEL_ALONE = "[slack] has a channel and no bot_token_file, and neither the environment nor systemd gives one"
_ONE = "does not go with a webhook: notices go one way, so leave out one of the two"


@dataclass(frozen=True, slots=True)
class SlackReader:
    """Reads the section; *at* is where the file's relative paths begin."""

    problems: Problems
    environment: Environment
    at: Callable[[Path], Path]

    def read(self, table: SlackTable, *, given: bool) -> SlackSettings | None:
        """By which way, where there is one; *given*: the file has the section. Mistakes are noted."""
        webhook = self.environment.slack() or self._file(table.webhook_url_file)
        token = self.environment.slack_bot_token() or self._file(table.bot_token_file)
        channel = self.environment.slack_channel or table.channel
        if webhook is not None and token is not None:
            self.problems.add(("slack", "bot_token_file"), _ONE)
            return None
        if webhook is not None and table.channel is not None:
            self.problems.add(("slack", "channel"), "goes with bot_token_file: a webhook has its channel already")
        if webhook is None and token is None:
            webhook = self.environment.slack_credential() if channel is None else None
            token = self.environment.slack_bot_credential() if webhook is None else None
        if webhook is None and token is None and channel is not None:
            token = Secret(_CHANNEL_ALONE)
        if token is not None:
            return self._bot(token, channel, table.api_url)
        if webhook is None and given:
            webhook = Secret(_NOWHERE)
        return None if webhook is None else SlackSettings(webhook)

    def _bot(self, token: Secret, channel: str | None, api_url: str) -> SlackSettings | None:
        if channel is None:
            said = 'needs channel beside a bot token: where to post, by its id ("C0123456789") or its name ("#deploys")'
            self.problems.add(("slack",), said)
            return None
        return SlackSettings(bot=SlackBotSettings(token, channel, api_url))

    def _file(self, path: Path | None) -> Secret | None:
        return None if path is None else Secret(str(self.at(path)), path=self.at(path))
