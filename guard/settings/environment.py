"""What the environment may say: secrets, and the places that systemd names.

The environment wins over the file, since it is how a secret reaches a container.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from guard.settings.secret import Secret

SLACK: Final = "MIGRATION_GUARD_SLACK_WEBHOOK_URL"
SLACK_BOT: Final = "MIGRATION_GUARD_SLACK_BOT_TOKEN"
SLACK_CHANNEL: Final = "MIGRATION_GUARD_SLACK_CHANNEL"
PROMETHEUS_PASSWORD: Final = "MIGRATION_GUARD_PROMETHEUS_PASSWORD"  # noqa: S105  its name
PROMETHEUS_BEARER: Final = "MIGRATION_GUARD_PROMETHEUS_BEARER_TOKEN"
PAGE_TOKEN: Final = "MIGRATION_GUARD_PAGE_TOKEN"  # noqa: S105  its name
CREDENTIAL: Final = "slack-webhook"
"""Name of the systemd credential: LoadCredential=slack-webhook:/etc/migration-guard/slack-webhook. Of one of several
daemons it bears the instance's name, as its file does: shop.slack-webhook."""
BOT_CREDENTIAL: Final = "slack-bot-token"
"""Likewise."""
PAGE_CREDENTIAL: Final = "page-token"
"""Likewise."""
_PREFIX: Final = "MIGRATION_GUARD_DATABASE_"
_CHANNEL: Final = "MIGRATION_GUARD_CHANNEL_"


class Environment(BaseSettings):
    """Variables of fixed names; an empty one counts as not set."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True)

    slack_webhook_url: SecretStr | None = Field(default=None, validation_alias=SLACK)
    slack_bot: SecretStr | None = Field(default=None, validation_alias=SLACK_BOT)
    slack_channel: str | None = Field(default=None, validation_alias=SLACK_CHANNEL)
    prometheus_password: SecretStr | None = Field(default=None, validation_alias=PROMETHEUS_PASSWORD)
    prometheus_bearer: SecretStr | None = Field(default=None, validation_alias=PROMETHEUS_BEARER)
    page_token: SecretStr | None = Field(default=None, validation_alias=PAGE_TOKEN)
    state_directory: str | None = Field(default=None, validation_alias="STATE_DIRECTORY")
    credentials_directory: str | None = Field(default=None, validation_alias="CREDENTIALS_DIRECTORY")

    def slack(self) -> Secret | None:
        """The webhook from its variable."""
        return _variable(SLACK, self.slack_webhook_url)

    def slack_bot_token(self) -> Secret | None:
        """The bot's token from its variable."""
        return _variable(SLACK_BOT, self.slack_bot)

    def password(self) -> Secret | None:
        """Prometheus' from its variable."""
        return _variable(PROMETHEUS_PASSWORD, self.prometheus_password)

    def bearer(self) -> Secret | None:
        """Prometheus' token from its variable."""
        return _variable(PROMETHEUS_BEARER, self.prometheus_bearer)

    def page(self) -> Secret | None:
        """The page's token from its variable."""
        return _variable(PAGE_TOKEN, self.page_token)

    def slack_credential(self) -> Secret | None:
        """The webhook that systemd provides, where it does."""
        return self.credential(CREDENTIAL)

    def slack_bot_credential(self) -> Secret | None:
        """The bot's token that systemd provides, where it does."""
        return self.credential(BOT_CREDENTIAL)

    def credential(self, name: str) -> Secret | None:
        """A secret that systemd provides under this name, where it does."""
        if self.credentials_directory is None:
            return None
        directory = Path(self.credentials_directory)
        path = directory / name
        try:
            found = [path] if path.exists() else sorted(directory.glob(f"*.{name}"))
        except OSError:
            # Commands beside the daemon (ExecReload=) may not look into its credentials; who needs it will be told.
            found = [path]
        return Secret(str(found[0]), path=found[0]) if found else None

    def state(self) -> Path:
        """$STATE_DIRECTORY (of several, the first), or the user's own state folder."""
        if self.state_directory:
            return Path(self.state_directory.split(":")[0])
        try:
            return Path("~/.local/state/migration-guard").expanduser()
        except RuntimeError:
            # An account without a home: what is wrong with the folder is told when it is first used.
            return Path("/var/lib/migration-guard")


def _variable(name: str, value: SecretStr | None) -> Secret | None:
    return None if value is None else Secret(f"the variable {name}", value=value.get_secret_value().strip())


def variable_of(name: str, what: str) -> str:
    """`DSN` or `PASSWORD` of a database: MIGRATION_GUARD_DATABASE_MAIN_DSN."""
    return _PREFIX + _spelt(name, what)


def of_database(name: str, what: str) -> Secret | None:
    """`DSN` or `PASSWORD` of a database from its variable."""
    return _found(variable_of(name, what))


def strays(names: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Variables that look like a database's and are none's, each with those that would be: a typo stays unseen else."""
    return _strays(_PREFIX, [variable_of(name, what) for name in names for what in ("DSN", "PASSWORD")])


def channel_variable(name: str, what: str) -> str:
    """`URL` or `SECRET` of a channel: MIGRATION_GUARD_CHANNEL_PAGER_URL."""
    return _CHANNEL + _spelt(name, what)


def of_channel(name: str, what: str) -> Secret | None:
    """`URL` or `SECRET` of a channel from its variable."""
    return _found(channel_variable(name, what))


def strays_of_channels(names: Iterable[str]) -> list[tuple[str, list[str]]]:
    """The same as strays() of what looks like a channel's."""
    return _strays(_CHANNEL, [channel_variable(name, what) for name in names for what in ("URL", "SECRET")])


def _spelt(name: str, what: str) -> str:
    return f"{name.upper().replace('-', '_')}_{what}"


def _found(variable: str) -> Secret | None:
    value = os.environ.get(variable, "")
    return Secret(f"the variable {variable}", value=value) if value else None


def _strays(prefix: str, known: list[str]) -> list[tuple[str, list[str]]]:
    return [
        (variable, known) for variable in sorted(os.environ) if variable.startswith(prefix) and variable not in known
    ]
