"""A notice through Apprise, which knows some 150 services: mail, PagerDuty, Opsgenie, Teams, Telegram, ntfy.

It sends once and says what came of it. Apprise waits where it is called, and for how long is each service's own
affair: so it is called in one thread a channel, never in a shared pool, and a channel that hangs holds up no other. Its
URL is a secret, and its own words may hold parts of it: none is logged, and of a refusal only the HTTP status is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import queue
import re
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

from guard.errors import TellError, WorldError
from guard.masking import remember
from guard.model import Notice, Severity
from guard.tell import routing
from guard.tell.http import judge
from guard.tell.plain import body, subject

_SECRETS = 8
"""Characters: shorter parts of a URL are words."""
_STATUS = re.compile(r"error=([1-5][0-9]{2})\b")
"""How Apprise logs the answer of a service."""

Job = tuple[Notice, Callable[[TellError | None], None]]


class Apprise:
    """One URL of Apprise. Its thread ends with it, or with the process."""

    pace = 1.0
    """Seconds between messages: what chats and text messages bear."""

    def __init__(self, name: str, url: str, timeout: float = 30.0) -> None:
        """`timeout`: seconds after which a send counts as failed, though the service may still be at work on it.

        Raises WorldError where Apprise is not installed.
        """
        if importlib.util.find_spec("apprise") is None:
            raise WorldError(
                f"The channel {name} needs Apprise, which is not installed: pip install 'migration-guard[apprise]'."
            )
        self.name = name
        self._url = url
        self._timeout = timeout
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._busy = False
        self._arrived = ""
        """Id of the last notice that a service took; it may have taken it after we had given up waiting."""
        for part in _parts(url):
            remember(part)

    def __repr__(self) -> str:
        return f"Apprise({self.name!r}, url hidden)"

    def start(self, _memory: object = None) -> None:
        """Load Apprise's many modules now, and not with the first alarm. May be left out, and called twice."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=f"tell {self.name}", daemon=True)
            self._thread.start()

    async def send(self, notice: Notice) -> None:
        """Hand the notice to the service. Raises TellError; after a timeout it may have arrived all the same."""
        if self._busy:
            raise TellError("The service is still at work on the notice before.", again=True)
        if self._arrived == notice.notice_id:
            return
        self.start()
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[TellError | None] = loop.create_future()

        def tell(problem: TellError | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed by now
                loop.call_soon_threadsafe(lambda: None if ended.done() else ended.set_result(problem))

        self._busy = True
        self._jobs.put((notice, tell))
        try:
            async with asyncio.timeout(self._timeout):
                problem = await ended
        except TimeoutError:
            raise TellError(f"The service did not answer within {self._timeout:g} s.", again=True) from None
        if problem is not None:
            raise problem

    def service(self) -> str:
        """The name of the service that the URL means; empty where it means none. Nobody is asked."""
        found = _server(self._url)
        return "" if found is None else str(found.service_name)

    async def close(self) -> None:
        """End the thread as soon as it has nothing to do. A service that hangs is waited for by nobody."""
        if self._thread is not None:
            self._thread = None
            self._jobs.put(None)

    def _work(self) -> None:
        heard, quiet = _Heard(), logging.getLogger("apprise")
        quiet.addHandler(heard)
        try:
            self._deliver(heard)
        finally:
            quiet.removeHandler(heard)

    def _deliver(self, heard: _Heard) -> None:
        server: Any = None
        with contextlib.suppress(Exception):  # it is told with the first notice
            server = _server(self._url)
        while (job := self._jobs.get()) is not None:
            notice, tell = job
            heard.status = None
            try:
                server = server or _server(self._url)
                problem = self._once(server, notice, heard)
            except Exception as error:  # noqa: BLE001 -- whatever it stumbles over, the URL may stand in it: the type only
                problem = TellError(f"Apprise failed ({type(error).__name__}).", again=True)
            if problem is None:
                self._arrived = notice.notice_id
            self._busy = False
            tell(problem)

    def _once(self, server: Any, notice: Notice, heard: _Heard) -> TellError | None:
        if server is None:
            return TellError("Its URL is none that Apprise understands.", again=False)
        import apprise

        sender = apprise.Apprise(asset=server.asset)
        sender.add(server)
        # As text: where a service shows HTML or Markdown, names must not be able to mark anything up.
        if sender.notify(
            body=body(notice),
            title=subject(notice),
            notify_type=_kind(notice),
            body_format=apprise.NotifyFormat.TEXT,
        ):
            return None
        if heard.status is None:
            return TellError(f"{server.service_name} could not be reached or refused it.", again=True)
        try:
            judge(heard.status, None, "", who=str(server.service_name), doubt="is its URL still valid?")
        except TellError as error:
            return error
        return TellError(f"{server.service_name} did not take it.", again=True)


class _Heard(logging.Handler):
    """Keeps Apprise's words from every log, and of those of its own thread the status."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.status: int | None = None
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread and (found := _STATUS.search(record.getMessage())):
            self.status = int(found[1])


def _kind(notice: Notice) -> str:
    if routing.ends(notice) and notice.severity is Severity.INFO:
        return "success"
    return {Severity.INFO: "info", Severity.WARNING: "warning", Severity.CRITICAL: "failure"}[notice.severity]


def _server(url: str) -> Any:
    """Apprise's plugin for the URL, or None. Loads many modules the first time."""
    import apprise

    # It has a handler of its own that passes over everything, so that nothing is printed either.
    logging.getLogger("apprise").propagate = False
    asset = apprise.AppriseAsset(
        app_id="migration-guard",
        app_desc="migration-guard",
        async_mode=False,  # in the thread that calls, not in a pool of its own
        service_timeout=0,  # likewise: a bound of its own takes another thread
        http_redirects=False,  # the secret must not travel on
        storage_mode=apprise.PersistentStoreMode.MEMORY,
        pgp_autogen=False,
        pem_autogen=False,
    )
    return apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)


def _parts(url: str) -> list[str]:
    """What of a URL may be a secret when it stands alone."""
    try:
        found = urlsplit(url)
        parts = [found.username or "", found.password or "", *found.path.split("/"), *re.split("[&=]", found.query)]
        if found.hostname and "." not in found.hostname and found.hostname != "localhost":
            parts.append(found.netloc.rpartition("@")[2])
    except ValueError:
        return []
    return [each for part in parts for each in {part, unquote(part)} if len(each) >= _SECRETS]
