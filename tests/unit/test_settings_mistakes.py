"""Every mistake in a configuration file is told at once, with its line and what is allowed; never a traceback."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from guard.errors import ConfigError, Problem
from guard.settings import load

DATABASE = '[database.main]\ndsn = "host=db1"\nstandbys = []\n'
LAG = '[[rule]]\nname = "lag"\nmetric = "replication.lag"\n'
HTTP = f"{DATABASE}[[rule]]\nname='x'\nhttp='http://a'\n"
Problems = Callable[[str | bytes], tuple[Problem, ...]]


MISTAKES: list[tuple[str | bytes, int, str, str]] = [
    ("", 1, "database", "at least one"),
    ("[databse.main]", 1, "databse", 'did you mean "database"?'),
    ("database = 3", 1, "database", "must be tables such as [database.main]"),
    ("[[database]]", 1, "database", "must be tables"),
    ("[database]\nmain = 3", 2, "database.main", "must be a table"),
    ('[database."a b"]\ndsn="dbname=a"\nstandbys=[]', 1, "database.a b", "named by a letter"),
    ("[database.a]\nstandbys = []", 1, "database.a", "MIGRATION_GUARD_DATABASE_A_DSN"),
    ('[database.a]\ndsn="dbname=a"\ndsn_file="b"\nstandbys=[]', 3, "database.a.dsn_file", "exactly one"),
    ('[database.a]\ndsn="what is this"\nstandbys=[]', 2, "database.a.dsn", "connection string"),
    ('[database.a]\ndsn=""\nstandbys=[]', 2, "database.a.dsn", "must not be empty"),
    ('[database.a]\ndsn="dbname=a"\nstandbys=true', 3, "database.a.standbys", "a number of standbys"),
    ('[database.a]\ndsn="dbname=a"\nstandbys=-1', 3, "database.a.standbys", "a number of standbys"),
    ('[database.a]\ndsn="dbname=a"\nstandbys=nan', 3, "database.a.standbys", "a number of standbys"),
    ('[database.a]\ndsn="dbname=a"\nstandbys="2"', 3, "database.a.standbys", "a number of standbys"),
    ('[database.a]\ndsn="dbname=a"\nstandbys=["x", 2]', 3, "database.a.standbys", "string in quotes"),
    ('[database.a]\ndsn="dbname=a"\nstandbys=["x",\n"x"]', 3, "database.a.standbys", "twice"),
    ('[database.a]\ndsn="dbname=a"\nstandbys=[]\npassword="x"', 4, "database.a.password", "password_file"),
    (f'{DATABASE}[guard]\npoll_interval = "5"', 5, "guard.poll_interval", "has no unit"),
    (f"{DATABASE}[guard]\npoll_interval = true", 5, "guard.poll_interval", "in quotes"),
    (f"{DATABASE}[guard]\npoll_interval = inf", 5, "guard.poll_interval", "in quotes"),
    (f'{DATABASE}[guard]\npoll_interval = "-1s"', 5, "guard.poll_interval", "is no duration"),
    (f'{DATABASE}[guard]\npoll_interval = "1ms"', 5, "guard.poll_interval", "between 50 ms and 60 s"),
    (f'{DATABASE}[guard]\nlease = "2s"', 5, "guard.lease", "at least three beats, 3s"),
    (f'{DATABASE}[guard]\npoll_interval = "5s"', 4, "guard.lease", "at least three beats, 15s"),
    (f'{DATABASE}[guard]\nflap = "1 in 5m"', 5, "guard.flap", '2 at least, and a time, such as "6 in 30m"'),
    (f'{DATABASE}[guard]\nflap = "6 in 30"', 5, "guard.flap", "a bare number has no unit"),
    (f"{DATABASE}[guard]\nflap = 6", 5, "guard.flap", "must be a number of pauses"),
    (f'{DATABASE}[guard]\nlongest_pause = "0s"', 5, "guard.longest_pause", "must be between 1 s and"),
    (f'{DATABASE}[guard]\nlongest_fence = "2h"', 5, "guard.longest_fence", "must be between 0 s and"),
    (f'{DATABASE}[migrations]\ngrace = "0s"', 5, "migrations.grace", "must be between 1 s and"),
    (f'{DATABASE}[migrations]\nignored = "kill"', 5, "migrations.ignored", "abort"),
    (f'{DATABASE}[guard]\nbaseline_for = "10m"', 5, "guard.baseline_for", "shorter than baseline_window"),
    (
        f'{DATABASE}[guard]\nidle_interval="5m"\n[[rule]]\nname="x"\nmetric="locks.longest_wait"\npause=">2x baseline"',
        9,
        'rule "x".pause',
        "30 min, holds 6 readings at an idle_interval of 5 min, and 30 are needed",
    ),
    (
        f'{DATABASE}[[rule]]\nname="x"\nmetric="locks.queued_behind_migration"\ncancel=">1.5x baseline and >2"',
        7,
        'rule "x".cancel',
        "must not speak of a baseline",
    ),
    (f'{DATABASE}[guard]\nidle_interval = "500ms"', 5, "guard.idle_interval", "shorter than poll_interval"),
    (f'{DATABASE}[guard]\nmode = "watch"', 5, "guard.mode", "'enforce' or 'observe'"),
    (f'{DATABASE}[guard]\nid = "a b"', 5, "guard.id", "letters, digits"),
    (f"[guard]\nguard = 1\n{DATABASE}", 2, "guard.guard", "unknown key"),
    (f'{DATABASE}[migrations]\napplication_names = ["*"]', 5, "migrations.application_names", "needs roles"),
    (f'{DATABASE}[migrations]\nroles = "migrator"', 5, "migrations.roles", "list of strings"),
    (f"{DATABASE}[rule]\nname = 'x'", 4, "rule", "[[rule]]"),
    (f"{DATABASE}[[rule]]", 4, "rule 1.name", "is required"),
    (f"{DATABASE}[[rule]]\nname = 'flap breaker'", 5, 'rule "flap breaker".name', "take another"),
    (f"{DATABASE}[[rule]]\nname = 'x'\npause = '> 5s'", 4, 'rule "x"', "exactly one of metric"),
    (f"{DATABASE}{LAG}http = 'http://a'\npause='> 5s'", 7, 'rule "lag".http', "exactly one of metric"),
    (f"{DATABASE}{LAG}", 4, 'rule "lag"', "at least one limit"),
    (f"{DATABASE}{LAG}pause = '> 5s'\n{LAG}pause = '> 5s'", 9, 'rule "lag".name', "unique"),
    (f"{DATABASE}{LAG}pause = '> 5'", 7, 'rule "lag".pause', "must be a duration"),
    (f"{DATABASE}{LAG}pause = 5", 7, 'rule "lag".pause', "condition in quotes"),
    (f"{DATABASE}{LAG}pause = '> nan'", 7, 'rule "lag".pause', "is no quantity"),
    (f"{DATABASE}{LAG}pause = '> 5s for 3s and > 1s'", 7, 'rule "lag".pause', "stands last"),
    (f"{DATABASE}{LAG}pause = '> 5s'\nresume = '< 8s'", 8, 'rule "lag".resume', "within the pause limit"),
    (f"{DATABASE}{LAG}pause = '> 5s'\nno_data = 'stop'", 8, 'rule "lag".no_data', '"hold" or "ignore"'),
    (f"{DATABASE}{LAG}pause = '> 5s'\nno_data = ['hold']", 8, 'rule "lag".no_data', '"hold" or "ignore"'),
    (f"{DATABASE}{LAG}pause = '> 5s'\nno_data = {{ a = 1 }}", 8, 'rule "lag".no_data', '"hold" or "ignore"'),
    (f"{DATABASE}{LAG}pause = '> 5s'\nno_data = 'pause for 3'", 8, 'rule "lag".no_data', "has no unit"),
    (f"{DATABASE}{LAG}pause = '> 5s'\nstale_after = '1s'", 8, 'rule "lag".stale_after', "two polls: 2 s"),
    (f"{DATABASE}{LAG}pause = '> 5s'\nstale_after = '1m'", 8, 'rule "lag".stale_after', "lease of 10 s"),
    (f"{DATABASE}{LAG}pause = '> 5s'\nwaited = '1s'", 8, 'rule "lag".waited', "locks.queued_behind_migration"),
    (f"{DATABASE}{LAG}pause = '> 5s'\nsql = 'select 1'", 8, 'rule "lag".sql', "exactly one of metric, sql, prometheus"),
    (f"{DATABASE}{LAG}pause = '> 5s'\nunit = 's'", 8, 'rule "lag".unit', "sql, prometheus and http"),
    (f"{DATABASE}{LAG}pause = '> 5s'\njson = 'a'", 8, 'rule "lag".json', "goes with http"),
    (f"{DATABASE}{LAG}pause = '> 5s'\ndatabases = ['mian']", 8, 'rule "lag".databases', 'mean "main"?'),
    (f"{DATABASE}{LAG}cancel = '> 5s'", 7, 'rule "lag".cancel', "cures a lock queue behind the migration"),
    (f"{DATABASE}{LAG}rollback = '> 5s'", 7, 'rule "lag".rollback', "goes down by itself"),
    (f"{DATABASE}{LAG}puase = '> 5s'\nwarn = '> 1s'", 7, 'rule "lag".puase', 'mean "pause"?'),
    (f"{DATABASE}[[rule]]\nname='x'\nprometheus='up'\npause='> 1'", 6, 'rule "x".prometheus', "[prometheus]"),
    (f"{DATABASE}[[rule]]\nname='x'\nhttp='ftp://a'\npause='> 1'", 6, 'rule "x".http', "http:// or https://"),
    (f"{DATABASE}[[rule]]\nname='x'\nhttp='http://[a'\npause='> 1'", 6, 'rule "x".http', "http:// or https://"),
    (f"{DATABASE}[[rule]]\nname='x'\nhttp='http://a:b@c'\npause='> 1'", 6, 'rule "x".http', "no user or password"),
    (f"{DATABASE}[[rule]]\nname='x'\nhttp='http://a'\nrollback='> 1'", 7, 'rule "x".rollback', "needs a hook"),
    (f"{HTTP}pause='> 1'\nunit='msec'", 8, 'rule "x".unit', "unknown unit"),
    (f"{HTTP}pause='> 1'\nas='delta'", 8, 'rule "x".as', "must be 'rate'"),
    (f"{DATABASE}{LAG}pause = '> 5s'\nas = 'rate'", 8, 'rule "lag".as', "metrics that count are rates already"),
    (f"{DATABASE}[[rule]]\nname='x'\nprometheus='up'\nas='rate'", 7, 'rule "x".as', "rate(NAME[1m])"),
    (f"{HTTP}pause='> 1s'\nwarn='> 1%'", 7, 'rule "x".pause', "percentage"),
    (f"{DATABASE}[rollback]\ncommand = 'rollback'", 5, "rollback.command", "no shell"),
    (f"{DATABASE}[rollback]\ncommand = ['rollback']", 5, "rollback.command", "absolute path"),
    (f"{DATABASE}[rollback]\ncommand = []", 5, "rollback.command", "absolute path"),
    (f"{DATABASE}[rollback]\ncommand = ['/a']\nauto_rollback = 1", 6, "rollback.auto_rollback", "true or false"),
    (f"{DATABASE}[rollback]", 4, "rollback.command", "is required"),
    (f"{DATABASE}[migration.a.rollback]\ncommand = ['b']", 5, "migration.a.rollback.command", "absolute path"),
    (f"{DATABASE}[migration.'*']", 4, "migration.*", "name of one migration"),
    (f'{DATABASE}[migration."a\\u0000"]', 4, "migration.a?", "name of one migration"),
    (f'{DATABASE}[migration."a\\nb"]', 4, "migration.a?b", "name of one migration"),
    (f'{DATABASE}[[rule]]\nname="a\\u0000"', 5, 'rule "a?".name', "must not contain a NUL"),
    (f'{DATABASE}[[rule]]\nname="a\\u001b[2J"', 5, 'rule "a?[2J".name', "none of them a control character"),
    (f'{DATABASE}[[rule]]\nname="{"x" * 201}"', 5, f'rule "{"x" * 80}".name', "at most 200 characters"),
    (f'{DATABASE}[migrations]\nroles=["a\\u0000"]', 5, "migrations.roles", "must not contain a NUL"),
    (f"{DATABASE}[migration.a]\nrollback = 3", 5, "migration.a.rollback", "must be a table"),
    (f"{DATABASE}[prometheus]", 4, "prometheus.url", "is required"),
    (f"{DATABASE}[prometheus]\nurl='http://a'\nheaders={{a=\"b\\u000a\"}}", 6, "prometheus.headers", "HTTP allows"),
    (f"{DATABASE}[prometheus]\nurl='http://a'\nheaders=3", 6, "prometheus.headers", "table of strings"),
    (f"{DATABASE}[slack]\nwebhook_url = 'https://x'", 5, "slack.webhook_url", "webhook_url_file"),
    (f"{DATABASE}[slack]\nwebhook_url_file = 'https://x/y'", 5, "slack.webhook_url_file", "looks like the secret"),
    ('[database.a]\ndsn_file="host=a password=b"\nstandbys=[]', 2, "database.a.dsn_file", "looks like the secret"),
    ('[database.a]\ndsn="postgresql://u:p@ss@db1/a"\nstandbys=[]', 2, "database.a.dsn", "not percent-encoded"),
    ('[database.a]\ndsn="postgresql://u:p/ss@db1/a"\nstandbys=[]', 2, "database.a.dsn", "not percent-encoded"),
    ('[database.a]\ndsn="host=a port=0"\nstandbys=[]', 2, "database.a.dsn", "from 1 to 65535"),
    (f"{DATABASE}[migrations]\nroles = {[f'r{n}' for n in range(1001)]}", 5, "migrations.roles", "at most 1000"),
    (f"{DATABASE}{LAG}pause = '> 5s{' and > 5s' * 100}'", 7, 'rule "lag".pause', "at most 500 characters"),
    (f"{DATABASE}[guard]\n{'a.' * 5001}b = 1", 5, "file", "more than 10000 characters"),
    (f"slack = 3\n{DATABASE}", 1, "slack", "must be a table"),
    (f"{DATABASE}{DATABASE}", 4, "file", "this is not TOML"),
    ("a = ", 1, "file", "this is not TOML"),
    ("a = " + "[" * 9_000, 1, "file", "nested too deeply"),
    ("a = 1" + "0" * 5000, 1, "file", "this is not TOML"),
    (b"\n\n\xff", 3, "file", "UTF-8"),
    (b"# " + b"x" * 10_000_000, 1, "file", "larger than 256 kB"),
]


@pytest.fixture
def problems(tmp_path: Path) -> Problems:
    def read(text: str | bytes) -> tuple[Problem, ...]:
        path = tmp_path / "guard.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(ConfigError) as caught:
            load(path)
        for line in str(caught.value).splitlines():
            assert line.startswith(f"{path}:")
        assert len(str(caught.value).splitlines()) == len(caught.value.problems)
        return caught.value.problems

    return read


def test_five_mistakes_are_five_lines(problems: Problems) -> None:
    found = problems(
        """[guard]
