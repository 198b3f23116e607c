"""What a right configuration file comes to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from guard.decide.bounds import Bounds, Flap
from guard.errors import WorldError
from guard.judge.baselines import Gathering
from guard.model import Dimension, NoData
from guard.model.sensors import METRICS
from guard.settings import RollbackSettings, Settings, load

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
DATABASE = '[database.main]\ndsn = "host=db1 dbname=app user=guard"\nstandbys = ["replica1"]\n'


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("MIGRATION_GUARD_") or name in {"STATE_DIRECTORY", "CREDENTIALS_DIRECTORY"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def settings(tmp_path: Path) -> Callable[[str], Settings]:
    def read(text: str) -> Settings:
        path = tmp_path / "guard.toml"
        path.write_text(text)
        path.chmod(0o600)
        return load(path)

    return read


def test_the_example_is_right_without_any_of_its_credentials() -> None:
    read = load(EXAMPLE)
    assert [rule.name for rule in read.rules] == ["replica lag", "lock queue", "checkout errors", "checkout p99"]
    assert read.warnings == ()
    assert read.slack is not None
    assert read.slack.webhook is not None
    with pytest.raises(WorldError, match="cannot be read"):
        read.slack.webhook.reveal()


def test_the_example_names_every_metric() -> None:
    text = EXAMPLE.read_text()
    assert [metric for metric in METRICS if metric not in text] == []


def test_the_commented_values_of_the_example_are_the_defaults(settings: Callable[[str], Settings]) -> None:
    commented = [
        line.removeprefix("# ")
        for line in EXAMPLE.read_text().split("[migrations]")[0].splitlines()
        if line.startswith("# ") and " = " in line and '= "' in line and "_name" not in line
    ]
    lasting = ("shortest_pause", "longest_pause", "longest_unknown", "longest_fence")
    drift = ("baseline_window", "baseline_for")
    keys = ("poll_interval", "idle_interval", "lease", "probe_deadline", "mode", *lasting, *drift)
    told = "\n".join(line for line in commented if line.split()[0] in keys)
    assert [line.split()[0] for line in told.splitlines()] == list(keys)
    assert settings(f"[guard]\n{told}\n{DATABASE}").guard == settings(DATABASE).guard


def test_bounds_of_a_pause_are_off_where_they_would_hold_up_more_than_the_rules_and_read_where_given(
    settings: Callable[[str], Settings],
) -> None:
    assert settings(DATABASE).guard.bounds == Bounds(None, 0.0, 3600.0, 600.0)
    given = 'flap = "6 in 30m"\nshortest_pause = "20s"\nlongest_pause = "2h"\nlongest_unknown = "1m"\n'
    bounds = settings(f'[guard]\n{given}longest_fence = "0s"\n{DATABASE}').guard.bounds
    assert bounds == Bounds(Flap(6, 1800.0), 20.0, 7200.0, 60.0, 0.0)


def test_a_drift_with_its_floor_is_nothing_to_point_out_and_readings_are_gathered_as_often_as_there_are_any(
    settings: Callable[[str], Settings],
) -> None:
    rule = '[[rule]]\nname="x"\nmetric="activity.longest_transaction"\npause="> 1.5x baseline and > 200ms"\n'
    read = settings(f'[guard]\nidle_interval="20s"\nbaseline_window="1h"\nbaseline_for="2h"\n{DATABASE}{rule}')
    assert read.warnings == ()
    assert read.guard.gathering == Gathering(3600.0, 20.0, 7200.0)
    assert settings(DATABASE).guard.gathering == Gathering()


def test_a_rule_is_read_whole(settings: Callable[[str], Settings]) -> None:
    (rule,) = settings(
        DATABASE
        + """
