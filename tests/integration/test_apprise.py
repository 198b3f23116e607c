"""Notices through Apprise, to a server of the tests: what arrives, what is known of a failure, who waits for whom."""

import asyncio
import io
import logging
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard.errors import TellError
from guard.journal import Journal
from guard.masking import mask
from guard.model import Notice, Severity
from guard.tell.apprise import Apprise
from tests.outboxes import deliver, nothing_waits, notices, until
from tests.receiver import HANG, PAGE, RESET, TOKEN, Receiver, Reply, receiver

# One of its services imports this; Python 3.13 has it no more.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


class Fast(Apprise):
    pace = 0.0


def url_of(server: Receiver, scheme: str = "json") -> str:
    return server.url.replace("http", scheme, 1)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal.sqlite", channels=("pager", "slow"))
    yield journal
    journal.close()


def test_a_notice_arrives_as_a_subject_and_a_text_and_says_whether_it_is_an_alarm_or_its_end() -> None:
    alarm = notices(1)[0]
    end = Notice("main:2", 1.0, "main", "m", 1, "resumed", Severity.INFO, "m resumed", "all is well")
    with receiver() as server:
        sender = Fast("pager", url_of(server))

        async def send() -> None:
            for notice in (alarm, end):
                await sender.send(notice)

        asyncio.run(send())
        first, second = (delivery.document for delivery in server.came)
    assert (first["title"], first["type"]) == ("[warning] headline 1 (main)", "warning")
    assert first["message"].startswith("because\n\nMigration: m (run 1)\nDatabase: main\n\n")
    assert first["message"].rstrip().endswith("main:1 · 1970-01-01 00:00:01 UTC")
    assert (second["title"], second["type"]) == ("[info] m resumed (main)", "success")


def test_what_may_pass_is_tried_again_what_stays_wrong_is_given_up(journal: Journal) -> None:
    with receiver(Reply(500), Reply(429), RESET, Reply(), Reply(404)) as server:
        journal.save("main", [], notices(1, 2, 3), 1)
        outbox = deliver(journal, Fast("pager", url_of(server)), until_=nothing_waits(journal, "pager"))
        titles = [each.document["title"].split()[2] for each in server.came]
        assert titles == ["1", "1", "1", "1", "2", "3"]
        assert (journal.backlog("pager").dead, outbox.troubles) == (1, {})


def test_a_service_that_hangs_costs_its_own_channel_alone_and_is_not_asked_again_meanwhile(journal: Journal) -> None:
    with receiver(HANG) as hung, receiver() as server:
        journal.save("main", [], notices(1, 2), 1)
        slow, threads = Fast("slow", url_of(hung), timeout=0.3), threading.active_count()

        async def wait(outbox: object) -> None:
            await until(lambda: journal.backlog("pager").waiting == 0)
            await until(lambda: "still at work" in str(getattr(outbox, "troubles", "")))

        deliver(journal, slow, Fast("pager", url_of(server)), until_=wait)
        assert len(server.came) == 2
        assert len(hung.came) == 1
        assert threading.active_count() - threads <= 2 + 4, "a thread for each channel, and those of the two servers"


def test_what_was_taken_after_the_guard_gave_up_waiting_is_not_sent_once_more() -> None:
    held, notice = threading.Event(), notices(1)[0]

    class Late(Receiver):
        def take(self, method: str, headers: dict[str, str], body: bytes) -> Reply:
            held.wait(10)
            return super().take(method, headers, body)

    with receiver(kind=Late) as server:
        sender = Fast("pager", url_of(server), timeout=0.2)

        async def send() -> None:
            with pytest.raises(TellError, match=r"did not answer within 0\.2 s"):
                await sender.send(notice)
            with pytest.raises(TellError, match="still at work"):
                await sender.send(notice)
            held.set()
            await until(lambda: not sender._busy)
            await sender.send(notice)

        asyncio.run(send())
        assert len(server.came) == 1


def test_its_thread_ends_with_it_and_leaves_nothing_behind() -> None:
    heard = logging.getLogger("apprise")
    before = {*heard.handlers}

    def at_work() -> bool:
        return any(thread.name == "tell once" for thread in threading.enumerate())

    async def run(sender: Apprise) -> None:
        await sender.send(notices(1)[0])
        assert at_work()
        assert {*heard.handlers} - before
        await sender.close()
        await until(lambda: not at_work())

    with receiver() as server:
        asyncio.run(run(Apprise("once", url_of(server))))
    assert {*heard.handlers} - before == set()


@pytest.mark.parametrize("url", ["nonsense", "json://", "foo://bar", "https://hooks.invalid/x y"])
def test_a_url_that_apprise_does_not_understand_is_said_and_its_notices_are_given_up(url: str) -> None:
    sender = Fast("pager", url)
    with pytest.raises(TellError, match="none that Apprise understands") as caught:
        asyncio.run(sender.send(notices(1)[0]))
    assert not caught.value.again
    assert sender.service() == ""


def test_each_url_that_the_page_gives_as_an_example_is_one_that_apprise_understands() -> None:
    examples = dict(re.findall(r"^\| (\w+) \| `(\w+://[^`]+)` \|$", PAGE.read_text(), re.MULTILINE))
    assert len(examples) >= 6
    assert [name for name, url in examples.items() if not Apprise("pager", url).service()] == []


@pytest.mark.fault(63)
def test_what_apprise_says_of_a_url_that_it_does_not_understand_is_heard_by_nobody(
    capfd: pytest.CaptureFixture[str],
) -> None:
    heard = logging.StreamHandler(io.StringIO())
    logging.getLogger().addHandler(heard)  # caplog would listen to Apprise itself
    try:
        for url in ("json://user:CANARY-word@", "CANARY-word"):
            assert Apprise("pager", url).service() == ""
    finally:
        logging.getLogger().removeHandler(heard)
    assert heard.stream.getvalue() + "".join(capfd.readouterr()) == ""


@pytest.mark.fault(63)
@pytest.mark.parametrize("reply", [Reply(500), Reply(401), RESET, HANG])
def test_no_part_of_the_url_stands_in_an_error_or_a_log(
    reply: Reply, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with receiver(reply) as server:
        sender = Fast("pager", url_of(server).replace("://", "://user:passw0rd-CANARY@"), timeout=0.3)
        with pytest.raises(TellError) as caught:
            asyncio.run(sender.send(notices(1)[0]))
        words = f"{caught.value!r} {caught.value.__cause__!r} {sender!r} {caplog.text} {capfd.readouterr()}"
        assert [word for word in (TOKEN, "passw0rd") if word in mask(words)] == []
        assert [word for word in (TOKEN, "passw0rd") if word in str(caught.value)] == []


@pytest.mark.fault(49)
def test_a_redirect_is_not_followed() -> None:
    with receiver() as elsewhere, receiver(Reply(307, location=elsewhere.url)) as server:
        with pytest.raises(TellError, match="HTTP 307"):
            asyncio.run(Fast("pager", url_of(server)).send(notices(1)[0]))
        assert elsewhere.came == []


def test_a_name_becomes_neither_a_line_of_the_subject_nor_markup() -> None:
    name, because = "m\r\nBcc: x@y\u202e paused", "<a href='x'>b</a>\x1b[31m"
    harmful = Notice("main:1", 1.0, "main", "m", 1, "paused", Severity.WARNING, name, because)
    with receiver() as server:
        asyncio.run(Fast("pager", f"{url_of(server)}?format=html").send(harmful))
        document = server.came[0].document
    assert document["title"] == "[warning] m Bcc: x@y paused (main)"
    assert "\x1b" not in document["message"]
    assert "<a" not in document["message"]
