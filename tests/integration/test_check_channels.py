"""Is a channel there, as far as that can be asked without anybody seeing it? And one message on each of them."""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from guard.check.channels import check_channel
from guard.check.remarks import Grade, Remark
from guard.cli.alert import alert
from guard.errors import TellError, WorldError
from guard.settings import GuardSettings, load
from guard.wiring import build
from tests.receiver import RESET, SECRET, TOKEN, Reply, genuine, receiver

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

HOOK = '[[channel]]\nname = "tickets"\nkind = "webhook"\nurl_file = "hook"\nsecret_file = "word"\n'
PAGER = '[[channel]]\nname = "pager"\nkind = "apprise"\nurl_file = "pager"\nleast = "critical"\n'


def configured(directory: Path, text: str, **secrets: str) -> Path:
    """A configuration file, with its secrets beside it."""
    for name, secret in {"word": SECRET, **secrets}.items():
        (directory / name).touch(mode=0o600)
        (directory / name).write_text(secret)
    file = directory / "guard.toml"
    file.touch(mode=0o600)
    file.write_text(f'[database.main]\ndsn = "host=x"\nstandbys = []\n{text}')
    return file


def remarks(file: Path) -> list[Remark]:
    (channel,) = load(file).channels
    return asyncio.run(check_channel(channel))


@pytest.mark.parametrize(
    ("reply", "grade", "words"),
    [
        (Reply(), Grade.FINE, "127.0.0.1 is there and answers a HEAD with HTTP 200"),
        (Reply(405), Grade.FINE, "HTTP 405"),
        (Reply(501), Grade.FINE, "HTTP 501"),
        (Reply(503), Grade.WARNING, "The webhook tickets failed (HTTP 503)"),
        (RESET, Grade.WARNING, "could not be reached"),
    ],
)
def test_a_webhook_is_asked_whether_it_is_there_and_nothing_is_told(
    tmp_path: Path, reply: Reply, grade: Grade, words: str
) -> None:
    with receiver(reply) as server:
        [remark] = remarks(configured(tmp_path, HOOK, hook=server.url))
        assert [(each.method, each.body) for each in server.came] == [("HEAD", b"")]
    assert (remark.grade, remark.place) == (grade, 'channel "tickets"')
    assert words in remark.what
    assert TOKEN not in str(remark)


@pytest.mark.fault(63)
@pytest.mark.parametrize(
    ("text", "secrets", "words"),
    [
        (HOOK, {}, "hook cannot be read"),
        (HOOK, {"hook": "json://canary"}, "hook holds no URL"),
        (HOOK, {"hook": "http://hooks.invalid/canary"}, "anybody on the way can read"),
        (HOOK, {"hook": "https://hooks.invalid/canary", "word": "canary"}, "it can be guessed"),
        (PAGER, {"pager": "canary"}, "none that Apprise understands"),
    ],
    ids=["no file", "no URL", "in clear", "a short secret", "unknown to Apprise"],
)
def test_what_is_wrong_with_a_channel_is_said_without_its_secrets(
    tmp_path: Path, text: str, secrets: dict[str, str], words: str
) -> None:
    found = remarks(configured(tmp_path, text, **secrets))
    assert any(words in remark.what and remark.grade is not Grade.FINE for remark in found), found
    assert "canary" not in str(found)


def test_a_channel_by_apprise_is_read_and_nobody_is_asked(tmp_path: Path) -> None:
    with receiver() as server:
        [remark] = remarks(configured(tmp_path, PAGER, pager=server.url.replace("http", "json")))
        assert server.came == []
    assert (remark.grade, "as one of JSON" in remark.what) == (Grade.FINE, True), remark


def test_without_apprise_check_and_the_start_name_the_extra_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = configured(tmp_path, PAGER, pager="json://127.0.0.1:9/x")
    monkeypatch.setitem(sys.modules, "apprise", None)
    [remark] = remarks(file)
    assert remark.grade is Grade.PROBLEM
    assert "pip install 'migration-guard[apprise]'" in remark.what
    with pytest.raises(WorldError, match=r"The channel pager needs Apprise, which is not installed"):
        build(replace(load(file), guard=GuardSettings("test", state_directory=tmp_path / "state")))


def test_alert_test_tries_every_channel_and_says_of_each_what_came_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with receiver() as hook, receiver(Reply(404)) as pager:
        file = configured(tmp_path, HOOK + PAGER, hook=hook.url, pager=pager.url.replace("http", "json"))
        with pytest.raises(TellError, match=r"^1 of 2 did not get through\.$"):
            alert(test=True, config=file)
        said = capsys.readouterr()
        assert said.out == "tickets: the test message was sent\n"
        assert "pager: JSON refused the message for good (HTTP 404)" in said.err
        assert genuine(hook.came[0])
        assert hook.taken()[0]["headline"] == "A test of migration-guard: alerts arrive here"
        assert len(pager.came) == 1
        assert TOKEN not in str(said)
        alert(test=True, config=file)
        assert "pager: the test message was sent" in capsys.readouterr().out


def test_without_any_channel_there_is_nobody_to_try(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match=r"has neither \[slack\] nor \[\[channel\]\]"):
        alert(test=True, config=configured(tmp_path, ""))
