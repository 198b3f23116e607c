"""A bot's threads on a server in Slack's place: one message a run that shows how it stands, every notice below it."""

import asyncio
import dataclasses
import itertools
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from guard.journal import Journal
from guard.model import Notice, Severity
from guard.tell.outbox import Outbox
from guard.tell.slack_api import SlackApi
from guard.tell.slack_bot import EDIT_EVERY, SlackBot
from tests.outboxes import deliver, ids, nothing_waits, until
from tests.slack_server import HANG, RESET, SLOW, Answer, SlackServer, limited, no, slack_server
from tests.slack_workspace import TOKEN, Message

RUN = {"paused": Severity.WARNING, "aborted": Severity.CRITICAL, "check_failed": Severity.CRITICAL}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    journal = Journal(path, channels=("slack",))
    yield journal
    journal.close()


def a_bot(slack: SlackServer, *, token: str = TOKEN, channel: str = "#guard") -> SlackBot:
    bot = SlackBot(SlackApi(token, api=slack.api, timeout=0.5), channel)
    bot.pace = bot.between_edits = 0.0
    bot.edit_every = 0.1
    return bot


def a_notice(number: int, kind: str, run_id: int | None = 4, **changes: object) -> Notice:
    severity = RUN.get(kind, Severity.INFO)
    at = 1_700_000_000.0 + number
    made = Notice(f"main:{number}", at, "main", "add-email", run_id, kind, severity, f"add-email {kind}", f"why {kind}")
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def told(journal: Journal, slack: SlackServer) -> Callable[[Outbox], Awaitable[None]]:
    """Until nothing waits and each parent shows the newest of its run."""

    def shown(parent: Message) -> bool:
        replies = slack.workspace.replies(parent)
        return not replies or replies[-1].payload["text"].split("[")[1] in parent.payload["text"]

    async def wait(outbox: Outbox) -> None:
        await nothing_waits(journal)(outbox)
        await until(lambda: all(map(shown, slack.workspace.parents)))

    return wait


def in_thread(slack: SlackServer, parent: Message) -> list[str]:
    return [reply.payload["text"].split("[")[1].removesuffix("]") for reply in slack.workspace.replies(parent)]


def test_a_run_is_one_message_that_shows_how_it_stands_with_every_notice_below_it(journal: Journal) -> None:
    with slack_server() as slack:
        for number, kind in enumerate(("started", "paused", "resumed", "aborted"), 1):
            journal.save("main", [], [a_notice(number, kind)], number)
        journal.save("main", [], [a_notice(5, "paused", 5), a_notice(6, "reload_refused", None)], 6)
        deliver(journal, a_bot(slack), until_=told(journal, slack))
        first, second, guard = slack.workspace.parents
        assert in_thread(slack, first) == ids(1, 2, 3, 4)
        assert in_thread(slack, second) == ids(5)
        assert slack.workspace.replies(guard) == []
        assert guard.headline == "🔵 add-email reload_refused"
        assert first.headline == "🔴 add-email aborted"
        assert "Last pause: why paused" in first.texts
        assert "Pauses so far: 1" in first.texts
        assert "Since: 2023-11-14 22:13:24 UTC" in first.texts


def test_only_what_is_critical_surfaces_in_the_channel_and_no_recovery_pings(journal: Journal) -> None:
    with slack_server() as slack:
        for number, kind in enumerate(("started", "paused", "resumed", "aborted"), 1):
            journal.save("main", [], [a_notice(number, kind)], number)
        deliver(journal, a_bot(slack), until_=told(journal, slack))
        assert [message.payload["text"][10:17] for message in slack.workspace.messages if message.broadcast] == [
            "aborted"
        ]
        assert "<" not in str([message.payload for message in slack.workspace.messages])


def test_the_parent_is_edited_seldom_and_to_the_newest_alone(journal: Journal) -> None:
    assert EDIT_EVERY == 5.0
    with slack_server() as slack:
        bot = a_bot(slack)
        bot.edit_every = 0.3
        for number in range(1, 12):
            journal.save("main", [], [a_notice(number, "paused" if number % 2 else "resumed")], number)
        deliver(journal, bot, until_=told(journal, slack))
        [parent] = slack.workspace.parents
        assert parent.headline == "🟠 add-email paused"
        *edits, _ = parent.edits  # the end of a daemon may make one more, at once
        assert all(later - earlier >= 0.29 for earlier, later in itertools.pairwise(edits))


