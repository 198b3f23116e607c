"""A command under guard in a database with the DDL gate: a pause stops it between statements, and cancels none."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from guard.act.ddl_gate import install_gate
from guard.demo.embedded import Binaries
from tests.executing import Bench, benched
from tests.fix_postgres import Database
from tests.gated import GATE
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

SCRIPT = """
create table if not exists a (id int);
do $$ begin while exists (select from hold) loop perform pg_sleep(0.02); end loop; end $$;
create table if not exists b (id int);
"""


@pytest.fixture
def bench(database: Database, binaries: Binaries, tmp_path: Path) -> Iterator[Bench]:
    with benched(database, binaries, tmp_path) as bench:
        yield bench


def test_a_script_stops_at_its_next_statement_and_comes_again_after_the_pause(bench: Bench) -> None:
    install_gate(bench.database.dsn(), GATE)
    bench.database.execute("insert into hold default values")
    process = bench.execute(bench.script(SCRIPT), "--repeatable", "--grace", "60s")
    bench.wait_at_work()
    bench.guard.say("pause")
    bench.database.execute("delete from hold")
    process.wait_says("migration m must wait (pause): pause for a test", within=20)
    bench.wait_none_left()
    wait_for(lambda: bench.run("acknowledged_epoch") == (bench.guard.epoch,), within=20)
    assert (bench.there("a"), bench.there("b")) == (True, False)
    assert process.child.running
    bench.guard.say("proceed")
    assert process.wait(40) == 0, process.text()
    assert bench.there("b")
    assert "the guard's pause (55P03), by its output" in process.text()
    assert "cancel" not in process.text()
