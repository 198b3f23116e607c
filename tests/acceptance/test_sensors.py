"""The real daemon reads what its rules name: a query of the user's, WAL, activity; and says which when it pauses."""

import pytest

from tests.acceptance.house import NOISE
from tests.acceptance.scenario import Play

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
