"""The real daemon reads what its rules name: a query of the user's, WAL, activity, the migration's own locks; and says
which when it warns or pauses."""

from collections.abc import Callable

import pytest

from tests.acceptance.house import NOISE, House
from tests.acceptance.scenario import Play
from tests.fix_sessions import Background
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance

RULES = """
[[rule]]
name   = "outbox"
sql    = "select n from public.outbox"
pause  = "> 5"
resume = "< 2 for 200ms"
no_data = "pause for 500ms"

[[rule]]
name   = "report"
metric = "activity.longest_transaction"
warn   = "> 1h"

[[rule]]
name   = "deadlocks"
metric = "database.deadlocks_per_minute"
pause  = "> 1000"
resume = "< 1000 for 200ms"
no_data = "pause for 5s"

[[rule]]
name   = "written"
metric = "wal.bytes_per_second"
pause  = "> 1TB"
resume = "< 1TB for 200ms"
no_data = "pause for 5s"
"""


@pytest.mark.fault(65)
def test_a_query_of_the_users_pauses_by_its_number_and_by_its_silence(play: Play) -> None:
    play.house.rules, play.house.standbys = RULES, "[]"
    play.house.database.execute("create table outbox as select 0 as n")
    play.house.database.execute("grant select on outbox to guard_login")
    play.at(0.5).sql("update outbox set n = 9")
    play.paused(within=0.3 + NOISE, because="outbox (sql) 9 > 5")
    play.sql("update outbox set n = 0").proceeds(within=2)
    play.sql("insert into outbox values (0)")
    play.paused(within=0.9 + NOISE, because="more than one row")
    play.sql("delete from outbox where ctid = (select max(ctid) from outbox)").proceeds(within=2)
    play.never("cancelled", "rolled back").all_told()


OWN = """
[[rule]]
name   = "stuck"
metric = "locks.migration_waiting_for"
warn   = "> 300ms"

[[rule]]
name   = "exclusive"
metric = "locks.access_exclusive_held"
pause  = "> 300ms"
resume = "< 100ms for 200ms"

[[rule]]
name   = "waits"
metric = "activity.waiting"
select = { wait_event_type = "Lock" }
pause  = "> 100"
resume = "< 100 for 200ms"

[[rule]]
name   = "vacuum"
metric = "vacuum.on_migration_table"
pause  = "> 1h"
resume = "< 1h for 200ms"
"""


def test_what_the_migration_waits_for_and_then_holds_is_told_with_who_and_what(
    house: House, background: Callable[[str, str], Background]
) -> None:
    house.rules = OWN.replace("{ wait", "{{ wait").replace('"Lock" }', '"Lock" }}')
    house.database.execute("alter table t owner to migrator")
    house.serve()
    with house.database.connect(application_name="report") as holder, house.database.connect() as other:
        session = background(house.database.dsn("migrator"), "select migration_guard.register('add-column')")
        house.wait_event("started")
        holder.execute("begin")
        holder.execute("select count(*) from t")
        session.wait()
        session.restart("begin; alter table t add column c int")
        session.wait_blocked(other)
        _, _, because = house.wait_event("warned")
        assert because.startswith("locks.migration_waiting_for ")
        assert f"waits for a table behind pid {holder.info.backend_pid} (postgres, report), idle in tran" in because
        holder.execute("commit")
        session.wait()
        _, _, because = house.wait_event("paused")
        assert because.startswith("locks.access_exclusive_held ")
        assert f"pid {session.pid} (migrator, no application_name)" in because
        assert "public.t" in because
        session.restart("commit")
        session.wait()
        wait_for(lambda: house.order("add-column").get("kind") == "proceed", message=lambda: str(house.events()))
    assert house.events("cancelled") == []
