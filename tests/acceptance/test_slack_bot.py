"""Slack by a bot token under the real daemon: a run is one thread, through kills of the guard and limits of Slack."""

import itertools
import random
import time

import pytest

from tests.acceptance.house import House
from tests.command import command
from tests.slack_server import no
from tests.slack_workspace import Message
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance


@pytest.fixture
def rng() -> random.Random:
    """Random moments; the seed is in the report of a failure."""
    seed = random.randrange(10**6)  # noqa: S311 -- not a secret
    print(f"seed {seed}")
    return random.Random(seed)  # noqa: S311 -- not a secret


def thread_of(house: House) -> Message:
    """The message on top of the one thread of the one run."""
    with_replies = [parent for parent in house.slack.workspace.parents if house.slack.workspace.replies(parent)]
    assert len(with_replies) == 1, [parent.headline for parent in house.slack.workspace.parents]
    return with_replies[0]


@pytest.mark.fault(50, 51)
def test_a_run_is_one_thread_with_each_notice_once_through_kills_of_the_guard_and_a_slack_that_limits(
    house: House, rng: random.Random
) -> None:
    house.bot = True
    house.slack.workspace.strict = True
    daemon = house.serve()
    migrating = house.wait_migrating()
    wait_for(lambda: len(house.slack.workspace.messages) >= 2, within=15, message="the first thread")
    for value in (9, 0):
        house.load(value)
        house.wait_event("paused" if value else "resumed")
        time.sleep(rng.uniform(0.0, 1.2))  # in the middle of telling it
        daemon.kill()
        daemon = house.serve()
    house.assert_all_told(within=30)
    parent = thread_of(house)
    wait_for(lambda: parent.headline.endswith("resumed"), within=20, message=lambda: parent.texts)
    assert "Pauses so far: 1" in parent.texts
    assert "Last pause: load" in parent.texts
    replies = [reply.payload["text"] for reply in house.slack.workspace.replies(parent)]
    again = [text for text, after in itertools.pairwise(replies) if text == after]
    assert len(set(replies)) == len(replies) - len(again), "one that comes twice comes twice in a row"
    assert len(again) <= 2, "a kill makes one come twice at most"
    migrating.wait_starts()
    migrating.kill()
    house.wait_event("gone")
    wait_for(lambda: house.slack.workspace.shown, within=20, message="the picture of the run")
    [picture] = house.slack.workspace.shown
    assert picture["thread"] == parent.ts
    assert picture["title"].endswith("load: 0 to 9 (dashed: pause > 5); grey: held")
    wait_for(lambda: parent.headline.endswith("vanished"), within=20, message=lambda: parent.texts)
    assert "Last pause: load" in parent.texts
    assert "took: " in parent.texts


@pytest.mark.fault(52)
def test_a_bot_that_is_refused_is_loud_in_log_status_and_check_and_its_token_is_in_none_of_them(house: House) -> None:
    house.bot = True
    checked = command("check", "-c", str(house.write()))
    assert "slack: the bot migration-guard in Shop is known" in checked.out
    assert command("alert", "--test", "-c", str(house.file)).code == 0
    assert house.slack.workspace.parents[0].headline == "🔵 A test of migration-guard: alerts arrive here"
    house.slack.script[:] = [no("is_archived")] * 9
    daemon = house.serve()
    house.wait_migrating()
    daemon.wait_says("Slack refused: is_archived: the channel is archived")
    shown = command("status", "-c", str(house.file)).out
    house.slack.workspace.token = "xoxb-another"
    refused = command("check", "-c", str(house.file))
    assert "slack: the bot token is refused: Slack refused: invalid_auth" in refused.out
    assert "slack does not get through" in shown
    assert "CANARY" not in daemon.text() + shown + checked.said + refused.said
