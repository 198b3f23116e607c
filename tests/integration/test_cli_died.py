"""What people are told when the guard itself has died: why, whether it is back, and what that means."""

import json
from pathlib import Path

import pytest

from guard.cli.alert import alert
from guard.cli.died import Death, death_of, file_of, notice_of
from guard.errors import TellError
from guard.model import Severity
from tests.command import command
from tests.receiver import SECRET, Reply, genuine, receiver
from tests.slack_server import Answer, slack_server
from tests.slack_workspace import TOKEN

pytestmark = pytest.mark.integration

MONITOR = ("MONITOR_SERVICE_RESULT", "MONITOR_EXIT_CODE", "MONITOR_EXIT_STATUS")


@pytest.fixture(autouse=True)
def no_monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that systemd said to the tests themselves."""
    for name in MONITOR:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("death", "words"),
    [
        (Death("x", "watchdog", "killed", "ABRT"), "it judged no more, and systemd's watchdog ended it (SIGABRT)"),
        (Death("x", "exit-code", "exited", "1"), "it ended by itself (exit code 1)"),
        (Death("x", "exit-code", "exited", "203"), "it ended by itself (exit code 203): systemd found no such program"),
        (Death("x", "signal", "killed", "KILL"), "a signal ended it (SIGKILL)"),
        (Death("x", "core-dump", "dumped", "SEGV"), "it crashed (SIGSEGV)"),
        (Death("x", "resources"), "systemd says: resources"),
        (Death("x"), "systemd does not say why"),
    ],
)
def test_each_end_is_a_sentence(death: Death, words: str) -> None:
    assert death.words == words


def test_the_end_is_known_from_the_instance_or_from_systemd_s_variables_or_from_what_was_noted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noted = {"Result": "exit-code", "ExecMainCode": "1", "ExecMainStatus": "2"}
    assert death_of("a@b.service:signal:killed:KILL", noted) == Death("a@b.service", "signal", "killed", "KILL")
    assert death_of("a.service", noted) == Death("a.service", "exit-code", "exited", "2")
    assert death_of("a.service", {"Result": "signal", "ExecMainCode": "2", "ExecMainStatus": "9"}) == Death(
        "a.service", "signal", "killed", ""
    )
    for name, value in zip(MONITOR, ("core-dump", "dumped", "SEGV"), strict=True):
        monkeypatch.setenv(name, value)
    assert death_of("a.service", noted) == Death("a.service", "core-dump", "dumped", "SEGV")


@pytest.mark.parametrize(
    ("state", "words", "severity"),
    [
        ({"ActiveState": "active", "NRestarts": "7"}, "systemd has started it again", Severity.WARNING),
        ({"ActiveState": "failed"}, "systemd does not start it again", Severity.CRITICAL),
        ({"ActiveState": "activating"}, "systemd starts it again and again", Severity.CRITICAL),
        ({"ActiveState": "inactive"}, "it was stopped meanwhile", Severity.CRITICAL),
        ({}, "Whether it runs again is not known", Severity.CRITICAL),
    ],
)
def test_how_it_stands_now_decides_how_grave_it_is(state: dict[str, str], words: str, severity: Severity) -> None:
    notice = notice_of(Death("a.service", "signal", "killed", "KILL"), state)
    assert (words in notice.next_step, notice.severity) == (True, severity)
    assert "migrations that ask hold by themselves once the lease has ended" in notice.next_step
    assert notice.fields.get("Restarts") == state.get("NRestarts")
    assert "journalctl -u a.service -n 100" in notice.commands


def test_it_is_sent_without_a_configuration_file_and_tried_again_where_slack_is_busy(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("NRestarts=1\nActiveState=active\n")
    with slack_server(Answer(503, "busy", retry_after="0")) as slack:
        (tmp_path / "slack-webhook").write_text(slack.url)
        places = {"CREDENTIALS_DIRECTORY": str(tmp_path), "RUNTIME_DIRECTORY": str(tmp_path)}
        ended = command("alert", "--died", "a.service:watchdog:killed:ABRT", environment=places)
        assert ended.code == 0, ended.said
        assert len(slack.requests) == 2
        assert "a.service: it judged no more" in json.dumps(slack.requests[-1].payload)


def test_without_a_webhook_it_fails_and_says_so(tmp_path: Path) -> None:
    ended = command("alert", "--died", "a.service", environment={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert (ended.code, "there is no systemd credential slack-webhook" in ended.err) == (3, True), ended.said


def test_every_channel_of_the_file_is_told_also_where_that_file_is_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with receiver() as hook, receiver(Reply(404)) as refusing:
        for name, secret in (("hook", hook.url), ("other", refusing.url), ("word", SECRET)):
            (tmp_path / name).write_text(secret)
        file = tmp_path / "guard.toml"
        file.write_text(f'[guard]\nlease = "soon"\n{channel("hook")}{channel("other")}{channel("absent")}')
        alert(died="a.service:exit-code:exited:2", config=file)
        said = capsys.readouterr()
        assert [each["kind"] for each in hook.taken()] == ["guard_died"]
        assert genuine(hook.came[0])
        assert "other: The webhook other refused the message for good (HTTP 404)" in said.err
        assert "absent: " in said.err
        assert "a.service: it ended by itself (exit code 2): its configuration file is wrong" in said.out
        hook.script.append(Reply(410))
        refusing.script.append(Reply(410))
        with pytest.raises(TellError, match="HTTP 410"):
            alert(died="a.service", config=file)


def test_slack_s_credential_is_used_where_the_file_names_one_that_is_not_handed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    file = tmp_path / "shop.toml"
    file.write_text('[slack]\nwebhook_url_file = "/etc/migration-guard/shop.slack-webhook"\n')
    with slack_server() as slack:
        (tmp_path / "slack-webhook").write_text(slack.url)
        alert(died="migration-guard@shop.service", config=file)
        assert "migration-guard@shop.service: systemd does not say why" in json.dumps(slack.requests[-1].payload)


def test_a_bot_tells_it_by_its_credential_in_the_channel_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "slack-bot-token").write_text(TOKEN)
    file = tmp_path / "guard.toml"
    with slack_server() as slack:
        where = f'channel = "#guard"\napi_url = "{slack.api}"\n'
        file.write_text(f'[slack]\nbot_token_file = "/etc/migration-guard/slack-bot-token"\n{where}')
        alert(died="migration-guard.service:signal:killed:KILL", config=file)
        [message] = slack.workspace.parents
        assert "the guard itself has died on " in message.headline
        assert "migration-guard.service: a signal ended it (SIGKILL)" in message.texts


def channel(name: str) -> str:
    return f'[[channel]]\nname = "{name}"\nkind = "webhook"\nurl_file = "{name}"\nsecret_file = "word"\n'


@pytest.mark.parametrize(
    ("unit", "file"),
    [
        ("migration-guard.service", "config.toml"),
        ("migration-guard@shop.service", "shop.toml"),
        ("migration-guard@shop", "shop.toml"),
        ("migration-guard@../x.service", "config.toml"),
        ("other.service", "config.toml"),
    ],
)
def test_an_instance_of_the_unit_has_a_file_of_its_own(unit: str, file: str) -> None:
    assert file_of(unit, Path("/etc/migration-guard/config.toml")) == Path("/etc/migration-guard") / file
