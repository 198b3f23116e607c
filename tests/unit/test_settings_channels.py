"""`[[channel]]`, and of what a channel is told: what is read, what is kept secret, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard.errors import ConfigError, WorldError
from guard.model import Severity
from guard.settings import Settings, load, salvage

DATABASE = '[database.main]\ndsn = "host=db1"\nstandbys = []\n'
HOOK = '[[channel]]\nname = "tickets"\nkind = "webhook"\nurl_file = "url"\nsecret_file = "word"\n'
PAGER = '[[channel]]\nname = "on-call"\nkind = "apprise"\nurl_file = "pager"\n'


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "guard.toml"
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def read(tmp_path: Path, text: str) -> Settings:
    return load(written(tmp_path, text))


def test_a_channel_is_told_of_everything_unless_it_says_otherwise(tmp_path: Path) -> None:
    narrow = 'least = "critical"\ndatabases = ["main"]\nmigrations = ["billing-*"]\n'
    settings = read(tmp_path, f"{DATABASE}{HOOK}{PAGER}{narrow}[slack]\nwebhook_url_file = 'hook'\nleast = 'warning'\n")
    hook, pager = settings.channels
    assert (hook.name, hook.kind, hook.route.least, hook.route.databases) == ("tickets", "webhook", Severity.INFO, ())
    assert (pager.route.least, pager.route.databases) == (Severity.CRITICAL, ("main",))
    assert pager.route.migrations == ("billing-*",)
    assert settings.slack is not None
    assert settings.slack.route.least is Severity.WARNING


def test_its_secrets_are_read_from_files_beside_the_configuration_or_variables_which_win_and_are_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (channel,) = read(tmp_path, DATABASE + HOOK).channels
    with pytest.raises(WorldError, match="url cannot be read"):
        channel.url.reveal()
    (tmp_path / "url").write_text("https://canary/one\n")
    (tmp_path / "word").write_text("canary two\n")
    assert channel.secret is not None
    assert (channel.url.reveal(), channel.secret.reveal()) == ("https://canary/one", "canary two")
    monkeypatch.setenv("MIGRATION_GUARD_CHANNEL_ON_CALL_URL", "json://canary")
    monkeypatch.setenv("MIGRATION_GUARD_CHANNEL_TICKETS_SECRET", "canary three")
    settings = read(tmp_path, DATABASE + HOOK + PAGER)
    assert [each.url.reveal() for each in settings.channels] == ["https://canary/one", "json://canary"]
    assert settings.channels[0].secret is not None
    assert settings.channels[0].secret.reveal() == "canary three"
    assert "canary" not in repr(settings)


def test_files_that_others_can_read_and_variables_of_no_channel_are_pointed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o755)
    for name in ("url", "word"):
        (tmp_path / name).write_text("canary")
        (tmp_path / name).chmod(0o644)
    monkeypatch.setenv("MIGRATION_GUARD_CHANNEL_TICKET_URL", "https://canary")
    found = {warning.key: warning.message for warning in read(tmp_path, DATABASE + HOOK).warnings}
    assert found.keys() == {'channel "tickets".url_file', 'channel "tickets".secret_file', "channel"}
    assert 'did you mean "MIGRATION_GUARD_CHANNEL_TICKETS_URL"?' in found["channel"]
    assert "canary" not in str(found)


@pytest.mark.fault(69)
@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        ("channel = 3\n" + DATABASE, 1, "channel", "two brackets"),
        (f"{DATABASE}[channel.x]\n", 4, "channel", "two brackets"),
        (f"{DATABASE}[[channel]]\nkind = 'webhook'", 4, "channel 1.name", "is required"),
        (f"{DATABASE}[[channel]]\nname = 'x'", 4, 'channel "x".kind', "is required"),
        (f"{DATABASE}[[channel]]\nname = 'x'\nkind = 'mail'", 6, 'channel "x".kind', "'webhook' or 'apprise'"),
        (f"{DATABASE}[[channel]]\nname = 'Slack'\nkind = 'webhook'", 5, 'channel "Slack".name', "slack and log are"),
        (f"{DATABASE}[[channel]]\nname = 'a b'\nkind = 'webhook'", 5, 'channel "a b".name', "at most 30 letters"),
        (f"{DATABASE}{HOOK}{HOOK.replace('tickets', 'Tickets')}", 10, 'channel "Tickets".name', "must be unique"),
        (f"{DATABASE}{HOOK}secret = 'x'", 9, 'channel "tickets".secret', "name it: secret_file"),
        (f"{DATABASE}{HOOK}url = 'https://x'", 9, 'channel "tickets".url', "name it: url_file"),
        (f"{DATABASE}{HOOK}least = 'error'", 9, 'channel "tickets".least', "'info', 'warning' or 'critical'"),
        (f"{DATABASE}{HOOK}databases = ['mian']", 9, 'channel "tickets".databases', 'did you mean "main"?'),
        (f"{DATABASE}[slack]\ndatabases = ['mian']", 5, "slack.databases", 'did you mean "main"?'),
        (
            f"{DATABASE}[[channel]]\nname = 'on-call'\nkind = 'apprise'",
            4,
            'channel "on-call"',
            "MIGRATION_GUARD_CHANNEL_ON_CALL_URL",
        ),
        (
            f"{DATABASE}[[channel]]\nname = 'x'\nkind = 'webhook'\nurl_file = 'a'",
            4,
            'channel "x"',
            "MIGRATION_GUARD_CHANNEL_X_SECRET",
        ),
        (f"{DATABASE}{PAGER}secret_file = 'a'", 8, 'channel "on-call".secret_file', "Apprise signs nothing"),
        (f"{DATABASE}{PAGER.replace('pager', 'json://x/canary')}", 7, 'channel "on-call".url_file', "the secret"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_is_allowed(
    tmp_path: Path, text: str, line: int, key: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    (found,) = [problem for problem in caught.value.problems if problem.key == key]
    assert (found.line, words in found.message) == (line, True), found
    assert "canary" not in str(caught.value)


def test_a_file_that_is_wrong_elsewhere_still_says_whom_to_tell(tmp_path: Path) -> None:
    text = f"[guard]\nlease = 3\n[databse]\n{HOOK}[[channel]]\nname = 'x'\n{PAGER}[slack]\nwebhook_url_file = 'hook'\n"
    slack, channels = salvage(written(tmp_path, text))
    assert slack is not None
    assert [channel.name for channel in channels] == ["tickets", "on-call"]


@pytest.mark.parametrize("text", [None, "this is no TOML", "[slack"])
def test_without_a_file_that_can_be_read_slack_s_own_credential_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    path = tmp_path / "absent" if text is None else written(tmp_path, text)
    assert salvage(path) == (None, ())
    monkeypatch.setenv("MIGRATION_GUARD_SLACK_WEBHOOK_URL", "https://hooks.example/x")
    slack, channels = salvage(path)
    assert (slack is not None, channels) == (True, ())
