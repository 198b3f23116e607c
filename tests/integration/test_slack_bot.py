"""A bot's threads on a server in Slack's place: one message a run that shows how it stands, every notice below it."""

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard.journal import Journal
from guard.tell.slack_bot import EDIT_EVERY, SlackBot
from tests.outboxes import deliver, ids, nothing_waits
from tests.slack_server import Answer, slack_server
from tests.threads import a_bot, a_notice, in_thread, told


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    journal = Journal(path, channels=("slack",))
    yield journal
    journal.close()


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


def test_a_check_that_failed_stays_in_sight_after_the_run_has_ended(journal: Journal) -> None:
    with slack_server() as slack:
        for number, kind in enumerate(("started", "check_failed", "ended"), 1):
            journal.save("main", [], [a_notice(number, kind)], number)
        deliver(journal, a_bot(slack), until_=told(journal, slack))
        [parent] = slack.workspace.parents
        assert parent.headline == "🟠 add-email ended"
        assert "Stays true: add-email check_failed" in parent.texts


def test_a_run_that_bears_the_number_of_an_older_one_gets_a_thread_of_its_own(journal: Journal) -> None:
    with slack_server() as slack:
        notices = [
            a_notice(1, "started"),
            a_notice(2, "ended", fields={"took": "92 s"}),
            a_notice(3, "started"),
            a_notice(4, "started", migration="other"),
        ]
        journal.save("main", [], notices, 4)
        deliver(journal, a_bot(slack), until_=nothing_waits(journal))
        threads = [in_thread(slack, parent) for parent in slack.workspace.parents]
        assert threads == [ids(1, 2), ids(3), ids(4)]


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
        threads.most = 3
        for number in range(6):
            threads.keep(f"main/{number}", float(number), {})
        assert list(threads.all()) == ["main/3", "main/4", "main/5"]


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
