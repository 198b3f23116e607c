"""[slack]: a webhook or a bot token with its channel, from the file, the environment or systemd, and never both."""

from collections.abc import Callable
from pathlib import Path

import pytest

from guard.errors import ConfigError, WorldError
from guard.settings import Settings, SlackBotSettings, load

DATABASE = '[database.main]\ndsn = "host=db1 dbname=app"\nstandbys = []\n'
TOKEN = "MIGRATION_GUARD_SLACK_BOT_TOKEN"
WEBHOOK = "MIGRATION_GUARD_SLACK_WEBHOOK_URL"
CHANNEL = "MIGRATION_GUARD_SLACK_CHANNEL"


@pytest.fixture
def slack(tmp_path: Path) -> Callable[[str], Settings]:
    """``slack(text)``: the settings of a file with this section."""

    def read(text: str) -> Settings:
        file = tmp_path / "guard.toml"
        file.touch(mode=0o600)
        file.write_text(DATABASE + text)
        return load(file)

    return read


def bot_of(settings: Settings) -> SlackBotSettings:
    assert settings.slack is not None
    assert settings.slack.webhook is None
    assert settings.slack.bot is not None
    return settings.slack.bot


def test_a_bot_posts_to_its_channel_with_the_token_of_its_file(
    slack: Callable[[str], Settings], tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("xoxb-canary\n")
    bot = bot_of(slack('[slack]\nbot_token_file = "token"\nchannel = "#deploys"\nleast = "warning"'))
    assert (bot.token.reveal(), bot.channel, bot.api_url) == ("xoxb-canary", "#deploys", "https://slack.com/api")
    assert "canary" not in repr(bot)


def test_the_environment_wins_and_needs_no_section(
    slack: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN, "xoxb-canary")
    monkeypatch.setenv(CHANNEL, "C0123456789")
    bot = bot_of(slack(""))
    assert (bot.token.reveal(), bot.channel) == ("xoxb-canary", "C0123456789")
    bot = bot_of(slack('[slack]\nbot_token_file = "other"\nchannel = "other"'))
    assert (bot.token.reveal(), bot.channel) == ("xoxb-canary", "C0123456789")


@pytest.mark.parametrize("credential", ["slack-bot-token", "shop.slack-bot-token"])
def test_a_token_comes_from_systemd_where_a_channel_is_named(
    slack: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, credential: str
) -> None:
    section = '[slack]\nchannel = "deploys"'
    with pytest.raises(WorldError, match="a channel and no bot_token_file"):
        bot_of(slack(section)).token.reveal()
    (tmp_path / credential).write_text("xoxb-from-systemd\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert bot_of(slack(section)).token.reveal() == "xoxb-from-systemd"


def test_of_both_credentials_the_channel_decides(
    slack: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("slack-bot-token", "slack-webhook"):
        (tmp_path / name).write_text(name)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert bot_of(slack('[slack]\nchannel = "deploys"')).token.reveal() == "slack-bot-token"
    found = slack("").slack
    assert found is not None
    assert found.webhook is not None
    assert found.webhook.reveal() == "slack-webhook"


@pytest.mark.parametrize(
    ("section", "variable", "key", "words"),
    [
        ('webhook_url_file = "a"\nbot_token_file = "b"\nchannel = "c"', None, "slack.bot_token_file", "leave out one"),
        ('bot_token_file = "b"\nchannel = "c"', WEBHOOK, "slack.bot_token_file", "does not go with a webhook"),
        ('webhook_url_file = "a"', TOKEN, "slack.bot_token_file", "does not go with a webhook"),
        ('webhook_url_file = "a"\nchannel = "c"', None, "slack.channel", "a webhook has its channel already"),
        ('bot_token_file = "b"', None, "slack", "needs channel beside a bot token"),
        ("", TOKEN, "slack", "needs channel beside a bot token"),
        ('bot_token_file = "b"\nchannel = "two words"', None, "slack.channel", "must be the id of a channel"),
        ('bot_token_file = "b"\nchannel = "<!here>"', None, "slack.channel", "must be the id of a channel"),
        ('bot_token_file = "xoxb-canary"\nchannel = "c"', None, "slack.bot_token_file", "looks like the secret itself"),
        ('bot_token_file = "b"\nchannel = "c"\napi_url = "slack"', None, "slack.api_url", "must be a URL"),
        ('bot_token = "xoxb-canary"\nchannel = "c"', None, "slack.bot_token", "bot_token_file"),
    ],
    ids=lambda value: None if value is None or "\n" in value else value.split(" ")[0],
)
def test_what_does_not_go_together_is_said(
    slack: Callable[[str], Settings],
    monkeypatch: pytest.MonkeyPatch,
    section: str,
    variable: str | None,
    key: str,
    words: str,
) -> None:
    if variable is not None:
        monkeypatch.setenv(variable, "https://x.example/canary")
    with pytest.raises(ConfigError) as caught:
        slack(f"[slack]\n{section}")
    found = [problem for problem in caught.value.problems if problem.key == key]
    assert any(words in problem.message for problem in found), caught.value
    assert "canary" not in str(caught.value)


def test_a_token_that_others_can_read_is_pointed_out(slack: Callable[[str], Settings], tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    token = tmp_path / "token"
    token.touch(mode=0o644)
    token.chmod(0o644)
    [warning] = slack('[slack]\nbot_token_file = "token"\nchannel = "c"').warnings
    assert warning.key == "slack.bot_token_file"
