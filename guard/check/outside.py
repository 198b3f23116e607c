"""Prometheus, HTTP endpoints and Slack's credential: each rule asks once, nothing is sent to Slack."""

from __future__ import annotations

import math
import time
from urllib.parse import urlsplit

import httpx

from guard.check.remarks import Remark, fine, problem, warning
from guard.errors import WorldError
from guard.judge.quantities import say
from guard.model import Rule
from guard.settings import PrometheusSettings, Settings

_TIMEOUT = 5.0
_LARGEST = 1 << 20


class _Wrong(Exception):
    """What is wrong with an answer, in words without a secret."""


async def check_rule(settings: Settings, rule: Rule) -> list[Remark]:
    """One query of a Prometheus or HTTP rule."""
    place = f'rule "{rule.name}"'
    by_prometheus = rule.sensor.startswith("prometheus:")
    try:
        if by_prometheus:
            value = _single(await _query(settings.prometheus, rule.query))
        else:
            value = _at(await _get(rule.query, params={}, headers={}), rule.json_path)
    except (_Wrong, WorldError) as wrong:
        silent = "ignores that" if rule.no_data == "ignore" else f"will {rule.no_data} for it"
        todo = f"until there is an answer the guard {silent}; mend the query or the address"
        return [problem(place, str(wrong), todo)]
    return [fine(place, f"answers {say(value * rule.scale, rule.dimension)}")]


def check_slack(settings: Settings) -> list[Remark]:
    """Whether the credential can be read; that it is taken shows `migration-guard alert --test`."""
    if settings.slack is None:
        todo = "add [slack] webhook_url_file, or read the log: nobody is told of a pause otherwise"
        return [warning("slack", "there is no [slack], so notices go to the log alone", todo)]
    try:
        url = settings.slack.webhook.reveal()
    except WorldError as wrong:
        todo = "put the webhook's URL there, mode 0400, owned by the guard's user"
        return [problem("slack", str(wrong), todo)]
    parts = urlsplit(url)
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        return [
            problem("slack", f"{settings.slack.webhook.source} holds no URL", "copy it from the app's page in Slack")
        ]
    return [fine("slack", f"a webhook at {parts.hostname} (try it: migration-guard alert --test)")]


async def _query(prometheus: PrometheusSettings | None, query: str) -> object:
    if prometheus is None:
        raise _Wrong("there is no [prometheus] url to ask")
    headers = dict(prometheus.headers)
    if prometheus.bearer is not None:
        headers["Authorization"] = f"Bearer {prometheus.bearer.reveal()}"
    address = prometheus.url.rstrip("/") + "/api/v1/query"
    return await _get(address, params={"query": query, "time": f"{time.time():.3f}"}, headers=headers)


async def _get(url: str, *, params: dict[str, str], headers: dict[str, str]) -> object:
    host = urlsplit(url).hostname or "?"
    try:
        async with httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=_TIMEOUT) as client:
            request = client.build_request("GET", url, params=params or None, headers=headers)
            answer = await client.send(request)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # From None and by type: the words of the original may hold the whole URL.
        raise _Wrong(f"{host} does not answer ({type(error).__name__})") from None
    try:
        body: object = answer.json() if len(answer.content) <= _LARGEST else None
    except ValueError:
        body = None
    if answer.status_code != 200:
        said = body.get("error", "") if isinstance(body, dict) else ""
        raise _Wrong(f"{host} answers HTTP {answer.status_code}" + (f": {said}" if said else ""))
    if body is None:
        raise _Wrong(f"{host} answers with something else than JSON of at most 1 MB")
    return body


def _single(body: object) -> float:
    data = body.get("data") if isinstance(body, dict) else None
    result = data.get("result") if isinstance(data, dict) else None
    if isinstance(data, dict) and data.get("resultType") == "scalar" and isinstance(result, list):
        return _number(result[1])
    if not isinstance(result, list):
        raise _Wrong("the answer is not Prometheus'")
    if len(result) != 1:
        raise _Wrong(
            f"the query gives {len(result)} series instead of one" + ("; does the metric exist?" * (not result))
        )
    value = result[0].get("value") if isinstance(result[0], dict) else None
    if not isinstance(value, list):
        raise _Wrong("the query gives a range instead of one value")
    return _number(value[1])


def _at(body: object, path: str) -> float:
    for step in path.split(".") if path else []:
        if isinstance(body, list) and step.isdecimal() and int(step) < len(body):
            body = body[int(step)]
        elif isinstance(body, dict) and step in body:
            body = body[step]
        else:
            raise _Wrong(f"the answer has nothing at {path}")
    return _number(body)


def _number(value: object) -> float:
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise _Wrong(f"the answer is not a number ({str(value)[:40]})")
    return number
