"""Notices on their way to a server that misbehaves as Slack and networks do: all arrive, in order, all the same."""

import asyncio
import gc
import itertools
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from guard.errors import TellError
from guard.journal import Journal
from guard.model import Notice, Severity
from guard.tell.outbox import Messenger, Outbox, Patience
from guard.tell.slack import SlackWebhook
from tests.slack_server import HANG, RESET, SECRET, SLOW, Answer, SlackServer, limited, slack_server

IMPATIENT = Patience(first=0.02, longest=0.3)


class FastSlack(SlackWebhook):
    pace = 0.0


@dataclass
class Recorder:
    """A messenger that notes what it is given, and fails as told."""

    name: str = "other"
    pace: float = 0.0
    sent: list[str] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)

    async def send(self, notice: Notice) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append(notice.notice_id)

    async def close(self) -> None:
        self.name += " closed"


def notices(*numbers: int) -> list[Notice]:
    return [
        Notice(f"main:{n}", 1.0, "main", "m", 1, "paused", Severity.WARNING, f"headline {n}", "because")
        for n in numbers
    ]


def ids(*numbers: int) -> list[str]:
    return [f"main:{n}" for n in numbers]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    journal = Journal(path, channels=("slack", "other"))
    yield journal
    journal.close()


async def until(condition: Callable[[], object], within: float = 10.0) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        await asyncio.sleep(0.005)


def deliver(
    journal: Journal,
    *messengers: Messenger,
    until_: Callable[[Outbox], Awaitable[None]],
    patience: Patience = IMPATIENT,
) -> Outbox:
    """Run an outbox over what the journal holds until a condition holds, and then stop it."""

    async def run() -> Outbox:
        outbox = Outbox(journal, *messengers, patience=patience)
        outbox.start()
        try:
            await until_(outbox)
        finally:
            await outbox.stop(within=0.2)
        return outbox

    return asyncio.run(run())


def nothing_waits(journal: Journal, channel: str = "slack") -> Callable[[Outbox], Awaitable[None]]:
    async def wait(_: Outbox) -> None:
        await until(lambda: journal.backlog(channel).waiting == 0)

    return wait


# -- a service that asks for patience ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("retry_after", "at_least", "at_most"),
    [
        ("0", 0.0, 0.25),
        ("99999", 0.3, 2.0),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 0.3, 2.0),
        (None, 0.015, 0.25),
        ("soon", 0.015, 0.25),
    ],
)
def test_429_waits_as_asked_but_not_for_ever_and_keeps_the_order(
    journal: Journal, retry_after: str | None, at_least: float, at_most: float
) -> None:
    with slack_server(limited(retry_after)) as slack:
        journal.save("main", [], notices(1, 2, 3), 1)
        deliver(journal, FastSlack(slack.url), until_=nothing_waits(journal))
        assert slack.taken == ids(1, 2, 3)
        assert slack.tried == ids(1, 1, 2, 3)
        assert at_least <= slack.requests[1].at - slack.requests[0].at <= at_most


def test_messages_keep_their_pace(journal: Journal) -> None:
    with slack_server() as slack:
        messenger = FastSlack(slack.url)
        messenger.pace = 0.15
        journal.save("main", [], notices(1, 2, 3), 1)
        deliver(journal, messenger, until_=nothing_waits(journal))
        times = [request.at for request in slack.requests]
        assert all(later - earlier >= 0.14 for earlier, later in itertools.pairwise(times))


def test_slack_is_told_at_most_one_message_a_second() -> None:
    assert SlackWebhook.pace >= 1.0


def test_waiting_grows_to_a_bound() -> None:
    patience = Patience(first=1.0, longest=60.0)
    assert 0.8 <= patience.wait(1, None) <= 1.2
    assert 3.2 <= patience.wait(3, None) <= 4.8
    assert 48 <= patience.wait(5000, None) <= 72
    assert patience.wait(1, 99_999.0) == 60.0
    assert patience.wait(9, 2.0) == 2.0


