"""The Python on the pages, run as it stands there under a real guard."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from guard.client import Migration
from tests.acceptance.house import House
from tests.pages import blocks

pytestmark = pytest.mark.acceptance

CUSTOMERS = """
create table customers (id int primary key, region text);
insert into customers select n, null from generate_series(1, 500) n;
grant select, update on customers to migrator;
"""


def noting(seen: list[int]) -> Iterator[list[int]]:
    """Three batches, and whether each was fetched."""
    for number in range(3):
        seen.append(number)
        yield [number]


def test_every_block_of_python_does_its_work_under_the_guard(house: House) -> None:
    house.database.execute(CUSTOMERS)
    house.serve()
    found = [block for block in blocks("python") if not block.file and not block.not_run]
    assert len(found) >= 4
    for block in found:
        with psycopg.connect(house.database.dsn("migrator"), autocommit=True) as connection:
            seen: list[int] = []
            given = {"connection": connection, "batches": noting(seen), "Migration": Migration}
            try:
                exec(compile(block.text, str(block), "exec"), given)  # noqa: S102 -- our own pages
            except Exception as wrong:
                raise AssertionError(f"{block}: {wrong!r}") from wrong
            assert len(seen) == 3 or "batches" not in block.text, f"{block}: not every batch was done"
    assert house.database.execute("select count(*) from customers where region is null") == [(0,)]
    ended = house.database.execute("select migration, outcome from migration_guard.run order by run_id")
    assert {outcome for _, outcome in ended} == {"done"}
    assert {"backfill-email", "fill-region"} <= {name for name, _ in ended}
