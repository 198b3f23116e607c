"""Limits suggested from what Prometheus remembers: bounded questions, right figures, a file that passes check."""

from __future__ import annotations

import re
import socket
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

from guard.cli.past import POINTS, ask
from guard.cli.suggest import suggest
from guard.cli.suggesting import Point, suggestion
from guard.errors import WorldError
from guard.settings import load
from tests.command import command
from tests.fix_http import Endpoint, answer, prometheus

HEAD = """
[database.main]
dsn = "host=localhost dbname=app"
standbys = []
[prometheus]
url = "{url}/tenant-CANARY"
headers = {{ "X-Scope-OrgID" = "CANARY" }}
"""
RULES = """
[[rule]]
name = "errors"
prometheus = "errors"
pause = "> 1% for 30s"
no_data = "hold"
[[rule]]
name = "p99"
prometheus = "p99"
unit = "ms"
pause = "> 1.5x baseline and > 200ms for 30s"
[[rule]]
name = "gone"
prometheus = "gone"
pause = "> 5"
[[rule]]
name = "lag"
metric = "activity.active"
warn = "> 5"
"""


@pytest.fixture
def file(endpoint: Endpoint, tmp_path: Path) -> Path:
    """A configuration whose Prometheus is the endpoint."""
    path = tmp_path / "guard.toml"
    path.touch(0o600)
    path.write_text(HEAD.format(url=endpoint.url) + RULES)
    return path


def remembers(endpoint: Endpoint, every: float, **values: list[float]) -> None:
    """What each query gave, one value after the other; a query that is not named has an error in two lines."""

    def reply(client: socket.socket) -> None:
        asked = re.search(r"query=(\w+)&start=([\d.]+)", endpoint.requests[-1])
        assert asked is not None
        if asked[1] not in values:
            body = b'{"status": "error", "errorType": "bad_data", "error": "parse\\n[guard]\\nmode = 1"}'
            client.sendall(answer(body, status=400))
            return
        points = [(float(asked[2]) + number * every, str(value)) for number, value in enumerate(values[asked[1]])]
        client.sendall(prometheus([{"metric": {}, "values": points}], kind="matrix"))

    endpoint.reply = reply


def asked(endpoint: Endpoint) -> tuple[float, float, int]:
    """From when, until when, and at which step Prometheus was asked last; Unix times and seconds."""
    found = re.search(r"start=([\d.]+)&end=([\d.]+)&step=(\d+) ", endpoint.requests[-1])
    assert found is not None
    return float(found[1]), float(found[2]), int(found[3])


def test_a_week_gives_limits_with_reasons_and_a_file_that_passes_the_check(endpoint: Endpoint, file: Path) -> None:
    p99 = [100.0] * 396 + [130.0] * 4 + [400.0]
    remembers(endpoint, 420, errors=[0.001] * 300 + [0.002] * 100 + [0.3] * 2, p99=p99)
    printed = command("suggest", "--prometheus", "-c", str(file))
    assert printed.code == 0, printed.said
    assert "CANARY" not in printed.said
    since, until, step = asked(endpoint)
    assert until - since == pytest.approx(7 * 86_400, abs=0.1)
    assert step == 420
    errors, drifting, gone = tomllib.loads(printed.out)["rule"]
    assert errors == {"name": "errors", "prometheus": "errors", "pause": "> 0.4% for 30s", "no_data": "hold",
                      "resume": "< 0.28% for 10s"}  # fmt: skip
    assert "# 402 readings: median 0.1 %, 99 % at most 0.2 %, highest 30 %" in printed.out
    assert "# 2 of these readings are above that, and they lie 7 min apart" in printed.out
    assert (drifting["pause"], gone["pause"]) == ("> 1.5x baseline and > 200ms for 30s", "> 5")
    assert "# 99 % keep to 1.3x their median, the highest is 4x" in printed.out
    assert "# Prometheus: Prometheus reports an error: bad_data: parse [guard] mode = 1; unchanged" in printed.out
    file.write_text(HEAD.format(url=endpoint.url) + printed.out)
    assert command("check", "--file-only", "-c", str(file)).code == 0


@pytest.mark.parametrize(("seconds", "step"), [(1200, 1), (7 * 86_400, 420), (366 * 86_400, 21_120)])
def test_what_is_asked_is_bounded_in_points(endpoint: Endpoint, file: Path, seconds: int, step: int) -> None:
    remembers(endpoint, step, errors=[0.0, 1.0])
    settings = load(file)
    past = ask(settings, settings.rules[:1], seconds)["errors"]
    assert [point.value for point in past.points] == [0.0, 1.0]
    assert asked(endpoint)[2] == step
    assert seconds / step <= POINTS


def test_where_readings_lie_as_close_as_the_limit_is_long_it_says_how_often_that_would_have_paused(file: Path) -> None:
    rule, *_ = load(file).rules
    values = [0.001] * 900 + [0.3] * 2 + [0.001] * 600 + [0.3] * 3 + [0.001] * 100
    points = [Point(20.0 * number, value) for number, value in enumerate(values)]
    (told,) = [reason for reason in suggestion(rule, {}, points, every=20.0).reasons if "above" in reason]
    assert told == "in that time it was above that twice, 40 s at the longest; 1 of them would have paused"


def test_a_prometheus_that_is_down_is_said_beside_each_rule_and_in_the_end(
    endpoint: Endpoint, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint.shut()
    with pytest.raises(WorldError, match="told nothing of any of these rules"):
        suggest(prometheus=True, config=file)
    assert capsys.readouterr().out.count("# Prometheus: connection refused; unchanged") == 3


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"prometheus": True, "since": "7"}, "a bare number has no unit"),
        ({"prometheus": True, "since": "5s"}, "between 1m and 366d"),
        ({"prometheus": True, "rules": ["nobody"]}, 'there is no rule "nobody"; there is: errors, p99, gone, lag'),
        ({"prometheus": True, "rules": ["lag"]}, "None of these rules asks Prometheus"),
        ({"since": "7d"}, "--since goes with --prometheus"),
    ],
    ids=["no unit", "too short", "unknown rule", "another source", "the record"],
)
def test_a_wrong_question_is_told_before_anybody_is_asked(
    endpoint: Endpoint, file: Path, wrong: dict[str, Any], words: str
) -> None:
    with pytest.raises((typer.BadParameter, WorldError), match=re.escape(words)):
        suggest(config=file, **wrong)
    assert endpoint.requests == []