[[rule]]
name = "queue"
metric = "locks.queued_behind_migration"
waited = "2500ms"
warn = ">= 1"
cancel = ">= 3 for 500ms"
no_data = "hold"
stale_after = "8s"
databases = ["main"]
migrations = ["add-region"]
"""
    ).rules
    assert rule.sensor == "locks.queued_behind_migration|waited=2.5s"
    assert (rule.metric, rule.dimension) == ("locks.queued_behind_migration", Dimension.COUNT)
    assert rule.warn is not None
    assert rule.cancel is not None
    assert (rule.warn.text, rule.cancel.text, rule.cancel.duration) == (">= 1", ">= 3 for 500ms", 0.5)
    assert (rule.pause, rule.rollback) == (None, None)
    assert rule.resume.text == "< 2.1 for 10s"
    assert (rule.no_data, rule.stale_after, rule.waited) == (NoData.HOLD, 8, 2.5)
    assert (rule.databases, rule.migrations) == (("main",), ("add-region",))


@pytest.mark.parametrize(
    ("written", "no_data", "duration"),
    [
        ("pause for 7s", NoData.PAUSE, 7),
        ("pause for 0s", NoData.PAUSE, 0),
        ("pause", NoData.PAUSE, 3),
        ("ignore", NoData.IGNORE, 3),
    ],
)
def test_silence_means_what_the_rule_says(
    settings: Callable[[str], Settings], written: str, no_data: NoData, duration: float
) -> None:
    (rule,) = settings(
        f'{DATABASE}\n[[rule]]\nname="lag"\nmetric="replication.lag"\npause="> 5s"\nno_data="{written}"'
    ).rules
    assert (rule.no_data, rule.no_data_for) == (no_data, duration)


@pytest.mark.parametrize(
    ("limit", "unit", "dimension", "scale"),
    [
        ("> 200ms", "", Dimension.SECONDS, 1),
        ("> 1%", "", Dimension.RATIO, 1),
        ("> 64MB", "", Dimension.BYTES, 1),
        ("> 12", "", Dimension.COUNT, 1),
        ("> 1.5x baseline", "", Dimension.COUNT, 1),
        ("> 1.5x baseline", "ms", Dimension.SECONDS, 0.001),
        ("> 200ms", "ms", Dimension.SECONDS, 0.001),
        ("> 1%", "%", Dimension.RATIO, 0.01),
        ("> 1MB", "kB", Dimension.BYTES, 1024),
    ],
)
def test_the_unit_of_the_limit_tells_what_prometheus_answers_and_unit_overrides(
    settings: Callable[[str], Settings], limit: str, unit: str, dimension: Dimension, scale: float
) -> None:
    said = f'unit = "{unit}"' if unit else ""
    (rule,) = settings(
        f'{DATABASE}[prometheus]\nurl="http://p:9090"\n[[rule]]\nname="x"\nprometheus="up"\npause="{limit}"\n{said}'
    ).rules
    assert (rule.sensor, rule.metric, rule.query) == ("prometheus:x", "prometheus", "up")
    assert (rule.dimension, rule.scale) == (dimension, scale)


def test_an_http_rule_has_its_url_and_path(settings: Callable[[str], Settings]) -> None:
    (rule,) = settings(f'{DATABASE}[[rule]]\nname="x"\nhttp="http://a/b?c=d"\njson="e.f"\nwarn="> 3"').rules
    assert (rule.sensor, rule.query, rule.json_path, rule.stops) == ("http:x", "http://a/b?c=d", "e.f", False)


def test_a_counter_is_judged_by_its_growth_in_the_unit_that_it_counts_in(settings: Callable[[str], Settings]) -> None:
    text = f"{DATABASE}[[rule]]\nname='x'\nhttp='http://a'\nunit='kB'\nas='rate'\npause='> 10MB'"
    (rule,) = settings(text).rules
    assert (rule.sensor, rule.rate, rule.dimension, rule.scale) == ("http:x|as=rate", True, Dimension.BYTES, 1024)


def test_a_rule_may_bring_its_own_query_and_roll_back_by_it(settings: Callable[[str], Settings]) -> None:
    hook = "[rollback]\ncommand=['/bin/true']\n"
    text = f"{DATABASE}{hook}[[rule]]\nname='x'\nsql='select 3'\nunit='ms'\npause='> 2s'\nrollback='> 5s'"
    (rule,) = settings(text).rules
    assert (rule.sensor, rule.metric, rule.query, rule.scale) == ("sql:x", "sql", "select 3", 1e-3)


def test_without_rules_lag_connections_and_retained_wal_pause_and_a_lock_queue_cancels(
    settings: Callable[[str], Settings],
) -> None:
    read = settings(DATABASE + '[database.other]\ndsn="dbname=o"\nstandbys=[]\n')
    assert read.default_rules
    lag, queue, used, kept = read.rules
    assert lag.pause is not None
    assert queue.cancel is not None
    assert [(rule.sensor, rule.pause.text, rule.resume.text) for rule in (used, kept) if rule.pause is not None] == [
        ("activity.connections_used", "> 90% for 5s", "< 85% for 10s"),
        ("replication.retained_bytes", "> 10GB for 5s", "< 8GB for 10s"),
    ]
    assert (lag.sensor, lag.pause.text, lag.databases) == ("replication.lag", "> 10s for 5s", ("main",))
    assert (queue.sensor, queue.cancel.text) == ("locks.queued_behind_migration|waited=2s", ">= 3")
    assert [rule.name for rule in read.rules_of("other")] == ["lock queue", "connections", "retained WAL"]


def test_without_standbys_no_lag_is_watched_by_default(settings: Callable[[str], Settings]) -> None:
    read = settings('[database.a]\ndsn=""\nstandbys=0\n'.replace('""', '"dbname=a"'))
    assert [rule.name for rule in read.rules] == ["lock queue", "connections", "retained WAL"]
    assert not read.databases[0].expects_standbys


def test_standbys_are_names_or_a_number(settings: Callable[[str], Settings]) -> None:
    read = settings(DATABASE + '[database.two]\ndsn="dbname=o"\nstandbys=2\n')
    assert [database.standbys for database in read.databases] == [("replica1",), 2]


def test_stale_after_follows_slower_polls_and_stays_within_the_lease(settings: Callable[[str], Settings]) -> None:
    assert settings(DATABASE).rules[0].stale_after == 5
    assert settings(f'[guard]\npoll_interval="2s"\n{DATABASE}').rules[0].stale_after == 10
    assert settings(f'[guard]\npoll_interval="3s"\nlease="12s"\n{DATABASE}').rules[0].stale_after == 12


def test_a_migration_has_its_own_hook_or_the_common_one(settings: Callable[[str], Settings]) -> None:
    read = settings(
        DATABASE
        + """