poll_intervall = "1s"
lease = 10
[database.main]
dsn = "host=db1"
[[rule]]
name = "lag"
metric = "replication.lagg"
pause = "> 5s"
[[rule]]
name = "bytes"
metric = "replication.lag_bytes"
pause = "> 5"
"""
    )
    assert [(problem.line, problem.key) for problem in found] == [
        (2, "guard.poll_intervall"),
        (3, "guard.lease"),
        (4, "database.main.standbys"),
        (8, 'rule "lag".metric'),
        (13, 'rule "bytes".pause'),
    ]
    for problem, allowed in zip(
        found, ['"poll_interval"', '"5s"', "[] which says", '"replication.lag"', "64MB"], strict=True
    ):
        assert allowed in problem.message


@pytest.mark.fault(69)
@pytest.mark.parametrize(
    ("text", "line", "key", "words"), MISTAKES, ids=[f"{mistake[2]}: {mistake[3]}" for mistake in MISTAKES]
)
def test_a_mistake_is_told_with_its_line_and_what_is_allowed(
    problems: Problems, text: str | bytes, line: int, key: str, words: str
) -> None:
    found = [problem for problem in problems(text) if problem.key == key]
    assert found, "the key is named"
    assert found[0].line == line
    assert words in found[0].message


@pytest.mark.fault(69)
@pytest.mark.parametrize("kind", ["missing", "folder", "fifo", "loop", "device"])
def test_what_is_no_readable_file_is_told_and_waited_for_by_nobody(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "guard.toml"
    match kind:
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "loop":
            path.symlink_to(path)
        case "device":
            path.symlink_to("/dev/zero")
        case _:
            pass
    with pytest.raises(ConfigError, match="cannot be read" if kind in {"missing", "loop"} else "regular file"):
        load(path)


def test_a_path_with_a_nul_is_told() -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(Path("a\0b"))


def test_lines_are_found_in_inline_tables_dotted_keys_quoted_keys_and_arrays_over_several_lines(
    problems: Problems,
) -> None:
    found = problems(
        """guard.lease = 3
