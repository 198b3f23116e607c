"""`check` asks each rule on the application's own figures once, and Prometheus for what a drift is measured against."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from pathlib import Path

from guard.check.outside import check_rule
from guard.check.remarks import Grade, Remark
from guard.settings import load
from tests.fix_http import Endpoint, answer, prometheus


def check(endpoint: Endpoint, directory: Path, rule: str) -> list[Remark]:
    file = directory / "guard.toml"
    file.touch(0o600)
    file.write_text(
        f'[database.main]\ndsn = "host=x"\nstandbys = []\n[prometheus]\nurl = "{endpoint.url}"\n'
        f'[[rule]]\nname = "p99"\n{rule}\n'
    )
    settings = load(file)
    return asyncio.run(check_rule(settings, settings.rules[0]))


def remembers(endpoint: Endpoint, count: int) -> None:
    """Prometheus says 0.2 now, and has said so in so many of the 181 moments of the last half hour."""

    def reply(client: socket.socket) -> None:
        now = time.time()
        if "query_range" in endpoint.requests[-1]:
            values = [(now - 10 * number, "0.2") for number in range(count)]
            client.sendall(prometheus([{"metric": {}, "values": values}], kind="matrix"))
        else:
            client.sendall(prometheus([{"metric": {}, "value": [now, "0.2"]}]))

    endpoint.reply = reply


DRIFTS = 'prometheus = "p99"\npause = "> 1.5x baseline and > 300ms"'


def test_what_prometheus_remembers_of_a_rule_that_drifts_is_told_as_it_will_be_measured(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    remembers(endpoint, 100)
    now, before = check(endpoint, tmp_path, DRIFTS)
    assert (now.grade, now.what) == (Grade.FINE, "answers 200 ms")
    assert before.grade is Grade.FINE
    assert before.what == "baseline 200 ms (median of 100 from Prometheus over 16 min 30 s, spread 0 s)"


def test_a_memory_that_is_too_short_is_a_warning_that_says_how_long_the_guard_needs(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    remembers(endpoint, 12)
    _, before = check(endpoint, tmp_path, DRIFTS)
    assert (before.grade, before.what) == (Grade.WARNING, "no baseline from Prometheus: 12 of 30 readings")
    assert "have the guard run for 4 min 30 s" in before.todo


def test_without_a_drift_nobody_is_asked_for_the_past(endpoint: Endpoint, tmp_path: Path) -> None:
    remembers(endpoint, 100)
    (now,) = check(endpoint, tmp_path, 'prometheus = "p99"\npause = "> 300ms"')
    assert now.grade is Grade.FINE
    assert len(endpoint.requests) == 1


def test_a_counter_is_said_to_be_one(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.reply = answer(json.dumps({"v": 12}).encode())
    (now,) = check(endpoint, tmp_path, f'http = "{endpoint.url}"\njson = "v"\nas = "rate"\npause = "> 3"')
    assert (now.grade, now.what) == (Grade.FINE, "answers 12, a counter: its growth per second is judged")
