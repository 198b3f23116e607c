"""Slack that refuses, stalls or is gone, under the real daemon: it decides on, and in the end everything is told."""

import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.house import LOAD, NOISE, QUEUE, House
from tests.command import command
from tests.fix_matrix import Took
from tests.fix_postgres import MakeRole
from tests.fix_sessions import Background
from tests.slack_server import HANG, OK, RESET, Answer, limited, texts_of
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance
Start = Callable[[str, str], Background]


def pause_and_resume(house: House, took: Took) -> None:
    """One breach and its end; each decision is as quick as if Slack were well."""
    count = len(house.events("paused")) + 1
    for value, kind in ((9, "paused"), (0, "resumed")):
        at = time.time()
        house.load(value)
        seconds = house.wait_event(kind, count)[1] - at
        took(seconds)
        assert seconds < 0.1 + (0.3 if kind == "resumed" else 0) + NOISE


@pytest.mark.fault(50)
def test_slack_that_asks_to_wait_is_obeyed_in_order_and_no_decision_waits_with_it(house: House, took: Took) -> None:
    house.slack.script[:] = [limited("1"), OK, limited(None), OK, limited("99999")]
    daemon = house.serve()
    house.wait_migrating()
    pause_and_resume(house, took)
    wait_for(lambda: len(house.slack.requests) == 5, within=20, message=lambda: str(house.slack.tried))
    first, again = house.slack.requests[:2]
    assert first.notice_id == again.notice_id
    assert again.at - first.at >= 1
    assert house.slack.tried[1:4] == [first.notice_id, *[house.slack.taken[1]] * 2]
    pause_and_resume(house, took)
    assert len(house.slack.requests) == 5  # the last one asked for a day, and gets a minute
    asked = time.monotonic()
    daemon.send(signal.SIGTERM)
    assert daemon.wait(5) == 0
    assert time.monotonic() - asked < 5


@pytest.mark.fault(51)
def test_slack_that_fails_in_every_way_and_a_guard_that_is_killed_meanwhile_lose_nothing(
    house: House, took: Took
) -> None:
    house.slack.script[:] = [Answer(500), RESET, OK, Answer(503)]
    daemon = house.serve()
    migrating = house.wait_migrating()
    pause_and_resume(house, took)
    wait_for(lambda: len(house.slack.requests) >= 4, within=15)
    house.slack.script[:] = [HANG]
    pause_and_resume(house, took)
    wait_for(lambda: house.slack.requests[-1].answer == HANG, within=10)
    daemon.kill()  # Slack has taken it, and nobody has heard so
    hung = house.slack.tried[-1]
    house.serve()
    house.wait_event("resumed", 2)
    house.assert_all_told()
    assert [request.answer for request in house.slack.requests if request.notice_id == hung][-2:] == [HANG, OK]
    migrating.wait_starts()
    house.assert_kept_to_orders(migrating)


@pytest.mark.fault(51)
def test_slack_that_is_not_there_is_told_of_in_status_until_it_is(house: House, took: Took) -> None:
    url = house.slack.url
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        # Its port is not listened to.
        house.slack.url = f"http://127.0.0.1:{reserved.getsockname()[1]}/services/x"
        daemon = house.serve()
        house.wait_migrating()
        pause_and_resume(house, took)
        daemon.wait_says("Slack could not be reached (ConnectError)")
        status = command("status", "-c", str(house.file)).out
        assert "slack does not get through" in status
    daemon.kill()
    house.slack.url = url
    house.serve()
    house.assert_all_told()
    wait_for(lambda: not troubles(house), message=lambda: str(troubles(house)))


