"""Notices on their way to a receiver that misbehaves: signed, in order, at least once, and nobody hears the secrets."""

import asyncio
import dataclasses
import json
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
from guard.tell.webhook import Webhook
from tests.outboxes import deliver, ids, nothing_waits, notices
from tests.receiver import (
    FLOOD,
    HANG,
    OK,
    PAGE,
    RESET,
    SECRET,
    SLOW,
    TOKEN,
    Delivery,
    Receiver,
    Reply,
    genuine,
    receiver,
)
from tests.waiting import wait_for


class Fast(Webhook):
    pace = 0.0


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal.sqlite", channels=("hook", "other"))
    yield journal
    journal.close()


def send(hook: Webhook, number: int = 1) -> None:
    """One notice, once."""

    async def run() -> None:
        try:
            await hook.send(notices(number)[0])
        finally:
            await hook.close()

    asyncio.run(run())


def tried(server: Receiver) -> list[str]:
    return [each.headers["idempotency-key"] for each in server.came]


def test_a_notice_arrives_as_the_page_says_and_is_signed_as_the_page_says() -> None:
    with receiver() as server:
        send(Webhook("hook", server.url, SECRET))
    [delivery] = server.came
    assert genuine(delivery)
    example = json.loads(PAGE.read_text().split("```json\n")[1].split("```")[0])
    assert delivery.document.keys() == example.keys()
    assert {name: type(value) for name, value in delivery.document.items()} == {
        name: type(value) for name, value in example.items()
    }
    assert delivery.document["id"] == delivery.headers["idempotency-key"] == "main:1"
    assert (delivery.document["state"], delivery.document["about"]) == ("firing", "main/m/1/run")
    assert delivery.headers["content-type"] == "application/json"


def test_a_signature_tells_of_another_secret_another_body_and_another_time() -> None:
    with receiver() as server:
        send(Webhook("hook", server.url, SECRET))
    [delivery] = server.came
    assert not genuine(delivery, "another-secret-of-some-length")
    assert not genuine(dataclasses.replace(delivery, body=delivery.body.replace(b"paused", b"resume")))
    assert not genuine(signed_at(delivery, time.time() - 400))


def signed_at(delivery: Delivery, wall: float) -> Delivery:
    """The same, as if it had been signed at another time."""
    _, digest = delivery.headers["migration-guard-signature"].split(",")
    return dataclasses.replace(delivery, headers={"migration-guard-signature": f"t={wall:.0f},{digest}"})


@pytest.mark.fault(50, 51)
def test_what_may_pass_is_tried_again_with_the_same_id_and_in_order(journal: Journal) -> None:
    with receiver(Reply(429, retry_after="0"), Reply(500), RESET, HANG, SLOW) as server:
        journal.save("main", [], notices(1, 2), 1)
        outbox = deliver(journal, Fast("hook", server.url, SECRET, timeout=0.4), until_=nothing_waits(journal, "hook"))
        assert tried(server) == ids(1, 1, 1, 1, 1, 1, 2)
        assert [each["id"] for each in server.taken()] == ids(1, 2)
        assert len({each.headers["migration-guard-signature"].split("v1=")[1] for each in server.came}) >= 2
        assert all(genuine(each) for each in server.came)
        assert outbox.troubles == {}


@pytest.mark.fault(49, 52)
@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 404, 410])
def test_what_stays_wrong_is_given_up_at_once_and_a_redirect_is_not_followed(status: int) -> None:
    with receiver() as elsewhere, receiver(Reply(status, location=elsewhere.url)) as server:
        with pytest.raises(TellError, match=f"HTTP {status}") as caught:
            send(Webhook("hook", server.url, SECRET))
        assert not caught.value.again
        assert (len(server.came), elsewhere.came) == (1, [])


@pytest.mark.fault(49)
def test_an_answer_without_end_is_cut_and_counts_by_its_status() -> None:
    with receiver(FLOOD) as server:
        send(Webhook("hook", server.url, SECRET))
        assert len(server.came) == 1
        assert server.flooded < 20 << 20, "what was read, and what the kernel holds"


def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver() as proxy, receiver() as server:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        send(Webhook("hook", server.url, SECRET))
        assert (len(server.came), proxy.came) == (1, [])


@pytest.mark.fault(63)
@pytest.mark.parametrize("reply", [Reply(500), Reply(404), RESET, HANG])
def test_neither_url_nor_secret_stands_in_an_error_a_log_or_a_traceback(
    reply: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with receiver(reply) as server:
        hook = Webhook("hook", server.url, SECRET, timeout=0.3)
        with pytest.raises(TellError) as caught:
            send(hook)
    words = f"{caught.value!r} {caught.value.__cause__!r} {hook!r} {caplog.text}"
    assert [word for word in (TOKEN, SECRET) if word in words] == []


@pytest.mark.fault(51)
def test_a_receiver_that_hangs_holds_up_no_other_channel(journal: Journal) -> None:
    with receiver(HANG) as hung, receiver() as server:
        journal.save("main", [], notices(1, 2, 3), 1)
        began = time.monotonic()
        others = Fast("other", server.url, SECRET)
        deliver(journal, Fast("hook", hung.url, SECRET), others, until_=nothing_waits(journal, "other"))
        assert time.monotonic() - began < 5
        assert [each["id"] for each in server.taken()] == ids(1, 2, 3)
        assert journal.backlog("hook").waiting == 3


KILLED = """
import asyncio, sys
from pathlib import Path
from guard.journal import Journal
from guard.tell.outbox import Outbox
from guard.tell.webhook import Webhook
from tests.outboxes import notices

async def main():
    journal = Journal(Path(sys.argv[1]), channels=("hook",))
    journal.save("main", [], notices(1), 1)
    Outbox(journal, Webhook("hook", sys.argv[2], sys.argv[3])).start()
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.fault(51)
def test_a_kill_between_delivery_and_its_answer_brings_it_again_with_the_same_id(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with receiver(HANG) as server:
        words = [sys.executable, "-c", KILLED, str(path), server.url, SECRET]
        with subprocess.Popen(words, env={**os.environ, "PYTHONPATH": str(PAGE.parents[1])}) as child:
            wait_for(lambda: server.came, within=20)
            child.send_signal(signal.SIGKILL)
        journal = Journal(path, channels=("hook",))
        deliver(journal, Fast("hook", server.url, SECRET), until_=nothing_waits(journal, "hook"))
        journal.close()
        assert tried(server) == ids(1, 1)
        assert [each.reply for each in server.came] == [HANG, OK]