def test_a_clock_that_was_set_back_does_not_silence_for_long(journal: Journal) -> None:
    with slack_server() as slack:
        journal.save("main", [], notices(1), 1)
        journal.mark_failed(journal.pending("slack")[0], time.time() + 86_400)
        deliver(journal, FastSlack(slack.url), until_=nothing_waits(journal))
        assert slack.taken == ids(1)


# -- a service or a line that fails ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [Answer(500, "oops"), Answer(503, "", "0"), HANG, RESET, SLOW],
    ids=["500", "503", "hang", "reset", "slow"],
)
def test_a_passing_failure_loses_nothing_and_keeps_the_order(journal: Journal, answer: Answer) -> None:
    with slack_server(answer, answer) as slack:
        journal.save("main", [], notices(1, 2), 1)
        deliver(journal, FastSlack(slack.url, timeout=0.3), until_=nothing_waits(journal))
        assert slack.taken == ids(1, 2)
        assert slack.tried == ids(1, 1, 1, 2)


def test_a_service_that_is_not_there_yet_gets_all_once_it_is(journal: Journal) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{reserved.getsockname()[1]}/services/{SECRET}"
        journal.save("main", [], notices(1, 2), 1)

        async def two_tries(outbox: Outbox) -> None:
            await until(lambda: journal.pending("slack")[0].tries >= 2)
            assert outbox.status["slack"].trouble == "Slack could not be reached (ConnectError)."
            assert outbox.status["slack"].backlog.waiting == 2

        deliver(journal, FastSlack(nowhere), until_=two_tries)
    with slack_server() as slack:
        outbox = deliver(journal, FastSlack(slack.url), until_=nothing_waits(journal))
        assert slack.taken == ids(1, 2)
        assert outbox.status["slack"].trouble is None


@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_a_dead_webhook_gets_one_try_a_notice_and_is_loud_about_it(
    journal: Journal, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with slack_server(*[Answer(status, "no_service")] * 2) as slack:
        other = Recorder()
        journal.save("main", [], notices(1, 2), 1)
        outbox = deliver(journal, FastSlack(slack.url), other, until_=nothing_waits(journal))
        assert slack.tried == ids(1, 2)
        assert other.sent == ids(1, 2), "a second channel hears it all the same"
        assert outbox.status["slack"].backlog.dead == 2
        assert f"HTTP {status} no_service" in (outbox.status["slack"].trouble or "")
        assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 2


def test_a_hanging_channel_holds_up_neither_the_other_nor_who_decides(journal: Journal) -> None:
    with slack_server(*[HANG] * 9) as slack:
        other = Recorder()
        journal.save("main", [], notices(1), 1)

        async def go_on_deciding(outbox: Outbox) -> None:
            await until(lambda: slack.tried == ids(1))
            began = time.monotonic()
            for number in range(2, 50):
                journal.save("main", [], notices(number), number)
                outbox.wake()
                await asyncio.sleep(0)
            assert time.monotonic() - began < 1.0
            await until(lambda: other.sent == ids(*range(1, 50)))
            assert slack.taken == []

        deliver(journal, FastSlack(slack.url, timeout=30.0), other, until_=go_on_deciding)
        assert journal.backlog("slack").waiting == 49


def test_a_notice_that_a_messenger_trips_over_does_not_hold_up_the_rest(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    other = Recorder(failures=[ZeroDivisionError(SECRET)] * 5)
    journal.save("main", [], notices(1, 2), 1)
    deliver(journal, other, until_=nothing_waits(journal, "other"))
    assert other.sent == ids(2)
    assert journal.backlog("other").dead == 1
    assert "ZeroDivisionError" in caplog.text
    assert SECRET not in caplog.text


def test_an_unforeseen_failure_that_passes_loses_nothing(journal: Journal) -> None:
    other = Recorder(failures=[ExceptionGroup("network", [OSError()])] * 4)
    journal.save("main", [], notices(1, 2), 1)
    deliver(journal, other, until_=nothing_waits(journal, "other"))
    assert other.sent == ids(1, 2)


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
