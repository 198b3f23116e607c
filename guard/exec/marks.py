"""What a command is started with, so that its sessions can be known on the server. It starts nothing.

libpq and what is modelled on it read PGAPPNAME and PGOPTIONS; a URL that says application_name wins over PGAPPNAME, and
some drivers do not read PGOPTIONS. So whether the name has arrived is looked up on the server, and here only prepared.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit, urlunsplit

from psycopg import pq

CHECK_INTERVAL = "500ms"
"""How often the server looks whether the client of a running statement is still there. Without it the statement of a
client that was killed goes on, and commits."""
_URLS = ("postgres://", "postgresql://")


def mark_of(name: str) -> str:
    """The application_name of the sessions of a migration."""
    return f"migration:{name}"


def environment(given: Mapping[str, str], name: str, lock_timeout: float) -> dict[str, str]:
    """The environment of the command; *lock_timeout* in seconds. What PGOPTIONS says already stays."""
    options = given.get("PGOPTIONS", "")
    ours = {
        "lock_timeout": f"{max(1, round(lock_timeout * 1000))}ms",
        "client_connection_check_interval": CHECK_INTERVAL,
    }
    more = [f"-c {setting}={value}" for setting, value in ours.items() if f"{setting}=" not in options]
    return {**given, "PGAPPNAME": mark_of(name), "PGOPTIONS": " ".join([options, *more]).strip()}


def remarks(given: Mapping[str, str], name: str) -> list[str]:
    """What in the environment will keep the mark from its sessions, in words that hold no value of it."""
    wrong = []
    for variable, value in sorted(given.items()):
        said = _said(value)
        if said is not None and said != mark_of(name):
            wrong.append(
                f"{variable} says an application_name of its own, which wins over PGAPPNAME: take it out, or write "
                f"application_name={mark_of(name)}"
            )
    return wrong


def _said(value: str) -> str | None:
    if not value.startswith(_URLS):
        return None
    try:
        return parse_qs(urlsplit(value).query).get("application_name", [None])[-1]
    except ValueError:
        return None


def conninfo_of(given: Mapping[str, str]) -> str:
    """The connection string that the command itself most likely uses: DATABASE_URL, else what PG* variables say.

    Of the URL only what libpq knows: other drivers take parameters of their own, such as `schema`.
    """
    url = given.get("DATABASE_URL", "")
    if not url.startswith(_URLS):
        return ""
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    kept = [each for each in parts.query.split("&") if each.partition("=")[0] in known - {"application_name"}]
    return urlunsplit(parts._replace(query="&".join(kept)))
