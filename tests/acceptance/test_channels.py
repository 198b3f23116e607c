"""Channels beside Slack, under the real daemon: each hears what it is for, and the end of it, through a kill."""

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.house import House
from tests.receiver import HANG, OK, SECRET, Receiver, Reply, genuine, receiver
from tests.waiting import wait_for

pytestmark = [pytest.mark.acceptance, pytest.mark.fault(51, 52)]

CHANNELS = """
[[channel]]
name        = "tickets"
kind        = "webhook"
url_file    = "tickets-url"
secret_file = "tickets-secret"
least       = "warning"
migrations  = ["backfill"]

[[channel]]
name     = "pager"
kind     = "apprise"
url_file = "pager-url"
least    = "critical"
"""


def furnish(house: House, tickets: Receiver, pager: Receiver) -> None:
    """Both channels beside Slack, each with its secrets."""
    urls = {"tickets-url": tickets.url, "pager-url": pager.url.replace("http", "json", 1), "tickets-secret": SECRET}
    for name, secret in urls.items():
        path = Path(house.directory / name)
        path.touch(mode=0o600)
        path.write_text(secret)
    house.more = CHANNELS


def told(server: Receiver) -> list[tuple[str, Any]]:
    """What of our run came and was taken, in order: kinds and ids, each id once."""
    documents = [each for each in server.taken() if each["migration"] == "backfill"]
    return list({each["id"]: (each["kind"], each["state"]) for each in documents}.values())


def troubles(house: House) -> dict[str, str]:
    """What the guard reports of the channels."""
    rows = house.database.execute("select report->'troubles' from migration_guard.report")
    return dict(rows[0][0]) if rows else {}


def test_each_channel_hears_what_it_is_for_and_its_end_through_a_kill_and_no_other_waits_for_it(house: House) -> None:
    with receiver(HANG) as tickets, receiver() as pager:
        furnish(house, tickets, pager)
        daemon = house.serve()
        migrating = house.wait_migrating()
        house.load(9)
        house.wait_event("paused")
        wait_for(lambda: tickets.came)
        house.assert_all_told()  # Slack hears all, while the other one hangs
        hung = tickets.came[0].headers["idempotency-key"]
        daemon.kill()  # it has been taken, and nobody has heard so
        again = house.serve()
        house.load(0)
        house.wait_event("resumed")
        wait_for(lambda: told(tickets)[-1:] == [("resumed", "over")], message=lambda: str(told(tickets)), within=20)
        assert told(tickets)[0] == ("paused", "firing")
        assert {kind for kind, _ in told(tickets)} == {"paused", "resumed"}  # and not that it may start
        assert [each.reply for each in tickets.came if each.headers["idempotency-key"] == hung] == [HANG, OK]
        assert all(genuine(each) for each in tickets.came)
        house.assert_all_told()
        assert pager.came == []
        pager.script.append(Reply(404))
        house.database.execute("select migration_guard.order_abort('backfill', 'anna', 'wrong data')")
        wait_for(lambda: pager.came, within=20)
        assert "backfill aborted" in pager.came[0].document["title"]
        said = "JSON refused the message for good (HTTP 404); is its URL still valid?"
        wait_for(lambda: troubles(house).get("pager") == said, message=lambda: str(troubles(house)))
        migrating.close()
        house.file.write_text(house.file.read_text().replace('"critical"', '"info"'))
        again.send(signal.SIGHUP)
        again.wait_says("[[channel]] changed: that takes a restart")
