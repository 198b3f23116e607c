"""What is wrong with a connection string that libpq takes all the same: a password that spills into the address.

In a URL an `@` or `/` in the password must be written %40 or %2F. Where it is not, libpq reads the rest of the password
as the host or the database, both of which stand in messages. Nothing is connected here.
"""

from __future__ import annotations

from typing import Final

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

NO_DSN: Final = 'must be a connection string, such as "host=db1 dbname=app user=migration_guard" or postgresql://...'
SPILT: Final = "is a URL whose password is not percent-encoded (@ is %40, / is %2F); or use password_file"
NO_PORT: Final = "needs a port from 1 to 65535"


def flaw_of(text: str) -> str | None:
    """Why libpq would not understand *text*, or not as it was meant; None where it is well. It quotes nothing of it."""
    try:
        parts = conninfo_to_dict(text)
    except (ProgrammingError, ValueError):
        # libpq's own words may quote the string, and so the password.
        return NO_DSN
    hosts = str(parts.get("host") or "").split(",")
    # A host that begins with @ is a socket in Linux' abstract namespace.
    spilt = any("@" in host[1:] for host in hosts)
    is_url = text.lstrip().startswith(("postgresql://", "postgres://"))
    if spilt or (is_url and "@" in str(parts.get("dbname") or "")):
        return SPILT
    ports = [port.strip() for port in str(parts.get("port") or "").split(",")]
    return NO_PORT if any(port and not _is_port(port) for port in ports) else None


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= 65535