@pytest.mark.fault(52)
def test_a_webhook_that_is_refused_is_loud_in_log_and_status_and_found_by_check_and_never_asked_twice(
    house: House, took: Took, tmp_path: Path
) -> None:
    house.slack.script[:] = [Answer(404, "no_service")] * 50
    notified, heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), list[str]()
    notified.bind(str(tmp_path / "notify"))
    listening = threading.Thread(target=listen, args=(notified, heard), daemon=True)
    listening.start()
    daemon = house.serve(environment={"NOTIFY_SOCKET": str(tmp_path / "notify")})
    migrating = house.wait_migrating()
    pause_and_resume(house, took)
    wait_for(lambda: troubles(house) and len(house.slack.requests) >= 3, within=15)
    assert len(set(house.slack.tried)) == len(house.slack.tried)
    said = "Slack refused the message for good (HTTP 404 no_service); is the webhook still valid?"
    assert "ERROR" in next(line for line in daemon.text().splitlines() if said in line)
    assert "slack does not get through (reported " in (shown := command("status", "-c", str(house.file)).out)
    assert said in shown
    wait_for(lambda: f"slack does not get through: {said}" in "".join(heard), message=lambda: str(heard))
    checked = command("check", "-c", str(house.file))
    assert f"problem  slack: a webhook at 127.0.0.1 is refused: {said}" in checked.out
    house.slack.script.clear()
    assert "slack: a webhook at 127.0.0.1 is taken" in command("check", "-c", str(house.file)).out
    assert [answer.body for answer in house.slack.knocks] == ["no_service", "no_text"]
    assert "CANARY" not in daemon.text() + shown + checked.said
    migrating.wait_starts()
    notified.shutdown(socket.SHUT_RDWR)
    listening.join(5)
    notified.close()


def listen(notified: socket.socket, heard: list[str]) -> None:
    """Be systemd: read at once, since few messages fit into the socket."""
    while words := notified.recv(4096):
        heard.append(words.decode())


def troubles(house: House) -> dict[str, str]:
    """What the guard reports of the channels."""
    rows = house.database.execute("select report->'troubles' from migration_guard.report")
    return dict(rows[0][0]) if rows else {}


@pytest.mark.fault(53)
def test_what_others_write_is_shown_as_it_is_cut_with_a_note_and_no_statement_is_repeated(
    house: House, background: Start, make_role: MakeRole
) -> None:
    make_role("application")
    house.database.execute("grant select on t to application")
    house.rules = LOAD + QUEUE
    house.serve()
    harmful = "<!channel> <@U1> <https://evil.example|click> `code` ```block``` \x1b[31m\r\u202e & " + "long " * 1000
    house.wait_migrating(name="m <!here> `x`")
    house.database.execute("select migration_guard.order_pause('*', %s, %s)", ["<@U2> ann", harmful])
    name = "migration:<!everyone>"
    session = background(
        house.database.dsn("migrator", application_name=name),
        "lock table t; select 'hush-hush', pg_sleep(60) /* password hush-hush */",
    )
    held = "select 1 from pg_locks where relation = 't'::regclass and mode = 'AccessExclusiveLock' and granted"
    wait_for(lambda: house.database.execute(held.encode()))
    waiting = [background(house.database.dsn("application"), "select 'hush-hush' from t") for _ in range(2)]
    for reader in waiting:
        reader.wait(10)
    session.wait()
    wait_for(lambda: len(house.slack.taken) >= 5, within=15)
    house.assert_all_told()
    assert {request.answer.status for request in house.slack.requests} == {200}  # the server refuses as Slack does
    shown = [text for request in house.slack.requests for text in texts_of(request.payload)]
    assert any("&lt;!channel&gt; &lt;@U1&gt; &lt;https://evil.example|click&gt; `code`" in text for text in shown)
    assert any(text.endswith(" … (cut)") for text in shown)
    assert any("migration:&lt;!everyone&gt;" in text for text in shown)
    assert not any(set(text) & set("<>\x1b\r\u202e") for text in shown)
    everything = str([request.payload for request in house.slack.requests]) + house.processes[0].text()
    everything += str(house.database.execute("select * from migration_guard.event"))
    assert "hush-hush" not in everything
