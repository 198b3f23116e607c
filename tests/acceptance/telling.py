"""What people were told: the messages at Slack, and whether all who can be asked say the same words."""

from __future__ import annotations

import html
import subprocess
import sys

from tests.acceptance.house import ROOT, House
from tests.waiting import wait_for


def told(house: House, words: str = "") -> list[str]:
    """The messages that Slack has accepted, each id once; those with these words."""
    texts = {request.notice_id: html.unescape(request.payload["text"]) for request in tuple(house.slack.requests)}
    return [text for id_, text in texts.items() if words in text and id_ in house.slack.taken]


def wait_told(house: House, words: str, times: int = 1, within: float = 10.0) -> None:
    """Wait until Slack has a message with these words, and see that there are no more than *times*."""
    wait_for(lambda: len(told(house, words)) >= times, within=within, message=lambda: f"{words!r} in {told(house)}")
    assert len(told(house, words)) == times, told(house)


def status(house: House) -> str:
    """What `migration-guard status` prints, as whoever operates would see it, in one line."""
    command = [sys.executable, "-m", "guard", "status", "--dsn", house.database.dsn()]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    return " ".join((done.stdout + done.stderr).split())


def assert_same_words(house: House, kind: str, words: str) -> None:
    """Event, Slack, log and `status` give the same reason."""
    because = house.wait_event(kind)[2]
    assert words in because, because
    # `status` may be told of a newer reading; what does not change with it stands in front of the first number.
    wait_told(house, because)
    assert because in house.processes[0].text().replace('\\"', '"')
    assert words in status(house), status(house)
