"""The end and the beginning of a daemon that has something to say; and its secret, which is in nothing that it says."""

import asyncio
import gc
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard.errors import TellError
from guard.journal import Journal
from guard.tell.outbox import Outbox, Patience
from guard.tell.slack import SlackWebhook
from tests.outboxes import FastSlack, deliver, ids, nothing_waits, notices, until
from tests.slack_server import HANG, RESET, Answer, SlackServer, limited, slack_server


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    journal = Journal(path, channels=("slack", "other"))
    yield journal
    journal.close()


# -- the end and the beginning of a daemon -----------------------------------------------------------------------------


def test_what_is_saved_while_it_sleeps_is_sent_once_it_is_woken(journal: Journal) -> None:
    with slack_server() as slack:

        async def three_times(outbox: Outbox) -> None:
            for number in (1, 2, 3):
                journal.save("main", [], notices(number), number)
                outbox.wake()
                await until(lambda count=number: len(slack.taken) == count)  # type: ignore[misc]

        deliver(journal, FastSlack(slack.url), until_=three_times)
        assert slack.taken == ids(1, 2, 3)


async def _at_once(_: Outbox) -> None:
    await asyncio.sleep(0)


def test_the_last_words_are_sent_without_pace_when_the_daemon_stops(journal: Journal) -> None:
    with slack_server() as slack:
        messenger = SlackWebhook(slack.url)

        async def run() -> float:
            outbox = Outbox(journal, messenger)
            outbox.start()
            journal.save("main", [], notices(1), 1)
            outbox.wake()
            await until(lambda: slack.taken)
            journal.save("main", [], notices(2, 3), 1)
            outbox.wake()
            began = time.monotonic()
            await outbox.stop(within=5.0)
            return time.monotonic() - began

        assert asyncio.run(run()) < 0.9
        assert slack.taken == ids(1, 2, 3)


@pytest.mark.fault(51)
def test_stopping_is_bounded_and_leaves_the_rest_for_the_next_start(path: Path, journal: Journal) -> None:
    with slack_server(HANG) as slack:
        journal.save("main", [], notices(1, 2), 1)

        async def once_it_hangs(_: Outbox) -> None:
            await until(lambda: slack.tried)

        began = time.monotonic()
        deliver(journal, FastSlack(slack.url, timeout=30.0), until_=once_it_hangs)
        assert time.monotonic() - began < 3.0
        journal.close()
        reopened = Journal(path, channels=("slack",))
        deliver(reopened, FastSlack(slack.url), until_=nothing_waits(reopened))
        reopened.close()
        assert slack.tried == ids(1, 1, 2), "the same id tells a reader that it is the same notice"


@pytest.mark.fault(50)
def test_stopping_does_not_wait_for_who_asked_to_wait(journal: Journal) -> None:
    with slack_server(limited("50")) as slack:
        journal.save("main", [], notices(1, 2), 1)

        async def once_it_waits(_: Outbox) -> None:
            await until(lambda: journal.pending("slack")[0].tries)

        began = time.monotonic()
        deliver(journal, FastSlack(slack.url), until_=once_it_waits, patience=Patience(1.0, 60.0))
        assert time.monotonic() - began < 3.0
        assert slack.tried == ids(1)
        assert journal.backlog("slack").waiting == 2


_DAEMON = """
import asyncio, sys
from pathlib import Path
from guard.journal import Journal
from guard.model import Notice, Severity
from guard.tell.outbox import Outbox, Patience
from guard.tell.slack import SlackWebhook

async def main():
    journal = Journal(Path(sys.argv[1]), channels=("slack",))
    messenger = SlackWebhook(sys.argv[2])
    messenger.pace = 0.0
    outbox = Outbox(journal, messenger, patience=Patience(0.01, 0.05))
    outbox.start()
    number = journal.last_event_id("main")
    while True:
        await asyncio.sleep(0.002)
        if journal.backlog("slack").waiting > 10:
            continue
        number += 1
        notice = Notice(f"main:{number}", 1.0, "main", "m", 1, "paused", Severity.WARNING, "h", "b")
        journal.save("main", [], [notice], number)
        outbox.wake()

asyncio.run(main())
"""


@pytest.mark.fault(51)
def test_kills_in_the_middle_of_sending_lose_nothing_and_keep_the_order(path: Path) -> None:
    with slack_server(*[Answer(500), Answer(), RESET, Answer(), Answer()] * 8) as slack:
        for _ in range(4):
            before = len(slack.tried)
            daemon = subprocess.Popen([sys.executable, "-c", _DAEMON, str(path), slack.url])
            asyncio.run(until(lambda count=before: len(slack.tried) >= count + 15))  # type: ignore[misc]
            os.kill(daemon.pid, signal.SIGKILL)
            daemon.wait()
        journal = Journal(path, channels=("slack",))
        last = journal.last_event_id("main")
        deliver(journal, FastSlack(slack.url), until_=nothing_waits(journal))
        journal.close()
        assert list(dict.fromkeys(slack.taken)) == ids(*range(1, last + 1)), "each once or twice, never none"
        assert len(slack.taken) - last <= 4, "at most one twice for each kill"


# -- the secret --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [Answer(), Answer(500), Answer(404), Answer(302), HANG, RESET])
def test_the_webhook_is_in_no_log_and_no_error(answer: Answer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with slack_server(answer) as slack:
        errors = told_off(SlackWebhook(slack.url, timeout=0.3))
    assert bool(errors) == (answer != Answer())
    for error in errors:
        assert "CANARY" not in f"{error!r} {error.__cause__!r}"
        assert error.__suppress_context__ or error.__context__ is None
    assert "CANARY" not in caplog.text
    gc.collect()


@pytest.mark.parametrize("url", ["ftp://CANARY/x", "CANARY", "http://[CANARY", "http://127.0.0.1:99999/CANARY"])
def test_what_is_no_url_is_refused_for_good_and_not_repeated(url: str) -> None:
    (error,) = told_off(SlackWebhook(url))
    assert not error.again
    assert "CANARY" not in str(error)
    assert "CANARY" not in repr(SlackWebhook(url))


def told_off(messenger: SlackWebhook) -> list[TellError]:
    async def run() -> list[TellError]:
        try:
            await messenger.send(notices(1)[0])
        except TellError as error:
            return [error]
        finally:
            await messenger.close()
        return []

    return asyncio.run(run())


def test_a_redirect_is_not_followed() -> None:
    with slack_server() as elsewhere:
        with slack_server(Answer(307, location=elsewhere.url)) as slack:
            (error,) = told_off(SlackWebhook(slack.url))
        assert not error.again
        assert elsewhere.requests == []


def test_settings_of_the_environment_do_not_reroute_alerts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with slack_server() as slack:
        assert told_off(SlackWebhook(slack.url)) == []
        assert isinstance(slack, SlackServer)
        assert slack.taken == ids(1)