[rollback]
command = ["/bin/common"]
[migration.plain]
soak = "1m"
[migration."own one"]
rollback = { command = ["/bin/own", "--x"], timeout = "10s", auto_rollback = true, environment = [] }
"""
    )
    common = RollbackSettings(("/bin/common",))
    assert read.rollback == common
    assert (read.migration("plain").rollback, read.migration("plain").soak) == (common, 60)
    assert read.migration("never named").rollback == common
    assert read.migration("own one").rollback == RollbackSettings(("/bin/own", "--x"), 10, (), True)


def test_a_byte_order_mark_crlf_and_a_symlink_are_no_mistakes(tmp_path: Path) -> None:
    real, link = tmp_path / "real.toml", tmp_path / "link.toml"
    real.write_bytes(b"\xef\xbb\xbf" + DATABASE.replace("\n", "\r\n").encode())
    link.symlink_to(real)
    assert load(link).databases[0].name == "main"


def test_the_environment_wins_over_the_file(
    settings: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MIGRATION_GUARD_DATABASE_MAIN_DSN", "host=elsewhere dbname=app password=canary-one")
    monkeypatch.setenv("MIGRATION_GUARD_SLACK_WEBHOOK_URL", "https://hooks.example/canary-two")
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path}/first:{tmp_path}/second")
    read = settings(DATABASE)
    assert read.databases[0].address == "host=elsewhere dbname=app"
    assert "canary-one" in read.databases[0].conninfo()
    assert read.slack is not None
    assert read.slack.webhook is not None
    assert read.slack.webhook.reveal() == "https://hooks.example/canary-two"
    assert read.guard.state_directory == tmp_path / "first"
    assert "canary" not in repr(read)
    assert "canary" not in str(read)


def test_a_variable_of_no_database_is_pointed_out(
    settings: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGRATION_GUARD_DATABASE_MIAN_DSN", "host=elsewhere")
    (warning,) = settings(DATABASE).warnings
    assert 'did you mean "MIGRATION_GUARD_DATABASE_MAIN_DSN"?' in warning.message


@pytest.mark.parametrize("credential", ["slack-webhook", "shop.slack-webhook"])
def test_the_webhook_comes_from_a_file_or_from_systemd_whatever_the_instance_is_called(
    settings: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, credential: str
) -> None:
    assert settings(DATABASE).slack is None
    nowhere = settings(f"{DATABASE}[slack]").slack
    assert nowhere is not None
    assert nowhere.webhook is not None
    with pytest.raises(WorldError, match="no webhook_url_file"):
        nowhere.webhook.reveal()
    (tmp_path / credential).write_text("https://hooks.example/from-systemd\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    found = settings(DATABASE).slack
    assert found is not None
    assert found.webhook is not None
    assert found.webhook.reveal() == "https://hooks.example/from-systemd"
    (tmp_path / "own").write_text("https://hooks.example/from-file")
    own = settings(f'{DATABASE}[slack]\nwebhook_url_file = "own"').slack
    assert own is not None
    assert own.webhook is not None
    assert own.webhook.reveal() == "https://hooks.example/from-file"


def test_a_password_comes_from_a_file_of_its_own(settings: Callable[[str], Settings], tmp_path: Path) -> None:
    (tmp_path / "word").write_text("it's canary\n")
    (database,) = settings(DATABASE + 'password_file = "word"').databases
    assert "canary" in database.conninfo()
    assert "canary" not in repr(database) + database.address
    (tmp_path / "dsn").write_text("postgresql://guard:canary@db9/app")
    (other,) = settings('[database.x]\ndsn_file = "dsn"\nstandbys = []').databases
    assert other.address == "host=db9 dbname=app user=guard"


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read"), (b"", "empty"), (b" \n", "empty"), (b"x" * 70_000, "too long"), (b"\xff\xfe", "UTF-8")],
)
def test_a_credential_that_is_not_there_is_a_fault_of_the_machine(
    settings: Callable[[str], Settings], tmp_path: Path, content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / "word").write_bytes(content)
    (database,) = settings(DATABASE + 'password_file = "word"').databases
    with pytest.raises(WorldError, match=words):
        database.conninfo()


def test_a_credential_that_is_a_folder_is_a_fault_of_the_machine(
    settings: Callable[[str], Settings], tmp_path: Path
) -> None:
    (database,) = settings(f'{DATABASE}password_file = "{tmp_path}"').databases
    with pytest.raises(WorldError, match="not a regular file"):
        database.conninfo()


def test_a_file_without_a_connection_string_is_a_fault_of_the_machine_and_not_quoted(
    settings: Callable[[str], Settings], tmp_path: Path
) -> None:
    (tmp_path / "dsn").write_text("canary canary")
    (database,) = settings('[database.x]\ndsn_file = "dsn"\nstandbys = []').databases
    with pytest.raises(WorldError, match="must be a connection string") as caught:
        database.conninfo()
    assert "canary" not in str(caught.value)
    assert database.address == str(tmp_path / "dsn")


def test_a_secret_that_others_can_read_is_pointed_out(settings: Callable[[str], Settings], tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for name in ("word", "hook"):
        (tmp_path / name).write_text("canary")
    (tmp_path / "word").chmod(0o644)
    (tmp_path / "hook").chmod(0o600)
    read = settings(f'{DATABASE}password_file = "word"\n[slack]\nwebhook_url_file = "hook"\n')
    (warning,) = read.warnings
    assert (warning.line, warning.key) == (4, "database.main.password_file")
    assert "chmod 600" in warning.message


def test_a_password_in_a_file_that_others_can_read_is_pointed_out(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    path = tmp_path / "guard.toml"
    path.write_text('[database.main]\ndsn = "host=a password=canary"\nstandbys = []\n')
    path.chmod(0o644)
    (warning,) = load(path).warnings
    assert "holds a password" in warning.message
    assert "canary" not in str(warning)
    path.chmod(0o600)
    assert load(path).warnings == ()


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ('metric="replication.lag"\npause="> 5s"', "none of its databases has standbys"),
        ('metric="locks.longest_wait"\npause="> 1.5x baseline"', "no absolute limit stands beside it"),
        ('metric="locks.longest_wait"\nwarn="> baseline + 20ms"', "no absolute limit stands beside it"),
    ],
)
def test_what_is_allowed_and_hardly_meant_is_pointed_out(
    settings: Callable[[str], Settings], rule: str, words: str
) -> None:
    read = settings(f'[database.a]\ndsn="dbname=a"\nstandbys=[]\n[[rule]]\nname="x"\n{rule}')
    assert words in read.warnings[0].message


def test_two_readings_of_one_file_are_equal_and_a_changed_secret_is_a_change(
    settings: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = settings(DATABASE)
    assert settings(DATABASE) == first
    monkeypatch.setenv("MIGRATION_GUARD_DATABASE_MAIN_DSN", "host=db1 password=one")
    one = settings(DATABASE)
    monkeypatch.setenv("MIGRATION_GUARD_DATABASE_MAIN_DSN", "host=db1 password=two")
    assert settings(DATABASE) != one != first
    assert one.databases[0].dsn != "host=db1 password=one"
