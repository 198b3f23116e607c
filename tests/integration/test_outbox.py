"""Notices on their way to a server that misbehaves as Slack and networks do: all arrive, in order, all the same."""

import asyncio
import dataclasses
import itertools
import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard.journal import Journal
from guard.model import Notice, Severity
from guard.tell.outbox import Outbox, Patience
from guard.tell.slack import SlackWebhook
from tests.outboxes import FastSlack, Recorder, deliver, ids, nothing_waits, notices, until
from tests.slack_server import HANG, RESET, SECRET, SLOW, Answer, limited, slack_server


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    journal = Journal(path, channels=("slack", "other"))
    yield journal
    journal.close()


# -- a service that asks for patience ----------------------------------------------------------------------------------


@pytest.mark.fault(50)
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


@pytest.mark.fault(50)
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


@pytest.mark.fault(51)
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


@pytest.mark.fault(51)
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


@pytest.mark.fault(52)
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


@pytest.mark.fault(51)
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


@pytest.mark.fault(51)
def test_an_unforeseen_failure_that_passes_loses_nothing(journal: Journal) -> None:
    other = Recorder(failures=[ExceptionGroup("network", [OSError()])] * 4)
    journal.save("main", [], notices(1, 2), 1)
    deliver(journal, other, until_=nothing_waits(journal, "other"))
    assert other.sent == ids(1, 2)


@pytest.mark.fault(51)
def test_a_name_that_cannot_be_resolved_is_tried_again(journal: Journal) -> None:
    journal.save("main", [], notices(1), 1)

    async def two_tries(outbox: Outbox) -> None:
        await until(lambda: journal.pending("slack")[0].tries >= 2)
        assert (outbox.troubles["slack"]).startswith("Slack could not be reached")

    deliver(journal, FastSlack(f"http://no.such.host.invalid/services/{SECRET}", timeout=2.0), until_=two_tries)
    assert journal.backlog("slack").dead == 0


@pytest.mark.fault(51)
@pytest.mark.parametrize(("bound", "waits"), [(40, 40), (20, 34 + 1)])
def test_a_long_outage_costs_the_oldest_small_news_alone_and_the_rest_comes_in_order_after_a_restart(
    path: Path, bound: int, waits: int
) -> None:
    journal = Journal(path, channels=("slack",), bound=bound)
    kinds = ["paused", "resumed", "operator", "warned"] * 30 + ["paused", "cancelled", "aborted", "ended", "resumed"]
    with slack_server(*[Answer(503)] * 30) as slack:

        async def while_it_is_down(outbox: Outbox) -> None:
            for number, kind in enumerate(kinds, 1):
                journal.save("main", [], [small(number, kind)], number)
                outbox.wake()
                if number % 20 == 0:
                    await asyncio.sleep(0.01)
            await until(lambda: len(slack.tried) >= 5)

        deliver(journal, FastSlack(slack.url), until_=while_it_is_down)
        assert slack.taken == []
        journal.close()
        slack.script.clear()
        reopened = Journal(path, channels=("slack",), bound=bound)
        waiting = reopened.backlog("slack").waiting
        kept = [f"main:{n}" for n, kind in enumerate(kinds, 1) if kind in {"paused", "cancelled", "aborted", "ended"}]
        assert waiting == waits
        deliver(reopened, FastSlack(slack.url), until_=nothing_waits(reopened))
        reopened.close()
    numbers = [int(name.removeprefix("main:")) for name in slack.taken]
    assert numbers == sorted(numbers)
    assert set(kept) <= set(slack.taken)
    assert slack.taken[-1] == f"main:{len(kinds)}", "the last word on a run is no small news"
    small_news = [n for n in numbers if f"main:{n}" not in kept]
    assert small_news == [n for n, _ in enumerate(kinds, 1) if f"main:{n}" not in kept][-len(small_news) :]


def small(number: int, kind: str) -> Notice:
    """A notice of this kind, with the severity that the guard gives it."""
    severity = Severity.WARNING if kind in {"paused", "cancelled"} else Severity.INFO
    return dataclasses.replace(notices(number)[0], kind=kind, severity=severity)
