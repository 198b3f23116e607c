"""Prometheus and HTTP endpoints that fail in every way they have, under the real daemon.

Three migrations, each under the rule of its own: one rule pauses without data, one holds, one ignores it.
"""

import contextlib
import gzip
import itertools
import json
import re
import signal
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from guard.cycle.flapping import OFTEN
from tests.acceptance.house import NOISE, House, Migrating, Process
from tests.command import command
from tests.fix_http import Endpoint, Script, answer, prometheus
from tests.fix_matrix import Took
from tests.slack_server import texts_of
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance

DEADLINE = 0.5
NO_DATA_FOR = 0.2
RULE = """
[[rule]]
name = "{name}"
{source}
pause = "> 5"
resume = "< 2 for 200ms"
no_data = "{no_data}"
migrations = ["{name}"]
"""
HTTP = 'http = "{url}"\njson = "v"'
"""The house puts its endpoint's address in."""
TOKEN = "canary-token"


def series(*values: str, age: float = 0.0) -> bytes:
    """What Prometheus says: one series a value, stamped so many seconds ago."""
    return prometheus([{"metric": {"n": str(n)}, "value": [time.time() - age, v]} for n, v in enumerate(values)])


@dataclass
class Sources:
    """The daemon, and what it asks."""

    house: House
    prometheus: Endpoint
    took: Took
    daemon: Process
    migrations: dict[str, Migrating]
    faults: int = 0
    began: float = 0.0

    def say(self, metric: bytes | Script, application: bytes | Script) -> None:
        """What both sources answer from now on."""
        self.prometheus.reply, self.house.endpoint.reply = metric, application

    def well(self) -> None:
        """All is well again; the migration that was paused goes on."""
        self.say(series("0"), answer(b'{"v": 0}'))
        self.house.wait_event("resumed", self.faults)

    def pauses(self, because: str, within: float = NO_DATA_FOR + 0.2) -> str:
        """The migration whose rule says so is paused once, for this reason, in the same words everywhere."""
        self.faults += 1
        since = time.time()
        _, at, words = self.house.wait_event("paused", self.faults)
        self.took(at - since)
        assert at - since < within + NOISE
        assert because in words
        assert self.house.order("pauses")["because"] == words
        told = min(self.faults, OFTEN)  # what comes and goes is not told for ever
        wait_for(lambda: len(self.logged) >= told)
        assert len(self.logged) == told
        assert self.faults > OFTEN or f"because={json.dumps(words)}" in self.logged[-1]
        return words

    @property
    def logged(self) -> list[str]:
        """The notices of pauses."""
        return [line for line in self.daemon.text().splitlines() if "kind=paused" in line]

    def reload(self) -> None:
        """Take up the file as the house writes it by now."""
        reloads = self.daemon.text().count("configuration reloaded")
        self.house.write()
        self.daemon.send(signal.SIGHUP)
        wait_for(lambda: self.daemon.text().count("configuration reloaded") > reloads, message=self.daemon.text)

    def wrong(self, metric: bytes | Script, because: str, application: bytes | Script | None = None) -> None:
        """One fault, and the end of it."""
        self.say(metric, application if application is not None else metric)
        self.pauses(because)
        self.well()

    def assert_others_went_on(self) -> None:
        """Nobody without a rule that pauses has noticed, and the guard beat each second."""
        assert {event[0] for event in self.of("holds") + self.of("ignores")} <= {"registered", "started", "applied"}
        for name in ("holds", "ignores"):
            starts = [at for at in self.migrations[name].starts if at > self.began]
            assert max(b - a for a, b in itertools.pairwise(starts)) < 0.5 + NOISE
        beats = self.house.lease()["beat"]
        assert beats >= (time.time() - self.began) * 0.6
        assert "Traceback" not in self.daemon.text()
        self.house.assert_kept_to_orders(self.migrations["pauses"])

    def of(self, name: str) -> list[tuple[str, str]]:
        """Events of one migration."""
        rows = "select kind, because from migration_guard.event where migration = %s order by event_id"
        return [(kind, because) for kind, because in self.house.database.execute(rows, [name])]


@pytest.fixture
def sources(house: House, make_endpoint: Callable[[], Endpoint], tmp_path: Path, took: Took) -> Callable[[], Sources]:
    """``sources()``: the guard asks both, and three migrations are under way."""

    def start() -> Sources:
        metrics = make_endpoint()
        token = tmp_path / "token"
        token.touch(mode=0o600)
        token.write_text(TOKEN)
        house.guard = f'probe_deadline = "{DEADLINE}s"'
        house.more = f'[prometheus]\nurl = "{metrics.url}"\ntimeout = "{DEADLINE}s"\nbearer_token_file = "{token}"\n'
        house.rules = (
            RULE.format(name="pauses", source='prometheus = "errors"', no_data=f"pause for {NO_DATA_FOR}s")
            + RULE.format(name="holds", source=HTTP, no_data="hold")
            + RULE.format(name="ignores", source=HTTP, no_data="ignore")
        )
        metrics.reply = series("0")
        daemon = house.serve()
        # The house has one table: they take turns.
        migrations = {name: house.migrate(name=name, work=0.01, size=1) for name in ("pauses", "holds", "ignores")}
        for migrating in migrations.values():
            migrating.wait_starts()
        return Sources(house, metrics, took, daemon, migrations, began=time.time())

    return start


