"""The channels on which people are told: from settings to messengers, credentials included, and to what each is for."""

from __future__ import annotations

from collections.abc import Mapping

from guard.errors import WorldError
from guard.settings import ChannelSettings, RouteSettings, Settings, SlackBotSettings, SlackSettings
from guard.tell.apprise import Apprise
from guard.tell.outbox import Messenger
from guard.tell.routing import Route
from guard.tell.slack import SlackWebhook
from guard.tell.slack_api import SlackApi
from guard.tell.slack_bot import SlackBot
from guard.tell.webhook import Webhook


def slack_of(settings: SlackSettings) -> Messenger:
    """What speaks to Slack. Raises WorldError where its credential cannot be had."""
    if settings.bot is not None:
        return bot_of(settings.bot)
    if settings.webhook is None:
        raise WorldError("There is neither a webhook nor a bot token for Slack.")
    return SlackWebhook(settings.webhook.reveal())


def bot_of(settings: SlackBotSettings, timeout: float = 10.0) -> SlackBot:
    """What speaks to Slack by a token; *timeout* in seconds. Raises WorldError where the token cannot be had."""
    return SlackBot(SlackApi(settings.token.reveal(), api=settings.api_url, timeout=timeout), settings.channel)


def channel_of(settings: ChannelSettings) -> Webhook | Apprise:
    """What speaks on a channel of `[[channel]]`. Raises WorldError where a credential or Apprise cannot be had."""
    url = settings.url.reveal()
    if settings.kind == "apprise":
        return Apprise(settings.name, url)
    if settings.secret is None:
        raise WorldError(f"There is no secret by which to sign what goes to {settings.name}.")
    return Webhook(settings.name, url, settings.secret.reveal())


def names(settings: Settings) -> list[str]:
    """Of all that people are told on, Slack first."""
    return ["slack"] * (settings.slack is not None) + [channel.name for channel in settings.channels]


def messenger(settings: Settings, name: str) -> Messenger:
    """The one of this name. Raises WorldError where a credential or Apprise cannot be had."""
    if settings.slack is not None and name == "slack":
        return slack_of(settings.slack)
    return channel_of(next(channel for channel in settings.channels if channel.name == name))


def routes_of(settings: Settings) -> Mapping[str, Route]:
    """What each is for, by its name."""
    found = {channel.name: _route(channel.route) for channel in settings.channels}
    return found if settings.slack is None else {"slack": _route(settings.slack.route), **found}


def _route(settings: RouteSettings) -> Route:
    return Route(settings.least, settings.databases, settings.migrations)
