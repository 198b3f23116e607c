"""A command under guard whose guard, server or way to it is lost; and what a cancelled statement leaves behind."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from guard.demo.embedded import Binaries
from tests.executing import Bench, benched
from tests.fix_postgres import Database
from tests.fix_sessions import Background
from tests.waiting import wait_for

pytestmark = pytest.mark.integration


@pytest.fixture
def bench(database: Database, binaries: Binaries, tmp_path: Path) -> Iterator[Bench]:
    with benched(database, binaries, tmp_path) as bench:
        database.execute("insert into hold default values")
        yield bench


HELD = """
do $$ begin
    while exists (select from hold) loop perform pg_sleep(0.1); end loop;
end $$;
"""


def test_its_connection_may_break_while_it_waits_and_while_the_command_is_at_work(bench: Bench) -> None:
    bench.guard.say("pause")
    process = bench.execute(bench.script(f"{HELD} create table made (id int);"))
    process.wait_says("waits: pause for a test", within=20)
    bench.database.execute("select pg_terminate_backend(%s)", list(bench.run("pid")))
    wait_for(lambda: len(bench.outcomes()) == 2, within=20, message=lambda: f"another run: {bench.outcomes()}")
    bench.guard.say("proceed")
    bench.wait_at_work()
    bench.database.execute("select pg_terminate_backend(%s)", list(bench.run("pid")))
    process.wait_says("is connected again", within=20)
    bench.database.execute("delete from hold")
    assert process.wait(40) == 0, process.text()
    assert bench.there("made")
    assert bench.outcomes() == ["gone", "gone", "done"]


def test_how_long_it_waits_and_what_it_does_without_a_guard_is_its_users_choice(bench: Bench) -> None:
    bench.guard.say("pause")
    impatient = bench.execute(bench.script("select 1;"), "--max-stall", "1s")
    assert impatient.wait(40) == 75, impatient.text()
    assert "pause for a test" in bench.run("outcome_detail")[0]
    bench.guard.die()
    timid = bench.execute(bench.script("select 1;"), "--on-guard-lost", "fail")
    assert timid.wait(40) == 75, timid.text()
    assert "has no guard" in bench.run("outcome_detail")[0]
    bold = bench.execute(bench.script("select 1;"), "--on-guard-lost", "proceed")
    assert bold.wait(40) == 0, bold.text()


def test_without_a_guard_it_is_cancelled_and_tried_again_when_the_guard_is_back(bench: Bench) -> None:
    process = bench.execute(bench.script(f"create table made (id int); {HELD}", "-1"))
    bench.wait_at_work()
    bench.guard.die()
    process.wait_says("cancelled session", within=20)
    bench.wait_none_left()
    assert not bench.there("made")
    bench.database.execute("delete from hold")
    bench.guard.silent.clear()
    assert process.wait(40) == 0, process.text()
    assert bench.there("made")


def test_what_an_earlier_run_left_on_the_server_is_ended_before_the_next_begins(
    bench: Bench, background: Callable[[str, str], Background]
) -> None:
    left = background(f"{bench.dsn} application_name=migration:m", HELD)
    bench.wait_at_work()
    process = bench.execute(bench.script("select count(*) from pg_stat_activity where state = 'active';", "-At"))
    assert process.wait(40) == 0, process.text()
    assert f"left by an earlier run: session {left.pid}" in process.text()
    left.wait()
    assert isinstance(left.error, psycopg.errors.AdminShutdown)


def test_sessions_without_the_mark_are_told_of_loudly(bench: Bench) -> None:
    command = [bench.psql, "-X", f"{bench.dsn} application_name=other", "-c", HELD]
    url = "postgresql://nowhere/?application_name=other"
    process = bench.execute(command, OTHER_URL=url)
    process.wait_says("NOT SEEN", within=20)
    assert "1 of its role began since: other" in process.text()
    assert "OTHER_URL says an application_name of its own" in process.text()
    bench.guard.say("pause")
    process.wait_says("told to wait: pause for a test", within=20)
    assert bench.run("acknowledged_epoch")[0] < bench.guard.epoch
    bench.database.execute("delete from hold")
    assert process.wait(40) == 0


def test_what_a_cancelled_index_leaves_behind_does_not_pass_for_the_index(bench: Bench) -> None:
    with bench.database.connect() as reader:
        reader.execute("begin isolation level repeatable read; select from hold")
        process = bench.execute(
            bench.script("create index concurrently if not exists t_id on t (id);"),
            "--repeatable",
            "--lock-timeout",
            "60s",
        )
        bench.wait_at_work("Lock")
        bench.guard.say("pause")
        process.wait_says("is let finish", within=20)
        # What is in flight still does not keep to the order.
        assert bench.run("acknowledged_epoch")[0] < bench.guard.epoch
        [(pid, _, _)] = bench.sessions()
        bench.database.execute("select pg_cancel_backend(%s)", [pid])
        process.wait_says("left behind: invalid index public.t_id", within=20)
        bench.guard.say("proceed")
    assert process.wait(40) == 5, process.text()
    said = bench.run("outcome_detail")[0]
    assert "DROP INDEX CONCURRENTLY public.t_id;" in said


def test_told_to_end_while_it_builds_an_index_it_says_what_is_left_behind(bench: Bench) -> None:
    with bench.database.connect() as reader:
        reader.execute("begin isolation level repeatable read; select from hold")
        script = bench.script("create index concurrently t_id on t (id);")
        process = bench.execute(script, "--lock-timeout", "60s")
        bench.wait_at_work("Lock")
        process.send(signal.SIGTERM)
        assert process.wait(40) == 128 + signal.SIGTERM, process.text()
    said = "told to end by SIGTERM; left behind: invalid index public.t_id: DROP INDEX CONCURRENTLY public.t_id;"
    assert bench.run("outcome outcome_detail") == ("failed", said)


def test_under_nohup_it_outlives_the_terminal(bench: Bench) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    process = bench.execute(bench.script(f"{HELD} create table made (id int);"))
    signal.signal(signal.SIGHUP, before)
    bench.wait_at_work()
    process.send(signal.SIGHUP)
    bench.database.execute("delete from hold")
    assert process.wait(40) == 0, process.text()
    assert bench.there("made")
