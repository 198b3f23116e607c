"""Prometheus, HTTP endpoints and Slack: each rule asks once, as it will later; in Slack nothing is to be seen of it."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from guard.check.remarks import Remark, fine, problem, warning, whereof
from guard.check.slack_bot import check_bot
from guard.errors import Refused, TellError, WorldError
from guard.judge.baselines import LEAST, goes_by_baseline, take, words
from guard.judge.quantities import say, say_seconds
from guard.model import Reading, Rule
from guard.settings import Secret, Settings, in_clear
from guard.sources import application_probe, histories_of
from guard.tell.slack import SlackWebhook

_KNOCK_WITHIN = 5.0
"""Seconds."""


async def check_rule(settings: Settings, rule: Rule) -> list[Remark]:
    """One poll of a Prometheus or HTTP rule."""
    place = f'rule "{rule.name}"'
    after = "it is ignored" if rule.no_data == "ignore" else f"a migration will {rule.no_data}"
    todo = f"mend the query, the address or the credential; until there is a number, {after}"
    try:
        probe = application_probe(settings, rule)
    except WorldError as wrong:
        return [problem(place, str(wrong), todo)]
    try:
        (sample,) = (await probe.poll()).samples
    finally:
        await probe.close()
    if isinstance(sample, Reading):
        told = f"answers {say(sample.value, rule.dimension)}{whereof(rule)}"
    elif sample.abstains:
        told = f"answers, and abstains for now: {sample.why}"
    else:
        return [problem(place, f"no number: {sample.why}", todo)]
    return [fine(place, told), *await _baseline(settings, rule)]


async def _baseline(settings: Settings, rule: Rule) -> list[Remark]:
    """Whether Prometheus remembers enough of a rule that drifts: it is asked for a baseline as a migration comes."""
    history = histories_of(settings, [rule]).get(rule.name)
    if history is None or not goes_by_baseline(rule):
        return []
    place, window, now = f'rule "{rule.name}"', settings.guard.gathering.window, time.time()
    try:
        samples = await history.samples(now - window, now)
        return [fine(place, words(take(samples, "", window, history.source), rule.dimension))]
    except Refused as refused:
        seconds = LEAST * settings.guard.gathering.spacing
        todo = f"have the guard run for {say_seconds(seconds)} before a migration: then its own readings make one"
        return [warning(place, f"no baseline from {history.source}: {refused}", todo)]


async def check_slack(settings: Settings) -> list[Remark]:
    """Whether the credential can be read, and is taken; that the message looks well shows `alert --test`."""
    if settings.slack is None:
        if settings.channels:
            return []
        todo = "add [slack] or [[channel]]; without them nobody is told of a pause who does not read the log"
        return [warning("slack", "there is neither [slack] nor [[channel]], so notices go to the log alone", todo)]
    if settings.slack.bot is not None:
        return await check_bot(settings.slack.bot)
    return [] if settings.slack.webhook is None else await _check_webhook(settings.slack.webhook)


async def _check_webhook(webhook: Secret) -> list[Remark]:
    try:
        url = webhook.reveal()
    except WorldError as wrong:
        todo = "put the webhook's URL there, mode 0400, owned by the guard's user"
        return [problem("slack", str(wrong), todo)]
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        what = f"{webhook.source} holds no URL"
        return [problem("slack", what, "copy the webhook's from the app's page in Slack")]
    knocked = await _knock(url, f"a webhook at {parts.hostname}")
    if not in_clear(url):
        return [knocked]
    what = f"the webhook goes to {parts.hostname} by http, so anybody on the way can read it and then write there"
    return [knocked, warning("slack", what, "use https")]


async def _knock(url: str, what: str) -> Remark:
    webhook = SlackWebhook(url, timeout=_KNOCK_WITHIN)
    try:
        await webhook.knock()
    except TellError as wrong:
        if wrong.again:
            todo = "look whether this machine may reach it; until then notices wait, and nobody is told"
            return warning("slack", f"{what} does not answer as it should: {wrong}", todo)
        return problem("slack", f"{what} is refused: {wrong}", "make a new one on the app's page in Slack")
    finally:
        await webhook.close()
    return fine("slack", f"{what} is taken (see it: migration-guard alert --test)")