database."main" = { dsn = "dbname=a", standbys = [], typo = 1 }

[[rule]]  # first
name = "a"
metric = "replication.lag"
databases = [
  # nobody
  "main",
  "other",
]
"pause" = "> 5"

[[rule]]
pause = "> 5"
"""
    )
    assert [(p.line, p.key) for p in found] == [
        (1, "guard.lease"),
        (2, "database.main.typo"),
        (7, 'rule "a".databases'),
        (12, 'rule "a".pause'),
        (14, "rule 2.name"),
    ]


def test_of_very_many_mistakes_the_first_hundred_are_told_and_how_many_more(problems: Problems) -> None:
    found = problems("".join(f"[s{n}]\n" for n in range(1000)))
    assert len(found) == 101
    assert found[-1].message == "and 901 more"  # one of them: there is no database


def test_a_secret_in_the_wrong_place_is_not_repeated(problems: Problems) -> None:
    found = problems('[database.a]\ndsn = "canary canary"\nstandbys = "canary"\n[slack]\nwebhook_url_file = ["canary"]')
    assert len(found) == 3
    assert not [problem for problem in found if "canary" in problem.message]


_VALUES = st.sampled_from(
    ["1", "-1", "nan", "inf", "true", '""', '"5s"', '"> 5s for 3s"', "[]", "[[1]]", "{}", "{a=1}", "1979-05-27",
     '"pause"', '"\\u0000"', '["/x"]', '"http://x"', '"replication.lag"', '"""\n\n"""', "'dbname=a'"]
)  # fmt: skip
_KEYS = st.sampled_from(
    ["guard", "database", "database.main", "rule", "migrations", "migration.a", "migration.a.rollback", "prometheus",
     "rollback", "slack", "dsn", "standbys", "name", "metric", "http", "pause", "rollback", "cancel", "resume", "lease",
     "no_data", "url", "command", "unit", "json", "'a b'", '""', "waited", "databases", "headers", "soak"]
)  # fmt: skip
_LINE = st.one_of(
    st.builds("[{}]".format, _KEYS),
    st.builds("[[{}]]".format, _KEYS),
    st.builds("{} = {}".format, _KEYS, _VALUES),
    st.text(max_size=10),
)


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_LINE, max_size=8).map("\n".join) | st.binary(max_size=60))
def test_whatever_stands_in_the_file_is_read_or_refused(tmp_path: Path, text: str | bytes) -> None:
    path = tmp_path / "guard.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    problems: tuple[Problem, ...] = ()
    try:
        load(path)
    except ConfigError as refused:
        problems = refused.problems
        lines = str(refused).splitlines()
    else:
        lines = []
    assert len(lines) == len(problems)
    assert all(problem.line >= 1 for problem in problems)
