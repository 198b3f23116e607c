"""[page]: where the status page listens, and who may look."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BeforeValidator

from guard.settings.environment import PAGE_CREDENTIAL, Environment
from guard.settings.kinds import File, Refused
from guard.settings.problems import Problems
from guard.settings.secret import Secret, readable_by_others
from guard.settings.tables import Table
from guard.settings.values import PageSettings

_EXAMPLE: Final = (
    'must be an address and a port, such as "127.0.0.1:8788" or "[::1]:8788", or the path of a Unix socket'
)
_LONGEST_PATH: Final = 100
"""Bytes; Linux takes 107 for the path of a Unix socket, macOS 103."""
_KEY: Final = ("page",)


def _listen(value: Any) -> tuple[str, int] | Path:
    """An address and a port, such as `"127.0.0.1:8788"` or `"[::1]:8788"`; or the path of a Unix socket."""
    if not isinstance(value, str):
        raise Refused(_EXAMPLE)
    if value.startswith("/"):
        if len(value.encode()) > _LONGEST_PATH or not value.isprintable() or value.endswith("/"):
            raise Refused(f"must be the path of a Unix socket of at most {_LONGEST_PATH} bytes")
        return Path(value)
    host, colon, port = value.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise Refused(_EXAMPLE)
    if host == "localhost":
        return "127.0.0.1", int(port)
    inner = host.removeprefix("[").removesuffix("]")
    try:
        address = ipaddress.ip_address(inner)
    except ValueError:
        raise Refused(f"{_EXAMPLE}; a name may lead anywhere, so it must be an address") from None
    if (address.version == 6) != host.startswith("["):
        raise Refused(_EXAMPLE)
    return inner, int(port)


def _hosts(value: Any) -> tuple[str, ...]:
    """A list of names, without port, in lower case or not."""
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value) or len(value) > 100:
        raise Refused('must be a list of names, such as ["guard.example.com"]')
    for each in value:
        if not re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\]", each):
            raise Refused(
                "must hold names without a scheme, a port or a pattern, as they stand before a browser's page"
            )
    return tuple(each.lower() for each in value)


class PageTable(Table):
    """[page]: the status page, `/metrics` and `/healthz` (docs/page.md). Without this section nobody listens. Nothing
    can be changed by it."""

    listen: Annotated[tuple[str, int] | Path, BeforeValidator(_listen)] = ("127.0.0.1", 8788)
    """Where it listens."""
    hosts: Annotated[tuple[str, ...], BeforeValidator(_hosts)] = ()
    """Names by which browsers may ask for it, beside that address and `localhost`; by any other they are refused."""
    token_file: File | None = None
    """It holds a token without which nobody may look; needed where other machines can reach it. The variable
    `MIGRATION_GUARD_PAGE_TOKEN` wins; without either, the systemd credential `page-token` is used if there is one."""
    tls_certificate: File | None = None
    """The certificate and those above it (PEM); read anew at each reload."""
    tls_key: File | None = None
    """Its private key (PEM), without a passphrase."""


def read_page(
    given: Any, problems: Problems, at: Callable[[Path], Path], environment: Environment
) -> PageSettings | None:
    """What [page] says, None where there is no such section; *at* is where the file's relative paths begin."""
    if given is None:
        return None
    table, broken = problems.check(PageTable, given, _KEY)
    if table is None:
        return None
    written = None if table.token_file is None else Secret(str(at(table.token_file)), path=at(table.token_file))
    token = environment.page() or written or environment.credential(PAGE_CREDENTIAL)
    tls = None
    if table.tls_certificate is not None and table.tls_key is not None:
        tls = at(table.tls_certificate), at(table.tls_key)
    elif not broken & {"tls_certificate", "tls_key"} and (table.tls_certificate or table.tls_key):
        given_one, other = ("tls_key", "tls_certificate") if table.tls_key else ("tls_certificate", "tls_key")
        problems.add((*_KEY, given_one), f"needs {other} as well")
    host, port = ("", 0) if isinstance(table.listen, Path) else table.listen
    path = table.listen if isinstance(table.listen, Path) else None
    page = PageSettings(host, port, path, table.hosts, token, tls)
    _look_at_reach(page, problems, broken)
    return page


def _look_at_reach(page: PageSettings, problems: Problems, broken: frozenset[str]) -> None:
    """Beyond this machine nobody may look without a token. In clear they may: TLS may end at a proxy before us."""
    for key, path in (("token_file", page.token.path if page.token else None), ("tls_key", page.tls and page.tls[1])):
        if path is not None and (why := readable_by_others(path)):
            problems.warn((*_KEY, key), why)
    if page.path is not None or ipaddress.ip_address(page.host).is_loopback:
        return
    if page.token is None and not broken & {"token_file"}:
        problems.add(
            (*_KEY, "listen"),
            f"other machines can reach {page.host}, so it needs a token: token_file, the variable "
            "MIGRATION_GUARD_PAGE_TOKEN, or the systemd credential page-token",
        )
    if page.tls is None and not broken & {"tls_certificate", "tls_key"}:
        problems.warn(
            (*_KEY, "listen"),
            "the token and the page can be read on the way: give tls_certificate and tls_key, unless TLS ends at a "
            "proxy on the way here",
        )
