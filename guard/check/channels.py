"""The channels beside Slack: whether their credentials can be had, and somebody is there. Nobody is shown anything."""

from __future__ import annotations

from urllib.parse import urlsplit

from guard.channels import channel_of
from guard.check.remarks import Remark, fine, problem, warning
from guard.errors import TellError, WorldError
from guard.settings import ChannelSettings, in_clear
from guard.settings.channels import SHORTEST
from guard.tell.apprise import Apprise
from guard.tell.http import is_url
from guard.tell.webhook import Webhook

_SEE = "see it arrive: migration-guard alert --test"


async def check_channel(settings: ChannelSettings) -> list[Remark]:
    """One of `[[channel]]`; that what is sent looks well shows `alert --test`."""
    place = f'channel "{settings.name}"'
    try:
        messenger = channel_of(settings)
        url, secret = settings.url.reveal(), settings.secret.reveal() if settings.secret else ""
    except WorldError as wrong:
        return [problem(place, str(wrong), "without it the daemon does not start; mend it, or take the channel out")]
    if isinstance(messenger, Apprise):
        return [_apprise(place, messenger)]
    if not is_url(url):
        return [problem(place, f"{settings.url.source} holds no URL", "write one of https:// or http:// there")]
    remarks = [await _webhook(place, messenger, urlsplit(url).hostname or "")]
    if in_clear(url):
        what = "notices go there by http, so anybody on the way can read them, and the URL"
        remarks.append(warning(place, what, "use https"))
    if len(secret) < SHORTEST:
        what = f"its signing secret has fewer than {SHORTEST} characters, so it can be guessed"
        remarks.append(warning(place, what, "make another, on both sides: openssl rand -hex 32"))
    return remarks


def _apprise(place: str, messenger: Apprise) -> Remark:
    service = messenger.service()
    if not service:
        return problem(place, "its URL is none that Apprise understands", "see Apprise's own pages for its service")
    return fine(place, f"Apprise understands its URL as one of {service} ({_SEE})")


async def _webhook(place: str, messenger: Webhook, host: str) -> Remark:
    try:
        status = await messenger.knock()
    except TellError as wrong:
        todo = "look whether this machine may reach it; until then notices wait, and nobody is told on this channel"
        return warning(place, str(wrong), todo)
    finally:
        await messenger.close()
    return fine(place, f"{host} is there and answers a HEAD with HTTP {status} ({_SEE})")