@pytest.mark.fault(44, 46, 47, 48)
def test_whatever_a_source_answers_its_rule_alone_is_unknown_and_each_fault_is_told_once_in_the_same_words(
    sources: Callable[[], Sources],
) -> None:
    play = sources()
    play.prometheus.shut()
    play.house.endpoint.shut()
    words = play.pauses("connection refused")
    status = command("status", "-c", str(play.house.file)).out
    assert words in status
    play.prometheus.open()
    play.house.endpoint.open()
    play.well()
    play.wrong(answer(b"who are you?", status=401), "HTTP 401 (Unauthorized)")
    play.wrong(answer(b"busy", status=503), "HTTP 503 (Service Unavailable)")
    play.wrong(answer(b'{"status": "error", "errorType": "timeout", "error": "too slow"}'), "timeout: too slow")
    play.wrong(answer(b"<html>sign in</html>"), "not JSON")
    play.wrong(answer(b"[" * 100_000), "not JSON")
    play.wrong(answer(b'{"status": "success", "v": ' + b"9" * 5000 + b"}"), "not JSON")
    play.wrong(series("NaN"), "the query gives NaN", answer(b'{"v": NaN}'))
    play.wrong(series("1", "2"), "2 series", answer(b'{"v": [1, 2]}'))
    play.wrong(series(), "no series", answer(b"{}"))
    play.wrong(series("0", age=90), "s old", answer(b'{"v": "0"}'))
    play.wrong(series("+Inf"), "infinitely much > 5", answer(b'{"v": 1e999}'))
    assert len(play.of("pauses")) <= 3 + 3 * play.faults  # paused, perhaps effective, resumed
    play.assert_others_went_on()
    told = [text for request in play.house.slack.requests for text in texts_of(request.payload)]
    assert any("connection refused" in text for text in told)


@pytest.mark.fault(44)
def test_an_unknown_host_and_a_certificate_that_nobody_trusts_are_unknown_and_no_credential_goes_there(
    sources: Callable[[], Sources], self_signed: ssl.SSLContext
) -> None:
    play = sources()
    right = play.house.more
    # A server of its own: the other one is still being asked while the file is exchanged.
    untrusted = Endpoint()
    untrusted.tls = self_signed
    with contextlib.closing(untrusted):
        for address, because in (
            ("http://no.such.host.invalid", r"cannot be resolved|no answer in time"),
            (untrusted.url.replace("http:", "https:"), "TLS failed: self-signed certificate"),
        ):
            play.house.more = right.replace(play.prometheus.url, address)
            play.reload()
            words = play.pauses("Prometheus", within=DEADLINE + NO_DATA_FOR + 0.3)
            assert re.search(because, words)
            play.house.more = right
            play.reload()
            play.well()
    assert untrusted.requests == []
    play.assert_others_went_on()


@pytest.mark.fault(44, 46)
def test_without_data_a_paused_migration_goes_on_only_where_its_rule_says_that_it_does_not_matter(
    sources: Callable[[], Sources],
) -> None:
    play = sources()
    play.say(series("9"), answer(b'{"v": 9}'))
    for name in ("pauses", "holds", "ignores"):
        play.house.wait_order("pause", name)
    play.say(answer(b"<html>"), answer(b"<html>"))
    play.house.wait_order("proceed", "ignores")
    play.migrations["ignores"].wait_starts(20)
    assert [play.house.order(name)["kind"] for name in ("pauses", "holds")] == ["pause", "pause"]
    play.say(series("0"), answer(b'{"v": 0}'))
    for name in ("pauses", "holds"):
        play.house.wait_order("proceed", name)
    for name, migrating in play.migrations.items():
        kinds = [kind for kind, _ in play.of(name) if kind in {"paused", "resumed"}]
        assert kinds == ["paused", "resumed"], name
        migrating.wait_starts()


@pytest.mark.fault(45, 49)
def test_a_slow_endless_or_misleading_answer_costs_neither_time_nor_memory_nor_a_secret(
    sources: Callable[[], Sources], make_endpoint: Callable[[], Endpoint]
) -> None:
    play = sources()
    for manner in ("drip_head", "drip"):
        play.say(getattr(play.prometheus, manner), getattr(play.house.endpoint, manner))
        play.pauses("no answer in time", within=DEADLINE + NO_DATA_FOR + 0.3)
        play.well()
    before = resident(play.daemon.child.pid, "VmRSS")
    Path(f"/proc/{play.daemon.child.pid}/clear_refs").write_text("5")  # the peak is counted from now on
    bomb = answer(gzip.compress(b" " * 50_000_000), headers="Content-Encoding: gzip\r\n")
    play.wrong(play.prometheus.flood, "larger than 1000 kB", play.house.endpoint.flood)
    play.wrong(bomb, "compressed")
    elsewhere = make_endpoint()
    play.wrong(answer(b"", status=307, headers=f"Location: {elsewhere.url}/\r\n"), "redirect")
    assert elsewhere.requests == []
    assert resident(play.daemon.child.pid, "VmHWM") - before < 20_000
    assert any(f"authorization: bearer {TOKEN}" in head.lower() for head in play.prometheus.requests)
    play.assert_others_went_on()


def resident(pid: int, what: str) -> int:
    """Memory of a process in kB; without /proc the test says nothing of it."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("the memory of a process is read from /proc")
    found = re.search(rf"{what}:\s+(\d+) kB", status.read_text())
    assert found
    return int(found[1])