def test_a_restart_goes_on_in_the_same_thread_and_shows_what_the_last_one_could_not(path: Path) -> None:
    with slack_server() as slack:
        journal = Journal(path, channels=("slack",))
        journal.save("main", [], [a_notice(1, "started"), a_notice(2, "paused")], 2)
        slack.edits[:] = [Answer(500)] * 2
        deliver(journal, a_bot(slack), until_=nothing_waits(journal))
        journal.close()
        slack.edits.clear()
        [parent] = slack.workspace.parents
        journal = Journal(path, channels=("slack",))
        deliver(journal, a_bot(slack), until_=told(journal, slack))
        assert parent.headline == "🟠 add-email paused"
        journal.save("main", [], [a_notice(3, "resumed", fields={"worst": "9.1 s"})], 3)
        deliver(journal, a_bot(slack), until_=told(journal, slack))
        journal.close()
        assert slack.workspace.parents == [parent]
        assert in_thread(slack, parent) == ids(1, 2, 3)
        assert parent.headline == "🔵 add-email resumed"
        assert "Last pause: why paused; worst: 9.1 s" in parent.texts


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
        deliver(journal, a_bot(slack), until_=told(journal, slack))
        [parent] = slack.workspace.parents
        assert in_thread(slack, parent) == ids(1, 2)


@pytest.mark.fault(51)
def test_a_parent_that_slack_took_without_an_answer_leaves_a_second_one_at_most_and_no_reply_twice(
    journal: Journal,
) -> None:
    with slack_server(HANG) as slack:
        journal.save("main", [], [a_notice(1, "started"), a_notice(2, "paused")], 2)
        deliver(journal, a_bot(slack), until_=nothing_waits(journal))
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
def test_a_thread_in_a_channel_that_is_archived_goes_on_in_the_one_that_is_configured_by_then(path: Path) -> None:
    with slack_server() as slack:
        slack.workspace.channels["new"] = "C0NEW"
        for number, channel in ((1, "guard"), (2, "new")):
            journal = Journal(path, channels=("slack",))
            journal.save("main", [], [a_notice(number, "paused" if number == 2 else "started")], number)
            deliver(journal, a_bot(slack, channel=channel), until_=told(journal, slack))
            journal.close()
            slack.workspace.archived.add("C0GUARD")
        old, new = slack.workspace.parents
        assert (old.channel, in_thread(slack, old)) == ("C0GUARD", ids(1))
        assert (new.channel, in_thread(slack, new)) == ("C0NEW", ids(2))


def test_a_check_that_failed_stays_in_sight_after_the_run_has_ended(journal: Journal) -> None:
    with slack_server() as slack:
        for number, kind in enumerate(("started", "check_failed", "ended"), 1):
            journal.save("main", [], [a_notice(number, kind)], number)
        deliver(journal, a_bot(slack), until_=told(journal, slack))
        [parent] = slack.workspace.parents
        assert parent.headline == "🟠 add-email ended"
        assert "Stays true: add-email check_failed" in parent.texts


def test_parents_that_are_remembered_are_bounded(journal: Journal) -> None:
    with slack_server() as slack:
        bot = a_bot(slack)
        bot.most = 3
        for number in range(1, 6):
            journal.save("main", [], [a_notice(number, "started", number)], number)
        deliver(journal, bot, until_=told(journal, slack))
        assert len(bot._parents) == 3
        assert len(journal.threads("slack").all()) == 5
        threads = journal.threads("other")
        for number in range(250):
            threads.keep(f"main/{number}", float(number), {})
        assert list(threads.all()) == [f"main/{number}" for number in range(50, 250)]


def test_a_stop_shows_the_newest_if_that_goes_at_once(journal: Journal) -> None:
    with slack_server() as slack:
        bot = a_bot(slack)
        bot.edit_every = 3600.0
        journal.save("main", [], [a_notice(1, "started"), a_notice(2, "paused")], 2)
        deliver(journal, bot, until_=nothing_waits(journal))
        assert slack.workspace.parents[0].headline == "🟠 add-email paused"


def test_a_token_that_no_header_can_hold_is_refused_and_not_told(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    with slack_server() as slack:
        journal.save("main", [], [a_notice(1, "started")], 1)
        bot = a_bot(slack, token="CANARY\nx: y")
        outbox = deliver(journal, bot, until_=nothing_waits(journal))
        assert "characters that no token has" in (outbox.status["slack"].trouble or "")
        assert "CANARY" not in caplog.text + repr(bot)
        assert slack.requests == []


def test_a_knock_shows_nothing_and_says_as_whom() -> None:
    async def knock(bot: SlackBot) -> str:
        try:
            return await bot.knock()
        finally:
            await bot.close()

    with slack_server() as slack:
        assert asyncio.run(knock(a_bot(slack))) == "migration-guard in Shop"
        assert slack.workspace.messages == []
