"""What went wrong, named once and without secrets; and the end of what was given up."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping
from typing import Any

import psycopg

from guard.errors import NotPermitted, QueryFailed, ServerError, Unreachable
from guard.masking import forms_of, without

_SECRETS = ("password", "sslpassword", "oauth_client_secret")

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


class Naming:
    """Names the errors of one door."""

    def __init__(self, purpose: str, conninfo: Mapping[str, Any]) -> None:
        self._purpose = purpose
        self._secrets = {form for key in _SECRETS if conninfo.get(key) for form in forms_of(str(conninfo[key]))}

    def wrapped(self, error: psycopg.Error, connection: Connection) -> ServerError:
        """The driver's error as one of guard.errors, by what it means for the caller."""
        state = error.sqlstate
        text = self.redacted(error.diag.message_primary or error)
        if connection.closed or (state or "").startswith("08"):
            return Unreachable(f"{self._purpose}: the connection to PostgreSQL broke: {text}", state)
        if state == "42501":
            return NotPermitted(f"{self._purpose}: not permitted: {text}", state)
        return QueryFailed(f"{self._purpose}: PostgreSQL refused: {text} ({state or 'no SQLSTATE'})", state)

    def redacted(self, error: object) -> str:
        """Its text in one line, without the secrets of the connection string, however they are written."""
        # Both before and after the text is brought to one line, since a secret may hold more than one space.
        return without(" ".join(without(str(error), self._secrets).split()), self._secrets)


async def bury(connection: Connection, task: asyncio.Future[Any]) -> None:
    """See an abandoned question to its end, so that nothing is left open and no exception goes unheard."""
    done, _ = await asyncio.wait({task}, timeout=1.0)
    if not done:
        task.cancel()
        await asyncio.wait({task})
    if not task.cancelled():
        task.exception()
    await connection.close()


async def bury_connect(task: asyncio.Future[Connection]) -> None:
    """See an abandoned attempt to connect to its end."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled() and task.exception() is None:
        await task.result().close()


def shut(connection: Connection) -> None:
    """Have the server see the end of the line at once, whoever reads from it here."""
    with contextlib.suppress(OSError, psycopg.Error):
        # A duplicate, since closing the driver's own descriptor under its reader would confuse the event loop.
        duplicate = socket.socket(fileno=os.dup(connection.fileno()))
        with duplicate:
            duplicate.shutdown(socket.SHUT_RDWR)
