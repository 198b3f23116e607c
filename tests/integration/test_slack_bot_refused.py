"""A bot's threads while Slack limits, fails, refuses or forgets: each notice arrives, or it is said loudly why not."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard.journal import Journal
from guard.tell.outbox import Outbox
from guard.tell.slack_bot import SlackBot
from tests.outboxes import deliver, ids, nothing_waits, until
from tests.slack_server import HANG, RESET, SLOW, Answer, limited, no, slack_server
from tests.threads import a_bot, a_notice, in_thread, told


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    journal = Journal(path, channels=("slack",))
    yield journal
    journal.close()


@pytest.mark.fault(52)
def test_a_parent_that_was_deleted_is_replaced_by_a_fresh_one_and_its_thread_goes_on_there(journal: Journal) -> None:
    with slack_server() as slack:
        bot = a_bot(slack)
        journal.save("main", [], [a_notice(1, "started")], 1)

        async def deleted_meanwhile(outbox: Outbox) -> None:
            await nothing_waits(journal)(outbox)
            slack.workspace.delete(slack.workspace.parents[0])
            journal.save("main", [], [a_notice(2, "paused")], 2)
            outbox.wake()
            await told(journal, slack)(outbox)

        deliver(journal, bot, until_=deleted_meanwhile)
        [parent] = slack.workspace.parents
        assert parent.headline == "🟠 add-email paused"
        assert in_thread(slack, parent) == ids(2)


@pytest.mark.fault(52)
@pytest.mark.parametrize("word", ["message_not_found", "cant_update_message", "edit_window_closed"])
def test_a_parent_that_cannot_be_edited_is_posted_afresh(journal: Journal, word: str) -> None:
    with slack_server() as slack:
        journal.save("main", [], [a_notice(1, "started"), a_notice(2, "paused")], 2)
        slack.edits[:] = [no(word)]

        async def posted_afresh(outbox: Outbox) -> None:
            await nothing_waits(journal)(outbox)
            await until(lambda: len(slack.workspace.parents) == 2)
            journal.save("main", [], [a_notice(3, "resumed")], 3)
            outbox.wake()
            await told_newest(outbox)

        async def told_newest(outbox: Outbox) -> None:
            await nothing_waits(journal)(outbox)
            await until(lambda: "resumed" in slack.workspace.parents[1].headline)

        deliver(journal, a_bot(slack), until_=posted_afresh)
        old, fresh = slack.workspace.parents
        assert in_thread(slack, old) == ids(1, 2)
        assert in_thread(slack, fresh) == ids(3)
        assert fresh.headline == "🔵 add-email resumed"


@pytest.mark.fault(51)
@pytest.mark.parametrize(
    "answer",
    [
        Answer(500),
        Answer(200, "<html>welcome"),
        Answer(200, "[]"),
        no("internal_error"),
        no("ratelimited"),
        RESET,
        SLOW,
        Answer(200, '{"ok": true}'),
    ],
    ids=["500", "page", "list", "internal", "limited", "reset", "slow", "nowhere"],
)
def test_what_passes_is_tried_again_and_arrives_once_in_order(journal: Journal, answer: Answer) -> None:
    with slack_server(answer, Answer(), answer) as slack:
        journal.save("main", [], [a_notice(1, "started"), a_notice(2, "paused")], 2)
        deliver(journal, a_bot(slack, timeout=1.0 if answer == SLOW else 10.0), until_=told(journal, slack))
        [parent] = slack.workspace.parents
        assert in_thread(slack, parent) == ids(1, 2)


@pytest.mark.fault(51)
def test_a_parent_that_slack_took_without_an_answer_leaves_a_second_one_at_most_and_no_reply_twice(
    journal: Journal,
) -> None:
    with slack_server(HANG) as slack:
        journal.save("main", [], [a_notice(1, "started"), a_notice(2, "paused")], 2)
        deliver(journal, a_bot(slack, timeout=1.0), until_=nothing_waits(journal))
        orphan, parent = slack.workspace.parents
        assert in_thread(slack, orphan) == []
        assert in_thread(slack, parent) == ids(1, 2)


@pytest.mark.fault(50)
def test_a_channel_takes_one_message_a_second_and_is_given_no_more(journal: Journal) -> None:
    with slack_server() as slack:
        slack.workspace.strict = True
        bot = a_bot(slack)
        bot.pace = SlackBot.pace
        journal.save("main", [], [a_notice(1, "started"), a_notice(2, "paused")], 2)
        began = time.monotonic()
        deliver(journal, bot, until_=nothing_waits(journal))
        assert time.monotonic() - began >= 2.0
        assert len(slack.workspace.messages) == 3
        assert slack.workspace.limited == 0


@pytest.mark.fault(50)
def test_a_slack_that_limits_is_obeyed_also_for_edits(journal: Journal) -> None:
    with slack_server(limited("0")) as slack:
        slack.edits[:] = [limited("0")]
        journal.save("main", [], [a_notice(1, "started"), a_notice(2, "paused")], 2)
        deliver(journal, a_bot(slack), until_=told(journal, slack))
        assert slack.workspace.parents[0].headline == "🟠 add-email paused"


@pytest.mark.fault(52)
@pytest.mark.parametrize(
    ("word", "helps"),
    [
        ("invalid_auth", "Install App"),
        ("token_revoked", "Install App"),
        ("missing_scope", "chat:write"),
        ("channel_not_found", "invite the bot"),
        ("not_in_channel", "/invite"),
        ("is_archived", "archived"),
        ("a_new_word", "a_new_word"),
    ],
)
def test_what_stays_refused_gets_one_try_a_notice_and_says_what_helps(
    journal: Journal, word: str, helps: str, caplog: pytest.LogCaptureFixture
) -> None:
    with slack_server(no(word), no(word)) as slack:
        journal.save("main", [], [a_notice(1, "started"), a_notice(2, "paused")], 2)
        outbox = deliver(journal, a_bot(slack), until_=nothing_waits(journal))
        assert len(slack.requests) == 2
        assert outbox.status["slack"].backlog.dead == 2
        trouble = outbox.status["slack"].trouble or ""
        assert f"Slack refused: {word}" in trouble
        assert helps in trouble
        assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 2
        assert "CANARY" not in caplog.text


@pytest.mark.fault(52)
@pytest.mark.parametrize("archived", [True, False])
def test_a_thread_goes_on_in_the_channel_that_is_configured_by_then(path: Path, *, archived: bool) -> None:
    with slack_server() as slack:
        slack.workspace.channels["new"] = "C0NEW"
        for number, channel in ((1, "guard"), (2, "new")):
            journal = Journal(path, channels=("slack",))
            journal.save("main", [], [a_notice(number, "paused" if number == 2 else "started")], number)
            deliver(journal, a_bot(slack, channel=channel), until_=told(journal, slack))
            journal.close()
            if archived:
                slack.workspace.archived.add("C0GUARD")
        old, new = slack.workspace.parents
        assert (old.channel, in_thread(slack, old)) == ("C0GUARD", ids(1))
        assert (new.channel, in_thread(slack, new)) == ("C0NEW", ids(2))
