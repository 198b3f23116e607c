"""Commands that know nothing of the guard, under it: started fairly, held, tried again, and told the truth about."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard.demo.embedded import Binaries
from tests.executing import Bench, benched
from tests.fix_postgres import Database
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

ORPHANS = "-c client_connection_check_interval=0"
"""The server does not look whether a client is still there, as with a driver that does not read PGOPTIONS."""
HELD = "select pg_sleep(case when exists (select from hold) then 60 else 0 end);"


@pytest.fixture
def bench(database: Database, binaries: Binaries, tmp_path: Path) -> Iterator[Bench]:
    with benched(database, binaries, tmp_path) as bench:
        yield bench


def test_a_script_is_registered_and_marked_and_its_output_and_end_are_its_own(bench: Bench) -> None:
    shown = "select current_setting('application_name') || ' ' || current_setting('lock_timeout') || ' ' ||"
    shown += " current_setting('client_connection_check_interval') || ' ' || current_setting('work_mem');"
    good = bench.execute(bench.script(shown, "-At"), "--verify", "select 1 = 1", PGOPTIONS="-c work_mem=5MB")
    assert good.wait(40) == 0
    assert "migration:m 1s 500ms 5MB" in good.text()
    assert bench.run("outcome application_name outcome_detail") == ("done", "migration:m", None)
    bad = bench.execute(bench.script("select 1/0;"))
    assert bad.wait(40) == 3
    assert "division by zero" in bad.text()
    assert bench.run("outcome outcome_detail") == ("failed", "psql ended with exit code 3: division by zero")


def test_what_a_pause_cancels_is_taken_back_and_done_after_it(bench: Bench) -> None:
    bench.database.execute("insert into hold default values")
    # Without the last proof it would be "done" by its exit code.
    command = bench.script(f"create table made (id int); {HELD}", "-1")
    process = bench.execute(command, "--verify", "select to_regclass('made') is not null")
    bench.wait_at_work()
    bench.database.execute("delete from hold")
    bench.guard.say("pause")
    bench.wait_none_left()
    # Acknowledged once nothing of it is in flight, and not before.
    wait_for(lambda: bench.run("acknowledged_epoch") == (bench.guard.epoch,), within=20)
    assert not bench.there("made")
    assert process.child.running
    bench.guard.say("proceed")
    assert process.wait(40) == 0, process.text()
    assert bench.there("made")
    assert "done (2 tries, held for" in process.text()


def test_what_may_not_be_repeated_is_not_and_its_end_says_what_was_cut_off(bench: Bench) -> None:
    # One that swallows a cancel, and is terminated for it.
    stubborn = """do $$ begin loop
        begin perform pg_sleep(60); exception when query_canceled then null; end;
    end loop; end $$;"""
    process = bench.execute(bench.script(f"create table made (id int); {stubborn} create table never (id int);"))
    bench.wait_at_work()
    bench.guard.say("pause")
    assert process.wait(40) == 2, process.text()
    assert process.text().index("cancelled session") < process.text().index("terminated session")
    assert bench.there("made")
    assert not bench.there("never")
    outcome, detail = bench.run("outcome outcome_detail")
    assert outcome == "failed"
    assert "pause for a test" in detail
    assert "may be applied; it is not tried again" in detail
    assert bench.sessions() == []


def test_a_tool_that_swallows_its_errors_is_not_done(bench: Bench, tmp_path: Path) -> None:
    tool = tmp_path / "tool.py"
    tool.write_text(
        "import psycopg\n"
        "with psycopg.connect('', autocommit=True) as connection:\n"
        "    try:\n"
        "        connection.execute('select pg_sleep(60)')\n"
        "    except psycopg.Error as error:\n"
        "        print('an error, but who cares')\n"
        "    connection.execute('create table after ()')\n"
    )
    process = bench.execute([sys.executable, str(tool)])
    bench.wait_at_work()
    bench.guard.say("pause")
    assert process.wait(40) == 5, process.text()
    assert bench.run("outcome") == ("failed",)
    quiet = bench.execute(bench.script("select 1;"), "--verify", "select false")
    bench.guard.say("proceed")
    assert quiet.wait(40) == 5
    assert "--verify says False, not true" in quiet.text()


def test_a_tool_that_ends_well_and_leaves_a_statement_at_work_is_not_done(bench: Bench, tmp_path: Path) -> None:
    tool, end = tmp_path / "tool.py", tmp_path / "end"
    tool.write_text(
        "import pathlib, subprocess, sys, time\n"
        "subprocess.Popen(sys.argv[2:], start_new_session=True)\n"
        "while not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.05)\n"
    )
    bench.database.execute("insert into hold default values")
    script = bench.script(f"{HELD} create table later (id int);")
    process = bench.execute([sys.executable, str(tool), str(end), *script])
    bench.wait_at_work()
    end.touch()
    assert process.wait(40) == 5, process.text()
    assert "the command ended and left session" in bench.run("outcome_detail")[0]
    assert bench.sessions() == []
    assert not bench.there("later")


@pytest.mark.parametrize("known_tables", [False, True], ids=["by lock timeout", "by looking first"])
def test_it_waits_for_whoever_holds_its_table_names_him_and_does_it_when_he_is_gone(
    bench: Bench, known_tables: bool
) -> None:
    with bench.database.connect() as holder:
        holder.execute("begin; select from t")
        options = ("--table", "public.t") if known_tables else ()
        process = bench.execute(
            bench.script("alter table t add column c int;"), "--repeatable", "--lock-timeout", "300ms", *options
        )
        process.wait_says("waits " if known_tables else "did not get through", within=20)
        process.wait_says(f"session {holder.info.backend_pid} (", within=5)
        # Nobody queues behind it while it waits.
        bench.wait_none_left()
        assert not bench.there("t", "c")
        named = f"session {holder.info.backend_pid} ("
        wait_for(lambda: named in (bench.run("note")[0] or ""), within=20, message=lambda: bench.run("note")[0])
        holder.execute("rollback")
        assert process.wait(40) == 0, process.text()
    assert bench.there("t", "c")
    assert ("begins try 2" in process.text()) is not known_tables
    assert bench.run("note")[0].endswith(" of 10: psql")


def test_tries_are_bounded_and_the_end_names_who_was_in_the_way(bench: Bench) -> None:
    with bench.database.connect() as holder:
        holder.execute("begin; select from t")
        process = bench.execute(
            bench.script("alter table t add column c int;"),
            *("--repeatable", "--lock-timeout", "300ms", "--tries", "2"),
        )
        assert process.wait(40) == 75, process.text()
        assert "2 tries are used up" in process.text()
        assert f"session {holder.info.backend_pid} (" in bench.run("outcome_detail")[0]
    assert not bench.there("t", "c")


def test_an_abort_ends_it_on_the_server_and_here(bench: Bench) -> None:
    bench.database.execute("insert into hold default values")
    process = bench.execute(bench.script(f"begin; create table made (id int); {HELD} commit;"), "--repeatable")
    bench.wait_at_work()
    second = bench.execute(bench.script("select 1;"))
    assert second.wait(40) == 75
    assert "is already running" in second.text()
    bench.guard.say("abort")
    assert process.wait(40) == 4, process.text()
    assert bench.run("outcome")[0] == "aborted"
    assert bench.sessions() == []
    assert not bench.there("made")


def test_told_to_end_it_cancels_first_so_that_nothing_commits_later(bench: Bench) -> None:
    with bench.database.connect() as holder:
        holder.execute("begin; select from t")
        script = bench.script("alter table t add column c int;")
        process = bench.execute(script, "--lock-timeout", "60s", PGOPTIONS=ORPHANS)
        bench.wait_at_work("Lock")
        process.send(signal.SIGTERM)
        assert process.wait(40) == 128 + signal.SIGTERM, process.text()
        assert "cancelled session" in process.text()
        assert bench.sessions() == []
        assert bench.run("outcome outcome_detail") == ("failed", "told to end by SIGTERM")
    assert not bench.there("t", "c")
    bench.guard.say("pause")
    waiting = bench.execute(bench.script("create table never (id int);"))
    waiting.wait_says("waits: pause for a test", within=20)
    waiting.send(signal.SIGINT)
    assert waiting.wait(40) == 128 + signal.SIGINT
    assert not bench.there("never")


def test_killed_outright_it_leaves_no_statement_and_no_process_behind(bench: Bench, tmp_path: Path) -> None:
    # As package managers do: what works is started by another process, in another process group or even session.
    tool = tmp_path / "manager.py"
    tool.write_text(
        "import subprocess, sys, time\n"
        "if sys.argv[1] == 'inner':\n"
        "    subprocess.run(sys.argv[2:])\n"
        "    time.sleep(600)\n"
        "subprocess.run([sys.executable, __file__, 'inner', *sys.argv[1:]], start_new_session=True)\n"
    )
    with bench.database.connect() as holder:
        holder.execute("begin; select from t")
        script = bench.script("alter table t add column c int; create table made (id int);")
        process = bench.execute([sys.executable, str(tool), *script], "--lock-timeout", "60s", PGOPTIONS=ORPHANS)
        bench.wait_at_work("Lock")
        process.kill()
        bench.wait_none_left()
        wait_for(lambda: not processes_of(script), within=20, message=lambda: f"no process: {processes_of(script)}")
    bench.wait_none_left()
    assert not bench.there("t", "c")
    assert not bench.there("made")


def processes_of(command: list[str]) -> list[str]:
    """The processes that have the last word of this command in theirs."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = place.read_bytes()
        except OSError:
            continue
        if command[-1].encode() in line.split(b"\0"):
            found.append(place.parent.name)
    return found
