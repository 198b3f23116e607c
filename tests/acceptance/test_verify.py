"""Checks of the data around a run, gates before a phase, the record of a run, and rollbacks by the samples."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from guard.demo.embedded import Binaries
from tests.acceptance.house import ROOT, House
from tests.command import command
from tests.fix_matrix import Took

pytestmark = pytest.mark.acceptance

GATES = """
[migration.backfill.phase.switch-reads.filled]
no_rows = "select id from public.t where v = 0 order by id"
[migration.backfill.phase.switch-reads.not-twice]
no_rows = "select id from public.t where v > 1"
[migration.backfill.phase.contract.forbidden]
no_rows = "select from public.secret"
"""


def gate(house: House, *words: str) -> tuple[int, str]:
    ended = command("verify", "backfill", "-c", str(house.file), *words)
    return ended.code, ended.said


@pytest.mark.fault(57)
def test_a_run_that_has_spoilt_the_data_is_told_recorded_and_taken_back_by_down_sql(
    house: House, tmp_path: Path, took: Took, binaries: Binaries
) -> None:
    down = tmp_path / "down side.sql"
    down.write_text("update public.t set v = 0;\nupdate public.progress set upto = 0;\n")
    hook, dsn = ROOT / "examples/rollback-sql.sh", house.database.dsn()
    house.more = f"""
[rollback]
command       = ["{hook}", "{dsn}", "{down}"]
auto_rollback = true
verify        = "select not exists (select from public.t where v <> 0)"
[verify.sum]
same       = "select sum(v) from public.t"
on_failure = "rollback"
[verify.untouched]
no_rows = "select id from public.t where v > 1"
{GATES}
"""  # noqa: S608 -- a configuration file
    house.database.execute("delete from t where id > 50; update progress set total = 50")
    house.database.execute("create table secret (); grant select on t to guard_login")
    programs = Path(binaries.path("psql")).parent
    house.serve(environment={"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"})
    migrating = house.wait_migrating(size=10)
    assert migrating.wait(20) == 0
    failed, told_at, _ = house.wait_event("check_failed")
    assert failed == "check_failed"
    _, rolled, _ = house.wait_event("rolled_back")
    took(rolled - told_at)
    assert house.database.execute("select sum(v) from t") == [(0,)]
    house.assert_all_told()
    told = str(house.slack.requests)
    assert "was sum=0 before the run, and is sum=50" in told
    record = command("report", "backfill", "-c", str(house.file), "--json")
    found = json.loads(record.out)
    assert [each["holds"] for each in found["checks_before"]] == [True, True]
    assert {each["check"]: each["holds"] for each in found["checks_after"]} == {"sum": False, "untouched": True}
    assert [each["phase"] for each in found["phases"]] == ["waiting", "running", "soaking", "rolling back", "aborted"]
    shown = command("report", str(found["run"]["run_id"]), "-c", str(house.file)).out
    assert 'FAILS: check "sum": was sum=0 before the run, and is sum=50' in shown
    assert "done: exit 0 after " in shown
    # The same data, asked by hand: what was taken back is missing again.
    assert gate(house, "--phase", "switch-reads")[0] == 5


def test_a_gate_says_by_its_exit_code_whether_a_phase_may_be_entered_with_the_offending_keys(house: House) -> None:
    house.more = GATES
    house.database.execute("update t set v = 1 where id > 25; create table secret (); grant select on t to guard_login")
    house.write()
    code, said = gate(house, "--phase", "switch-reads")
    assert code == 5, said
    assert 'FAILS      check "filled" returned more than 20 rows: id=1; id=2; id=3; ...' in said
    assert "\n           id=20\n" in said
    assert 'holds      check "not-twice" returned no row' in said
    house.database.execute("update t set v = 1")
    assert gate(house, "--phase", "switch-reads")[0] == 0
    code, said = gate(house, "--phase", "contract", "--json")
    assert (code, json.loads(said)["holds"]) == (3, None)
    # By whom it is asked is for the pipeline to say.
    assert gate(house, "--phase", "contract", "--dsn", house.database.dsn())[0] == 0
    assert gate(house, "--phase", "switch")[0] == 2
    assert "has no check with no_rows" in gate(house)[1]
    house.database.execute("drop table t")
    code, said = gate(house, "--phase", "switch-reads")
    assert (code, 'UNKNOWN    check "filled" could not be answered' in said) == (3, True), said


def test_a_rehearsal_runs_the_hook_marked_as_one_and_claims_nothing(house: House, tmp_path: Path) -> None:
    hook = tmp_path / "hook"
    hook.write_text('#!/bin/sh\nenv | grep ^MIGRATION_GUARD | sort; cat; exit "${RESULT:-0}"\n')
    hook.chmod(0o700)
    house.more = f'[rollback]\ncommand = ["{hook}"]\nenvironment = ["RESULT"]\ntimeout = "5s"\n'
    house.write()
    well = command("rollback", "backfill", "--rehearse", "-c", str(house.file), "--json")
    said = json.loads(well.out)
    assert (well.code, said["ok"]) == (0, True), well.said
    lines = said["output"].splitlines()
    assert "MIGRATION_GUARD_REHEARSAL=true" in lines
    assert "MIGRATION_GUARD_MIGRATION=backfill" in lines
    assert json.loads(lines[-1])["rehearsal"] is True
    bad = command("rollback", "backfill", "--rehearse", "-c", str(house.file), environment={"RESULT": "7"})
    assert (bad.code, "FAILED, exit 7 after" in bad.out) == (5, True), bad.said
    hook.chmod(0o600)
    assert command("rollback", "backfill", "--rehearse", "-c", str(house.file)).code == 3
    assert command("rollback", "backfill", "-c", str(house.file)).code == 2
    assert house.database.execute("select from migration_guard.rollback") == []
    assert not (house.directory / "state").exists()
