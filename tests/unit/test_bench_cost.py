"""The cost table counts every sensor, knows each statement again, and compares a scrape with the whole of a tick."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from benchmarks.cost import Cost, every_sensor, ratios, tables
from benchmarks.spent import Spent, shape
from guard.model.sensors import METRICS
from guard.settings import load


def test_there_is_a_rule_for_every_metric_that_a_guard_takes(tmp_path: Path) -> None:
    file = tmp_path / "guard.toml"
    file.write_text(f"[database.main]\ndsn = 'host=localhost'\nstandbys = ['replica1']\n{every_sensor()}")
    assert {rule.metric for rule in load(file).rules} == set(METRICS)


def test_a_statement_is_found_again_as_pg_stat_statements_shows_it() -> None:
    sent = "select x, extract(epoch from t), f('a', true, 17, 1e3), y in ('b', 'c') -- a reader's\n from t where z = $1"
    shown = "select x, extract($2 from t), f($3, $4, $5, $6), y in ($7 /*, ... */) -- a reader's\n from t where z = $1"
    assert shape(sent) == shape(shown)
    assert shape(sent) != shape(sent.replace("where z", "where w"))


def test_a_scrape_is_held_against_the_whole_tick_of_the_same_case() -> None:
    case = ("no rule in the file", 10, 50)
    costs = [
        Cost(*case, "locks", Spent(executed=1.5, planned=0.5, rows=2, trips=2, processor=3)),
        Cost(*case, "signal", Spent(executed=2, rows=1, trips=1)),
        Cost(*case, "scraper", Spent(executed=12, planned=8, rows=300, trips=11)),
        Cost(*case[:2], 0, "locks", Spent(executed=4, trips=1)),
    ]
    against, alone = ratios(costs)
    assert (against.samples, against.unit, against.met) == ((5.0,), "x", True)
    assert (alone.samples, alone.unit, alone.met) == ((4.0,), "ms", None)  # nothing stands in for a missing scrape
    console = Console(width=200)
    with console.capture() as shown:
        console.print(tables(costs)[0])
    (line,) = (line for line in shown.get().splitlines() if "probe locks" in line)
    assert [cell.strip() for cell in line.split("│")[1:-1]] == [
        "probe locks",
        "1-2",
        "0-2",
        "2.00 / 3.00",
        "4.00 / 0.00",
    ]
