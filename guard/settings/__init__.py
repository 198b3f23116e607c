"""TOML and environment to frozen settings: `load(path)`. The only room that knows pydantic.

    reading    a path to TOML tables            lines      on which line a key stands
    tables     which keys there are             kinds      what a value allows by itself
    selecting  which series a rule means        rules      what the keys of a rule mean together
    problems   every mistake at once            loading    the sections, and what they mean together
    access     how a source is asked by HTTP    standbys   where standbys are asked themselves
    checks     queries about the data           channels   where people are told beside Slack
    environment, secret                         exposure   who could see the secrets
    databases, slack, page   each its section   paper      docs/settings.md, from the tables
    values     what comes out

Whether a host answers or a credential exists is not asked here: a file is right or wrong on any machine alike.
"""

from guard.settings.exposure import in_clear
from guard.settings.loading import load, salvage
from guard.settings.rules import ONE_PRIMARY_METRIC, one_primary
from guard.settings.secret import Secret
from guard.settings.standbys import asked_standbys
from guard.settings.values import (
    WATCHDOG,
    AccessSettings,
    ChannelSettings,
    CheckSettings,
    DatabaseSettings,
    GuardSettings,
    MigrationSettings,
    PageSettings,
    PrometheusSettings,
    Recognition,
    RollbackSettings,
    RouteSettings,
    Settings,
    SlackBotSettings,
    SlackSettings,
)

__all__ = [
    "ONE_PRIMARY_METRIC",
    "WATCHDOG",
    "AccessSettings",
    "ChannelSettings",
    "CheckSettings",
    "DatabaseSettings",
    "GuardSettings",
    "MigrationSettings",
    "PageSettings",
    "PrometheusSettings",
    "Recognition",
    "RollbackSettings",
    "RouteSettings",
    "Secret",
    "Settings",
    "SlackBotSettings",
    "SlackSettings",
    "asked_standbys",
    "in_clear",
    "load",
    "one_primary",
    "salvage",
]
