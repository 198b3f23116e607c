"""The hosts of a connection string, each as a connection string of its own. It connects to nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from guard.errors import WorldError

DEFAULT_PORT = "5432"
_UNREADABLE = "the connection string (dsn) cannot be parsed."


@dataclass(frozen=True, slots=True)
class Address:
    """One host."""

    name: str
    """As people know it: `db1`, or `db1:5433` where only the port tells two apart."""
    conninfo: str = field(repr=False)
    """May hold a password."""


def parse(conninfo: str, purpose: str) -> dict[str, Any]:
    """Its parameters as they are written. Raises WorldError."""
    try:
        return conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError:  # its own words may quote a password
        raise WorldError(f"{purpose}: {_UNREADABLE}") from None


def addresses(conninfo: str, purpose: str = "hosts") -> tuple[Address, ...]:
    """Every host that libpq would try, in its order; a name that stands for several machines is one.

    Lists come from the string, its service file, or PGHOST and its like, and are paired as libpq pairs them: one port
    stands for all. Raises WorldError where they do not fit each other.
    """
    given = parse(conninfo, purpose)
    known = _with_defaults(conninfo)
    hosts, numeric, ports = (_list(known.get(key)) for key in ("host", "hostaddr", "port"))
    count = max(len(numeric or hosts), 1)
    if numeric and hosts and len(hosts) != count:
        raise WorldError(f"{purpose}: the connection string names {len(hosts)} hosts and {count} addresses (hostaddr).")
    if len(ports) not in (0, 1, count):
        raise WorldError(f"{purpose}: the connection string names {count} hosts and {len(ports)} ports.")
    if count == 1:
        return (Address(hosts[0] if hosts and hosts[0] else numeric[0] if numeric else "local", conninfo),)
    ports = ports * count if len(ports) == 1 else ports
    each = list(zip_longest(hosts, numeric, ports, fillvalue=""))
    names = _names([(host or address or "local", port or DEFAULT_PORT) for host, address, port in each])
    # Whom to choose is no longer libpq's affair, and a host that is asked what it is must not be refused for it.
    single = {"target_session_attrs": "any", "load_balance_hosts": "disable"}
    return tuple(
        Address(name, make_conninfo("", **{**given, **single, "host": host, "hostaddr": address, "port": port}))
        for name, (host, address, port) in zip(names, each, strict=True)
    )


def _list(text: str | None) -> list[str]:
    return text.split(",") if text else []


def _names(each: list[tuple[str, str]]) -> list[str]:
    hosts = [host for host, _ in each]
    return [f"{host}:{port}" if hosts.count(host) > 1 else host for host, port in each]


def _with_defaults(conninfo: str) -> Mapping[str, str]:
    """The parameters with those of the service file and the environment, which only libpq itself puts together.

    It does so when it begins to connect, and an impossible sslmode ends that before the first host name is looked up.
    """
    started = pq.PGconn.connect_start(make_conninfo(conninfo, sslmode="?").encode())
    try:
        return {option.keyword.decode(): option.val.decode() for option in started.info if option.val is not None}
    finally:
        started.finish()
