"""Ten thousand configuration files that nobody should have written: each is loaded or refused in words, never a crash.

The example file with every setting written out is mutated byte by byte, token by token and table by table; others are
put together at random. What is loaded must make sense, and the password in it is never repeated.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from guard.errors import ConfigError, Problem
from guard.model import Rule
from guard.settings import Settings, load

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
CANARY = "hunter2CANARY"


def _whole(text: str) -> str:
    """Every commented setting and table written out, and a password where one may stand."""
    text = re.sub(r"(?m)^# (\w+ +=|\[?\[[\w.-]+\]\]?$)", r"\1", text)
    return text.replace("user=migration_guard", f"user=migration_guard password={CANARY}")


WHOLE = _whole(EXAMPLE.read_text())
LINES = WHOLE.split("\n")
SETTINGS = [number for number, line in enumerate(LINES) if re.match(r"\w+ *= ", line)]
HEADS = [line for line in LINES if line.startswith("[")]
NAMES = sorted({LINES[number].split("=")[0].strip() for number in SETTINGS})
VALUES = [
    *("1", "-1", "0", "3.5", "nan", "inf", "-inf", "1e400", "99999999999999999999", "0x10", "true", "false"),
    *(
        '""',
        '" "',
        '"5"',
        '"5s"',
        '"-5s"',
        '"1ms"',
        '"9999999h"',
        '"nan"',
        '"inf"',
        '"1s and 2s"',
        '"\\u0000"',
        '"\\t"',
    ),
    *('"> 5s for 3s"', '"> 5"', '"> nan"', '"> inf"', '"< 0s"', '">= -1"', '"> 5s and < 3s"', '"> 1e999s"'),
    *('"> 1.5x baseline and > 200ms for 30s"', '"> 5s for"', '"> 99%"', '"> 64MB"', '"> 0"', '"<= 0 for 1h"'),
    *("[]", "[[]]", "[1]", '["a"]', '["a", "a"]', '["/x", 1]', '["/x", ""]', '[""]', "{}", "{ a = 1 }", '{ a = "b" }'),
    *("1979-05-27", "07:32:00", "1979-05-27T07:32:00Z", "'''\n\n'''", '"%s"', '"\\U0001F600"', f'"{"x" * 5000}"'),
    *('"http://x"', '"http://[::1"', '"http://a:99999"', '"http://a:b@c"', '"file:///etc"', '"~nobody-here/x"', '"~"'),
    *('"host=a b"', '"postgresql://a:b@c@d/e"', '"port=5"', '"pause"', '"hold"', '"pause for 3"', '"observe"'),
    *('"replication.lag"', '"locks.longest_wait"', '"locks.queued_behind_migration"', '"*"', '"ms"', '"%"'),
]
TABLES = [
    *HEADS,
    *("[database]", "[[database.main]]", "[rule]", "[guard.x]", "[[slack]]", '[""]', "[rule.x]", "[migration.'*']"),
    *('[database."a b"]', "[migration.a.rollback]", "[prometheus.headers]", "[a.b.c]", "[[a]]", "["),
]

Edit = Callable[[list[str]], list[str]]
line_number = st.integers(0, len(LINES) - 1)
setting = st.sampled_from(SETTINGS)


def _replaced(number: int, line: str) -> Edit:
    return lambda lines: [*lines[:number], line, *lines[number + 1 :]]


def _inserted(number: int, block: list[str]) -> Edit:
    return lambda lines: [*lines[:number], *block, *lines[number:]]


def _removed(number: int, count: int) -> Edit:
    return lambda lines: [*lines[:number], *lines[number + count :]]


def _moved(number: int, count: int, to: int) -> Edit:
    return lambda lines: [*lines[:to], *lines[number : number + count], *lines[to:]]


OF_A_SETTING: st.SearchStrategy[Edit] = st.one_of(
    st.builds(lambda n, value: _replaced(n, f"{LINES[n].split('=')[0]}= {value}"), setting, st.sampled_from(VALUES)),
    st.builds(lambda n, m: _replaced(n, f"{LINES[n].split('=')[0]}={LINES[m].partition('=')[2]}"), setting, setting),
    st.builds(lambda n, name: _replaced(n, f"{name} ={LINES[n].partition('=')[2]}"), setting, st.sampled_from(NAMES)),
    st.builds(
        lambda n, name, value: _inserted(n, [f"{name} = {value}"]),
        line_number,
        st.sampled_from(NAMES),
        st.sampled_from(VALUES),
    ),
)
OF_A_TABLE: st.SearchStrategy[Edit] = st.one_of(
    st.builds(_moved, line_number, st.integers(1, 20), line_number),
    st.builds(_removed, line_number, st.integers(1, 20)),
    st.builds(lambda n, head: _inserted(n, [head]), line_number, st.sampled_from(TABLES)),
)


def _edited(edits: list[Edit], ends: str) -> bytes:
    lines = LINES
    for edit in edits:
        lines = edit(lines)
    return ends.join(lines).encode()


def _bitten(bites: list[tuple[float, str, int]]) -> bytes:
    content = bytearray(WHOLE.encode())
    for where, how, byte in bites:
        at = int(where * (len(content) - 1))
        if how == "change":
            content[at] = byte
        elif how == "insert":
            content.insert(at, byte)
        else:
            del content[at]
    return bytes(content)


_BYTES = st.one_of(st.sampled_from(b"[]{}=\"'\n\0#.,-\\ \xff\xef"), st.integers(0, 255))
_BITE = st.tuples(st.floats(0, 1), st.sampled_from(["change", "insert", "delete"]), _BYTES)
_LINE = st.one_of(
    st.sampled_from(TABLES),
    st.builds("{} = {}".format, st.sampled_from(NAMES), st.sampled_from(VALUES)),
    st.builds("{}.{} = {}".format, st.sampled_from(NAMES), st.sampled_from(NAMES), st.sampled_from(VALUES)),
    st.text(max_size=20),
)
ENDS = ["\n", "\r\n", "\r"]
STRATEGIES: dict[str, st.SearchStrategy[bytes]] = {
    "one setting": st.builds(_edited, st.lists(OF_A_SETTING, min_size=1, max_size=1), st.just("\n")),
    "settings": st.builds(_edited, st.lists(OF_A_SETTING, min_size=2, max_size=5), st.sampled_from(ENDS)),
    "tables": st.builds(_edited, st.lists(OF_A_SETTING | OF_A_TABLE, min_size=1, max_size=4), st.just("\n")),
    "bytes": st.builds(_bitten, st.lists(_BITE, min_size=1, max_size=4)),
    "anything": st.lists(_LINE, max_size=12).map(lambda lines: "\n".join(lines).encode("utf-8", "surrogatepass"))
    | st.binary(max_size=80),
}


def test_what_is_mutated_is_sound_before(tmp_path: Path) -> None:
    path = tmp_path / "guard.toml"
    path.write_text(WHOLE)
    assert_sound(load(path))


@pytest.mark.fault(69)
@pytest.mark.parametrize("how", STRATEGIES)
def test_of_ten_thousand_files_each_is_loaded_and_sound_or_refused_with_line_and_key(tmp_path: Path, how: str) -> None:
    path = tmp_path / "guard.toml"
    counts = {"loaded": 0, "refused": 0}

    @hypothesis_settings(max_examples=2000, suppress_health_check=list(HealthCheck), database=None)
    @given(STRATEGIES[how])
    def attempt(content: bytes) -> None:
        path.write_bytes(content)
        try:
            settings = load(path)
        except ConfigError as refused:
            counts["refused"] += 1
            assert_told(refused, path, content)
        else:
            counts["loaded"] += 1
            assert_sound(settings)

    attempt()
    assert sum(counts.values()) >= 2000
    # A mutation that is never refused, or always, would prove nothing.
    assert counts["refused"] > 200
    assert counts["loaded"] > 0 or how == "anything"


def assert_told(refused: ConfigError, path: Path, content: bytes) -> None:
    """Each problem is one line that names file, line, key and says something; and no secret."""
    assert refused.problems
    assert str(refused).splitlines() == [str(problem) for problem in refused.problems]
    last = content.count(b"\n") + content.count(b"\r") + 1
    for problem in refused.problems:
        assert isinstance(problem, Problem)
        assert problem.file == str(path)
        assert 1 <= problem.line <= last
        assert problem.key
        assert problem.message
        assert str(problem).isprintable()
        assert f"password={CANARY}" not in str(problem)


def assert_sound(settings: Settings) -> None:
    """What a daemon rests on, whatever was written."""
    guard = settings.guard
    assert 0.05 <= guard.poll_interval <= 60
    assert guard.poll_interval <= guard.idle_interval <= 3600
    assert guard.lease >= 3 * max(1.0, guard.poll_interval)
    assert settings.databases
    assert settings.rules
    assert len({rule.name for rule in settings.rules}) == len(settings.rules)
    for database in settings.databases:
        assert 0.05 <= database.batch_limit <= 60
    for rule in settings.rules:
        assert_sound_rule(rule, settings)
    assert CANARY not in repr(settings.databases)


def assert_sound_rule(rule: Rule, settings: Settings) -> None:
    """Every number of it is one, and an old value is unknown before the lease ends."""
    guard = settings.guard
    assert 2 * guard.poll_interval <= rule.stale_after <= guard.lease
    assert 0 <= rule.no_data_for < math.inf
    assert rule.warn or rule.pause or rule.cancel or rule.rollback
    for condition in (rule.warn, rule.pause, rule.cancel, rule.rollback, rule.resume):
        if condition is not None:
            assert 0 <= condition.duration < math.inf
            assert all(math.isfinite(term.limit.value) for term in condition.terms)
