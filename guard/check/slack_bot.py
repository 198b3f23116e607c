"""Slack's bot token: whether it can be had, and is taken. Nobody is shown anything."""

from __future__ import annotations

from urllib.parse import urlsplit

from guard.channels import bot_of
from guard.check.remarks import Remark, fine, problem, warning
from guard.errors import TellError, WorldError
from guard.settings import SlackBotSettings, in_clear

_KNOCK_WITHIN = 5.0
"""Seconds."""


async def check_bot(settings: SlackBotSettings) -> list[Remark]:
    """What can be known without posting; that the bot may post in its channel shows `alert --test`."""
    try:
        token = settings.token.reveal()
    except WorldError as wrong:
        todo = "put the bot's token there, mode 0400, owned by the guard's user"
        return [problem("slack", str(wrong), todo)]
    if urlsplit(token).scheme in {"https", "http"}:
        return [problem("slack", f"{settings.token.source} holds a URL and no token", "name it webhook_url_file")]
    remarks = [await _knock(settings)]
    if in_clear(settings.api_url):
        what = "the bot token goes to api_url by http, so anybody on the way can read it and then post"
        remarks.append(warning("slack", what, "use https"))
    return remarks


async def _knock(settings: SlackBotSettings) -> Remark:
    bot = bot_of(settings, timeout=_KNOCK_WITHIN)
    try:
        who = await bot.knock()
    except TellError as wrong:
        if wrong.again:
            todo = "look whether this machine may reach it; until then notices wait, and nobody is told"
            return warning("slack", f"the bot is not answered as it should be: {wrong}", todo)
        return problem("slack", f"the bot token is refused: {wrong}", "docs/slack.md has the steps to a token")
    finally:
        await bot.close()
    return fine(
        "slack", f"the bot {who} is known (that it may post to {settings.channel}: migration-guard alert --test)"
    )
