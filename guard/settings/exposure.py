"""Who could see the secrets of a configuration: other accounts by a file's mode, and readers of the log or the line.

It refuses nothing: a guard that comes back in the middle of an incident must not stay away for the mode of a file.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from psycopg.conninfo import conninfo_to_dict

from guard.masking import remember
from guard.settings.lines import Key
from guard.settings.problems import Problems
from guard.settings.reading import Document
from guard.settings.secret import Secret, readable_by_others
from guard.settings.values import AccessSettings, Settings

_SECRET_HEADER: Final = re.compile("auth|cookie|key|secret|token", re.IGNORECASE)
_PASSWORDS: Final = ("password", "sslpassword", "oauth_client_secret")


def look_at_exposure(settings: Settings, document: Document, problems: Problems) -> None:
    """Warn of secrets that other accounts can read, and have the log mask what the file itself holds."""
    _files(settings, document, problems)
    _own_file(settings, document, problems)
    _in_clear(settings, document, problems)
    for _, access in _accesses(settings, document):
        for name, value in access.headers.items():
            if _SECRET_HEADER.search(name):
                remember(value)
    for rule in settings.rules:
        if rule.metric == "http":
            remember(urlsplit(rule.query).query)


def _files(settings: Settings, document: Document, problems: Problems) -> None:
    secrets: list[tuple[Key, Secret | None]] = []
    for database in settings.databases:
        key: Key = ("database", database.name)
        secrets += [((*key, "dsn_file"), database.dsn), ((*key, "password_file"), database.password)]
    if settings.slack is not None:
        secrets.append((("slack", "webhook_url_file"), settings.slack.webhook))
    if settings.slack is not None and settings.slack.bot is not None:
        secrets.append((("slack", "bot_token_file"), settings.slack.bot.token))
    secrets += _of_channels(settings, document)
    for key, access in _accesses(settings, document):
        secrets += [((*key, "bearer_token_file"), access.bearer), ((*key, "password_file"), access.password)]
    for place, secret in secrets:
        if secret is not None and secret.path is not None and (why := readable_by_others(secret.path)):
            problems.warn(place, why)


def _of_channels(settings: Settings, document: Document) -> Iterator[tuple[Key, Secret | None]]:
    known = {channel.name: channel for channel in settings.channels}
    tables = document.tables.get("channel")
    for index, table in enumerate(tables if isinstance(tables, list) else ()):
        channel = known.get(str(_tables(table).get("name")))
        if channel is not None:
            yield ("channel", index, "url_file"), channel.url
            yield ("channel", index, "secret_file"), channel.secret


def _own_file(settings: Settings, document: Document, problems: Problems) -> None:
    why = readable_by_others(document.path)
    if why is None:
        return
    for name, table in _tables(document.tables.get("database")).items():
        if _holds_password(_tables(table).get("dsn")):
            problems.warn(("database", name, "dsn"), f"holds a password, and {why}; or use password_file")
        for standby, dsn in _tables(_tables(table).get("standby_dsns")).items():
            if _holds_password(dsn):
                place = ("database", name, "standby_dsns", standby)
                problems.warn(place, f"holds a password, and {why}; the one of password_file serves standbys too")
    for key, access in _accesses(settings, document):
        for name in filter(_SECRET_HEADER.search, access.headers):
            problems.warn((*key, "headers", name), f"looks like a secret, and {why}; or use bearer_token_file")


def in_clear(url: str) -> bool:
    """Whether what is sent to this address can be read on the way: http, to another machine than this one."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        here = ipaddress.ip_address(host).is_loopback
    except ValueError:
        here = host == "localhost" or host.endswith(".localhost")
    return parts.scheme == "http" and not here


def _in_clear(settings: Settings, document: Document, problems: Problems) -> None:
    urls = {rule.name: rule.query for rule in settings.rules if rule.metric == "http"}
    for key, access in _accesses(settings, document):
        if settings.prometheus is not None and key == ("prometheus",):
            where, url = "url", settings.prometheus.url
        else:
            where, url = "http", urls.get(document.tables["rule"][key[1]]["name"], "")
        named = access.bearer is not None or access.username is not None
        told = named or any(map(_SECRET_HEADER.search, access.headers)) or _SECRET_HEADER.search(urlsplit(url).query)
        if told and in_clear(url):
            host = urlsplit(url).hostname
            problems.warn((*key, where), f"sends a credential to {host} that anybody on the way can read; use https")


def _accesses(settings: Settings, document: Document) -> Iterator[tuple[Key, AccessSettings]]:
    """How each source is asked, and where the file says so."""
    if settings.prometheus is not None:
        yield ("prometheus",), settings.prometheus.access
    rules = document.tables.get("rule")
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        name = _tables(rule).get("name")
        if isinstance(name, str) and name in settings.access:
            yield ("rule", index), settings.access[name]


def _tables(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _holds_password(dsn: object) -> bool:
    if not isinstance(dsn, str):
        return False
    try:
        parts = conninfo_to_dict(dsn)
    except Exception:  # noqa: BLE001  whatever is wrong with it is told where it is read
        return False
    return any(parts.get(name) for name in _PASSWORDS)
