"""`check` asks each query about the data once: what keeps it from an answer is a problem, what it answers is not."""

import asyncio
from pathlib import Path

import pytest

from guard.check.remarks import Grade, Remark
from guard.check.verify import check_verify
from guard.settings import load
from tests.fix_postgres import Database
from tests.shipped import as_guard

pytestmark = pytest.mark.integration


def test_each_check_and_each_gate_is_asked_where_it_is_to_be_asked(database: Database, tmp_path: Path) -> None:
    database.execute("create table secret (n int); create table orders (id int); insert into orders values (7)")
    database.execute("grant select on orders to public")
    file = tmp_path / "guard.toml"
    file.write_text(
        f"""
[database.main]
dsn = "{as_guard(database.dsn())}"
standbys = []
[database.other]
dsn = "host=127.0.0.1 port=1 dbname=x user=x"
standbys = []
[verify.orders]
no_rows = "select id from public.orders"
[verify.elsewhere]
no_rows = "select 1 / 0"
databases = ["other"]
[migration.m.verify.sum]
same = "select sum(id) from public.orders"
[migration.m.phase.contract.secret]
no_rows = "select n from public.secret"
"""  # noqa: S608 -- a configuration file
    )
    settings = load(file)
    remarks: list[Remark] = asyncio.run(check_verify(settings, settings.databases[0]))
    assert [(each.grade, each.what) for each in remarks[:2]] == [
        (Grade.FINE, '[verify.orders] can be asked; check "orders" returned 1 row: id=7'),
        (Grade.FINE, '[migration.m.verify.sum] can be asked; check "sum": sum=7'),
    ]
    assert (remarks[2].grade, len(remarks)) == (Grade.PROBLEM, 3)
    assert remarks[2].what.startswith("[migration.m.phase.contract.secret] ")
    assert "permission denied for table secret" in remarks[2].what
    # Of a server that is not there, another remark says what to do: no query of these is to be mended.
    assert asyncio.run(check_verify(settings, settings.databases[1])) == []
