"""Every metric of the catalogue, and a query of the user's: whatever keeps the server from answering is a silence.

The probes are those that the daemon makes of a file with one rule for each metric. They are polled on through each
trouble, so that what they answered before is there to be told again, were it kept.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from guard.act.install import install
from guard.demo.embedded import Server
from guard.demo.proxy import Proxy
from guard.model import Dimension, Reading, Sample, Silence
from guard.model.sensors import METRICS
from guard.model.sensors.words import MONITOR
from guard.ports import Probe
from guard.settings import Settings, load
from guard.wiring import _hosts, _probes
from tests.fix_postgres import Database, MakeRole
from tests.shipped import as_guard

pytestmark = pytest.mark.integration

DEADLINE = 0.5
"""Seconds that a probe may take."""
NOISE = 1.5
LIMITS = {Dimension.SECONDS: "1s", Dimension.BYTES: "1MB", Dimension.COUNT: "5", Dimension.RATIO: "50%"}
Samples = dict[str, Sample]


def settings_of(dsn: str, directory: Path) -> Settings:
    """A file with a rule for each metric, and one with a query."""
    lines = [f'[guard]\nprobe_deadline = \'{DEADLINE}s\'\n[database.main]\ndsn = """{dsn}"""\nstandbys = 1\n']
    lines.append("[migrations]\nroles = ['migrator']\n")
    for metric in METRICS.values():
        limit = f"{'<' if metric.less_is_worse else '>'} {LIMITS[metric.dimension]}"
        lines.append(f"[[rule]]\nname = '{metric.name}'\nmetric = '{metric.name}'\nwarn = '{limit}'\n")
    lines.append("[[rule]]\nname = 'mine'\nsql = 'select 1'\nwarn = '> 5'\n")
    path = directory / "every.toml"
    path.touch(mode=0o600)
    path.write_text("".join(lines))
    return load(path)


def probes_of(dsn: str, directory: Path) -> list[Probe]:
    settings = settings_of(dsn, directory)
    (database,) = settings.databases
    return [probe for probe in _probes(settings, _hosts(settings), database) if probe.name != "roster"]


async def look(probes: Sequence[Probe]) -> Samples:
    """One poll of all; the sensor without what tells series apart (`|waited=2s`) is its metric."""
    seen = await asyncio.gather(*(probe.poll() for probe in probes))
    return {sample.sensor.partition("|")[0]: sample for each in seen for sample in each.samples}


async def until(probes: Sequence[Probe], condition: Callable[[Samples], bool], within: float = 15.0) -> Samples:
    end = time.monotonic() + within
    while not condition(found := await look(probes)):
        assert time.monotonic() < end, {name: each for name, each in found.items() if isinstance(each, Silence)}
        await asyncio.sleep(0.05)
    return found


def read(found: Mapping[str, Sample]) -> set[str]:
    return {name for name, sample in found.items() if isinstance(sample, Reading)}


@pytest.mark.fault(11, 32)
def test_no_metric_keeps_its_value_while_the_server_does_not_answer_or_is_gone(
    standby: Server, database: Database, make_proxy: Callable[[int], Proxy], tmp_path: Path
) -> None:
    install(database.dsn())
    database.execute("create extension pg_stat_statements")
    line = make_proxy(database.server.port)
    dsn = as_guard(database.dsn())

    async def main() -> None:
        probes = probes_of(line.dsn(dsn), tmp_path)
        await look(probes)
        await asyncio.sleep(0.1)
        well = await look(probes)
        # It takes connections and questions, and never answers: neither a question that is under way nor a new one.
        line.freeze()
        for _ in range(2):
            began = time.monotonic()
            assert read(await look(probes)) == set()
            assert time.monotonic() - began < DEADLINE + NOISE
        line.heal()
        await until(probes, lambda found: read(found) >= read(well))
        line.cut()
        for _ in range(2):
            gone = await look(probes)
            assert read(gone) == set()
            assert all(isinstance(sample, Silence) and sample.why for sample in gone.values())
            assert not any(getattr(sample, "at_least", None) for sample in gone.values())
        line.heal()
        again = await until(probes, lambda found: read(found) >= read(well))
        assert again.keys() == well.keys() >= METRICS.keys()
        for probe in probes:
            await probe.close()

    asyncio.run(main())


@pytest.mark.fault(23)
def test_without_pg_monitor_each_metric_that_needs_it_is_a_silence_and_none_of_the_others_needs_it(
    standby: Server, database: Database, make_role: MakeRole, tmp_path: Path
) -> None:
    install(database.dsn())
    make_role("blind", "in role migration_guard_guard")
    database.execute("create extension pg_stat_statements")

    async def main() -> None:
        sighted, blind = (probes_of(dsn, tmp_path) for dsn in (as_guard(database.dsn()), database.dsn("blind")))
        await look(sighted)
        others = {name for name, metric in METRICS.items() if metric.needs != MONITOR}
        await asyncio.sleep(0.1)
        shown = read(await look(sighted)) & others
        hidden = await until(blind, lambda found: read(found) >= shown)
        assert "wal.bytes_per_second" in shown
        for name in METRICS.keys() - others:
            sample = hidden[name]
            assert isinstance(sample, Silence), sample
            assert "pg_monitor" in sample.why
        for probe in (*sighted, *blind):
            await probe.close()

    asyncio.run(main())
