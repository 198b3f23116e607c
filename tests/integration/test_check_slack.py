"""Is the webhook valid? Asked of a server in Slack's place, where nothing may be seen of the question."""

import asyncio
from pathlib import Path

import pytest

from guard.check.outside import check_slack
from guard.check.remarks import Grade
from guard.settings import load
from tests.slack_server import RESET, SECRET, Answer, limited, slack_server
from tests.slack_workspace import TOKEN


@pytest.mark.fault(52)
@pytest.mark.parametrize(
    ("answer", "grade", "words"),
    [
        (None, Grade.FINE, "is taken"),
        (Answer(200), Grade.FINE, "is taken"),
        (Answer(403, "invalid_token"), Grade.PROBLEM, "is refused: Slack refused the message for good (HTTP 403"),
        (Answer(404, "no_service"), Grade.PROBLEM, "HTTP 404 no_service"),
        (Answer(410, "channel_is_archived"), Grade.PROBLEM, "HTTP 410 channel_is_archived"),
        (Answer(302, location="http://127.0.0.1:9/"), Grade.PROBLEM, "HTTP 302"),
        (Answer(503), Grade.WARNING, "does not answer as it should: Slack failed (HTTP 503"),
        (limited("5"), Grade.WARNING, "Slack asks to wait"),
        (RESET, Grade.WARNING, "Slack could not be reached"),
    ],
)
def test_a_webhook_is_asked_whether_it_is_valid_and_nothing_is_posted(
    tmp_path: Path, answer: Answer | None, grade: Grade, words: str
) -> None:
    webhook, file = tmp_path / "webhook", tmp_path / "guard.toml"
    with slack_server(*([answer] if answer else [])) as slack:
        for path, text in (
            (webhook, slack.url),
            (file, f'[database.main]\ndsn = "host=x"\nstandbys = []\n[slack]\nwebhook_url_file = "{webhook}"\n'),
        ):
            path.touch(mode=0o600)
            path.write_text(text)
        [remark] = asyncio.run(check_slack(load(file)))
    assert remark.grade is grade
    assert words in remark.what
    assert SECRET not in remark.what
    assert len(slack.knocks) == 1
    assert slack.requests == []


@pytest.mark.fault(63)
def test_a_webhook_that_anybody_on_the_way_can_read_is_pointed_out_and_not_repeated(tmp_path: Path) -> None:
    webhook, file = tmp_path / "webhook", tmp_path / "guard.toml"
    for path, text in (
        (webhook, f"http://slack.invalid/services/{SECRET}"),
        (file, f'[database.main]\ndsn = "host=x"\nstandbys = []\n[slack]\nwebhook_url_file = "{webhook}"\n'),
    ):
        path.touch(mode=0o600)
        path.write_text(text)
    _, remark = asyncio.run(check_slack(load(file)))
    assert (remark.grade, remark.todo) == (Grade.WARNING, "use https")
    assert SECRET not in remark.what


@pytest.mark.fault(52)
@pytest.mark.parametrize(
    ("token", "grade", "words"),
    [
        (TOKEN, Grade.FINE, "the bot migration-guard in Shop is known"),
        ("xoxb-another", Grade.PROBLEM, "the bot token is refused: Slack refused: invalid_auth"),
        ("https://hooks.slack.com/services/x", Grade.PROBLEM, "holds a URL and no token"),
        ("two lines\nof it", Grade.PROBLEM, "characters that no token has"),
        (None, Grade.PROBLEM, "cannot be read"),
    ],
    ids=["right", "wrong", "url", "lines", "missing"],
)
def test_a_bot_token_is_asked_whether_it_is_valid_and_nothing_is_posted(
    tmp_path: Path, token: str | None, grade: Grade, words: str
) -> None:
    file = tmp_path / "guard.toml"
    with slack_server() as slack:
        section = f'[slack]\nbot_token_file = "token"\nchannel = "#guard"\napi_url = "{slack.api}"\n'
        for path, text in (
            (tmp_path / "token", token),
            (file, f'[database.main]\ndsn = "host=x"\nstandbys = []\n{section}'),
        ):
            if text is not None:
                path.touch(mode=0o600)
                path.write_text(text)
        [remark] = asyncio.run(check_slack(load(file)))
        assert slack.workspace.messages == []
    assert remark.grade is grade
    assert words in remark.what
    assert TOKEN not in remark.what + remark.todo
