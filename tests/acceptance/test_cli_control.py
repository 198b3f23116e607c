"""What people order by the command line, with and without a guard, and what they are shown."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from tests.command import Ended, command
from tests.fix_postgres import Database
from tests.shipped import as_client, as_operator
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance

Run = Callable[..., Ended]
NAME = "orders backfill"


@pytest.fixture
def run(database: Database) -> Run:
    """A command for the installed database of this test, each by whom it is for."""
    assert command("install", "--dsn", database.dsn()).code == 0
    whose = {"uninstall": database.dsn(), "wait": as_client(database.dsn())}
    operator = as_operator(database.dsn())
    return lambda *words: command(*words, environment={"MIGRATION_GUARD_DSN": whose.get(words[0], operator)})


@pytest.fixture
def migration(run: Run, database: Database) -> Iterator[psycopg.Connection[Any]]:
    """A session that has registered a run."""
    dsn = as_client(database.dsn(application_name="migration:x"))
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("select migration_guard.register(%s)", [NAME])
        yield connection


def told(connection: psycopg.Connection[Any]) -> tuple[str, str]:
    row = connection.execute("select kind, because from migration_guard.read_order(%s)", [NAME]).fetchone()
    assert row is not None
    return row[0], row[1]


def lease(database: Database, *, seconds: float = 60, order: str = "proceed", mode: str = "live") -> None:
    """The word of a guard, written by hand; with negative seconds that of a dead one."""
    database.execute("delete from migration_guard.lease")
    database.execute(
        """insert into migration_guard.lease
           select true, 'web1', 1, 7, 1, clock_timestamp() + least(%(s)s - 60, 0) * interval '1 s',
                  clock_timestamp() + %(s)s * interval '1 s', migration_guard.timeline(), system_identifier, 1,
                  %(mode)s,
                  jsonb_build_object(%(name)s::text, jsonb_build_object('kind', %(order)s::text,
                                     'because', 'replica lag 7.4 s > 5 s', 'since', 0))
             from pg_control_system()""",
        {"s": seconds, "mode": mode, "order": order, "name": NAME},
    )
    database.execute(
        "insert into migration_guard.admission (run_id, migration, epoch, term, mode) "
        "select run_id, migration, 1, 1, 'live' from migration_guard.run on conflict do nothing"
    )


def test_a_pause_holds_until_it_is_resumed_and_stands_in_the_record(
    run: Run, database: Database, migration: psycopg.Connection[Any]
) -> None:
    lease(database)
    assert told(migration)[0] == "proceed"
    ended = run("pause", NAME, "--reason", "lunch", "--owner", "ann", "--for", "30m")
    assert ended.code == 0, ended.said
    assert told(migration) == ("pause", "pause by ann: lunch")
    assert "is registered now" not in ended.out
    for kind in ("pause", "abort", "override"):
        assert (
            "No run of order backfill is registered now: it holds" in run(kind, "order backfill", "--reason", "x").out
        )
    (standing,) = json.loads(run("report", NAME, "--json").out)["orders"]
    assert (standing["kind"], standing["owner"], standing["reason"], standing["until"]) == (
        "pause",
        "ann",
        "lunch",
        None,
    )
    assert run("resume", NAME).code == 0
    assert told(migration)[0] == "proceed"
    record = run("report", NAME).out
    assert re.search(r"ordered +pause by ann: lunch \(.+ UTC, for [0-9.]+ m?s of the run\)", record), record
    assert "never by the guard's rules" in record


def test_a_pause_under_an_override_says_that_it_holds_nobody_and_how_to_end_that(
    run: Run, migration: psycopg.Connection[Any]
) -> None:
    run("override", NAME, "--owner", "ana", "--reason", "known")
    said = run("pause", "*", "--reason", "stop").out
    assert f"It holds nobody whom the override of {NAME} by ana lets go on" in said
    assert told(migration)[0] == "proceed"
    run("override", NAME, "--end")
    assert told(migration)[0] == "pause"
    assert "holds nobody" not in run("pause", "*", "--reason", "stop").out


def test_resume_says_that_the_guard_still_pauses_and_why(
    run: Run, database: Database, migration: psycopg.Connection[Any]
) -> None:
    lease(database, order="pause")
    run("pause", NAME, "--reason", "lunch")
    ended = run("resume", NAME)
    assert "1 pause of orders backfill taken back" in ended.out
    assert "still holds, says the guard: pause: replica lag 7.4 s > 5 s" in ended.out


def test_a_dead_guard_is_named_with_the_line_by_hand_and_an_override_goes_on(
    run: Run, database: Database, migration: psycopg.Connection[Any]
) -> None:
    lease(database, seconds=-180)
    ended = run("status")
    assert ended.code == 3
    assert "guard web1 is DEAD: silent for 4 min" in ended.out
    assert "its lease ended 3 min" in ended.out
    line = next(line for line in ended.out.splitlines() if "order_override(" in line)
    assert told(migration)[0] == "lost"
    database.execute(line.split(":", 1)[1].replace("NAME", NAME, 1).encode())
    assert told(migration)[0] == "proceed"
    assert run("override", NAME, "--end").code == 0
    assert told(migration)[0] == "lost"
    assert run("override", NAME, "--reason", "we know", "--for", "10m").code == 0
    assert told(migration)[0] == "proceed"


def test_a_guard_that_rests_is_there_as_long_as_its_session_leads_whether_it_observes_or_not(
    run: Run, database: Database
) -> None:
    for mode, rests, gone in (
        ("observing", "web1 only observes and rests", "web1, which only observed, has gone"),
        ("dormant", "web1 is dormant", "web1 is DEAD: it has gone while no migration ran"),
    ):
        lease(database, seconds=-180, mode=mode)
        with database.connect() as leader:
            leader.execute("select migration_guard.guard_lead('web1')")
            there = run("status")
            assert (there.code, rests in there.out, "DEAD" in there.out) == (0, True, False), there.said
        ended = run("status")
        assert (ended.code, gone in ended.out) == (3, True), ended.said


def test_an_abort_holds_until_it_is_forgotten(run: Run, migration: psycopg.Connection[Any]) -> None:
    assert run("abort", NAME, "--reason", "wrong table").code == 0
    assert told(migration)[0] == "abort"
    ended = run("wait", NAME, "--timeout", "5s")
    assert (ended.code, "wrong table" in ended.err) == (4, True), ended.said
    assert run("forget", NAME).code == 0
    assert told(migration)[0] == "lost"


def test_wait_ends_with_75_while_it_is_paused_and_with_0_when_it_may_go_on(
    run: Run, database: Database, migration: psycopg.Connection[Any]
) -> None:
    lease(database)
    run("pause", NAME, "--reason", "lunch")
    ended = run("wait", NAME, "--timeout", "300ms")
    assert (ended.code, "lunch" in ended.err) == (75, True), ended.said
    run("resume", NAME)
    run("override", NAME, "--reason", "sure")
    assert run("wait", NAME, "--timeout", "10s").code == 0


def test_a_mute_stands_until_it_ends(run: Run, database: Database) -> None:
    assert run("mute", "replica lag", "--reason", "known", "--for", "1h").code == 0
    assert 'mute of rule "replica lag" for every migration' in run("status").out
    run("mute", "replica lag", "--end")
    assert "mute" not in run("status").out


def test_explain_names_rule_limit_resume_blocked_and_the_commands(
    run: Run, database: Database, migration: psycopg.Connection[Any], background: Callable[[str, str], Any]
) -> None:
    lease(database, order="pause")
    verdict = {"rule": "replica lag", "level": "pause", "because": "9.1 s > 5 s for 3 s", "since": 1, "well": False,
               "resume": "< 2s for 15s"}  # fmt: skip
    run_id = database.execute("select max(run_id) from migration_guard.run")[0][0]
    reported = {
        "run_id": run_id,
        "migration": NAME,
        "phase": "paused",
        "since": 1,
        "effective": True,
        "verdicts": [verdict],
    }
    database.execute("insert into migration_guard.report (report) values (%s)", [json.dumps({"runs": [reported]})])
    database.execute("create table t (); grant all on t to shipped_client")
    with migration.transaction(), database.connect() as observer:
        migration.execute("lock table t")
        waiter = background(database.dsn(application_name="web"), "select from t")
        waiter.wait_blocked(observer)
        out = run("explain", NAME).out
    for words in (
        "because replica lag 7.4 s > 5 s (says the guard, ",
        "the guard's phase: paused for",
        ", and it holds (reported ",
        'rule "replica lag": pause, for',
        "goes on when: < 2s for 15s",
        f"blocked: pid {waiter.pid} (postgres, web)",
        "migration-guard override 'orders backfill' --reason WHY",
    ):
        assert words in out, out
    lines = [line.strip() for line in run("status").out.splitlines()]
    assert lines[-2].endswith(" ago: replica lag 7.4 s > 5 s")  # as it was when that was decided
    assert re.fullmatch(r"now \(reported [0-9.]+ m?s ago\): 9.1 s > 5 s for 3 s", lines[-1])
    run("override", NAME, "--reason", "known")
    overridden = run("explain", NAME).out
    assert "told to proceed" in overridden
    assert "it holds" not in overridden


@pytest.mark.parametrize(
    ("taken", "words"),
    [
        ({}, ", not acknowledged yet (reported "),
        ({"acknowledged_since": 1.2}, ", acknowledged after 200 ms and not effective yet (reported "),
        (
            {"acknowledged_since": 1.2, "effective_since": 3.0, "effective": True},
            ", acknowledged after 200 ms and effective after 2 s (reported ",
        ),
    ],
    ids=["asked for", "acknowledged", "effective"],
)
def test_explain_says_how_far_a_pause_has_come_and_what_is_at_work_all_the_same(
    run: Run, database: Database, migration: psycopg.Connection[Any], taken: dict[str, Any], words: str
) -> None:
    lease(database, order="pause")
    run_id = database.execute("select max(run_id) from migration_guard.run")[0][0]
    reported = {"run_id": run_id, "migration": NAME, "phase": "paused", "since": 1, **taken}
    report = {"runs": [reported], "in_flight": {str(run_id): "pid 7 (m, n) is at work"}}
    database.execute("insert into migration_guard.report (report) values (%s)", [json.dumps(report)])
    out = run("explain", NAME).out
    assert words in out
    assert "): pid 7 (m, n) is at work" in out


def test_a_migration_whose_session_has_gone_is_not_shown_as_one_that_waits(run: Run, database: Database) -> None:
    with psycopg.connect(database.dsn(), autocommit=True) as connection:
        connection.execute("select migration_guard.register(%s)", [NAME])
        lease(database, order="pause")
        assert NAME in run("status").out
        pid = connection.info.backend_pid
    gone = "select not exists (select from pg_stat_activity where pid = %s)"
    wait_for(lambda: database.execute(gone, [pid])[0][0], within=10)
    assert "No migration is running." in run("status").out
    assert "gone" in run("runs").out


def test_an_aborted_run_is_explained_with_the_command_that_forgets_it(run: Run, database: Database) -> None:
    lease(database)
    reported = {"run_id": 7, "migration": NAME, "phase": "aborted", "order": "abort", "because": "wrong", "since": 1}
    database.execute("insert into migration_guard.report (report) values (%s)", [json.dumps({"runs": [reported]})])
    assert f"migration-guard forget '{NAME}'" in run("explain", NAME).out


def test_sessions_that_registered_nothing_and_their_rules_are_shown(run: Run, database: Database) -> None:
    lease(database)
    verdict = {"rule": "lock queue", "level": "cancel", "because": "4 >= 3", "since": 1, "well": False, "resume": "< 3"}
    reported = {"run_id": None, "migration": "*", "phase": "strained", "order": "proceed", "because": "lock queue",
                "since": 1, "effective": False, "verdicts": [verdict]}  # fmt: skip
    database.execute("insert into migration_guard.report (report) values (%s)", [json.dumps({"runs": [reported]})])
    assert "sessions that registered nothing" in run("status").out
    out = run("explain").out
    assert 'rule "lock queue": cancel, for' in out
    assert "4 >= 3" in out


def test_uninstall_removes_nothing_unless_somebody_says_so(run: Run, database: Database) -> None:
    ended = run("uninstall")
    assert (ended.code, "--yes" in ended.err) == (2, True), ended.said
    assert database.execute("select count(*) from migration_guard.installation") == [(1,)]


def test_status_and_runs_as_json_keep_their_keys(
    run: Run, database: Database, migration: psycopg.Connection[Any]
) -> None:
    lease(database)
    status = json.loads(run("status", "--json").out)["databases"][0]
    assert set(status) == {
        "database", "error", "guard", "runs", "operator_orders", "report", "report_age_seconds",
    }  # fmt: skip
    assert (status["guard"]["state"], status["guard"]["id"], status["runs"][0]["told"]) == ("live", "web1", "proceed")
    migration.execute("select migration_guard.finish(%s)", [NAME])
    ended = json.loads(run("runs", "--json").out)["runs"]
    assert [(each["migration"], each["outcome"]) for each in ended] == [(NAME, "done")]
    assert NAME in run("runs").out


def test_without_the_schema_it_says_what_to_run(database: Database) -> None:
    for arguments in (["status"], ["pause", "x", "--reason", "y"], ["wait", "x"], ["runs"]):
        ended = command(*arguments, "--dsn", database.dsn())
        assert (ended.code, "migration-guard install" in ended.said) == (3, True), ended.said
        assert "Traceback" not in ended.said


def test_a_role_that_is_no_operator_is_told_the_grant(run: Run, database: Database, make_role: Any) -> None:
    role = make_role("cli_client")
    database.execute(f"grant migration_guard_client to {role}".encode())
    ended = command("pause", NAME, "--reason", "x", "--dsn", database.dsn(role))
    assert (ended.code, "grant migration_guard_operator" in ended.err) == (3, True), ended.said


def test_the_printed_sql_installs_and_uninstall_removes_it(run: Run, database: Database) -> None:
    assert run("uninstall", "--yes").code == 0
    database.execute(command("install", "--print").out.encode())
    assert run("status").code == 3
    assert "NO GUARD has spoken" in run("status").out
    assert "schema migration_guard removed" in run("uninstall", "--yes").out
    assert "migration-guard install" in run("status").out


def test_a_server_that_is_not_there_is_one_sentence_without_the_password_that_all_can_see_in_the_command() -> None:
    ended = command("status", "--dsn", "host=127.0.0.1 port=9 dbname=x user=y password=hush-hush")
    assert ended.code == 3
    assert len(ended.out.splitlines()) == 1
    assert ended.err.startswith("Every account of this machine can see the password in --dsn")
    assert "hush-hush" not in ended.said
