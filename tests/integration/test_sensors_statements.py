"""Latency and calls by pg_stat_statements, on a real server that has it, and the silences of one that has not."""

import asyncio
from collections.abc import Callable

import pytest

from guard.demo.embedded import Binaries, Server
from guard.model import Reading, Sample, Silence
from guard.model.metric import Labels
from guard.poll.statements import StatementsProbe
from guard.postgres import Door
from tests.fix_postgres import MakeCluster
from tests.shipped import as_guard

pytestmark = pytest.mark.integration
LATENCY, CALLS = "statements.mean_latency", "statements.calls_per_second"
P95 = "statements.p95_latency"
Values = dict[str, Sample]


def probe_of(dsn: str, *selected: tuple[str, Labels]) -> StatementsProbe:
    return StatementsProbe(Door(as_guard(dsn), purpose="statements"), [LATENCY, CALLS, P95], selected=selected)


async def look(probe: StatementsProbe) -> Values:
    return {sample.sensor: sample for sample in (await probe.poll()).samples}


def why(found: Values) -> str:
    latency = found[LATENCY]
    assert isinstance(latency, Silence), latency
    return latency.why


@pytest.fixture(autouse=True)
def with_the_library(binaries: Binaries) -> None:
    """Some builds of PostgreSQL come without contrib."""
    if not binaries.has_library("pg_stat_statements"):
        pytest.skip(f"{binaries} have no pg_stat_statements")


@pytest.fixture
def server(make_cluster: MakeCluster) -> Server:
    settings = {"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.max": "100"}
    return make_cluster(0, settings=settings).primary


def test_latency_and_calls_are_those_since_the_last_looks_and_every_absence_has_its_reason(server: Server) -> None:
    run: Callable[..., object] = server.execute

    async def main() -> None:
        probe = probe_of(server.dsn())
        assert "create extension" in why(await look(probe))
        run("create schema extra")
        run("create extension pg_stat_statements schema extra")
        assert "permission denied" in why(await look(probe))
        run("grant usage on schema extra to public")
        assert "two looks" in why(await look(probe))
        with server.connect() as application:
            for _ in range(5):
                application.execute("select pg_sleep(0.1)")
        found = await look(probe)
        latency, calls = found[LATENCY], found[CALLS]
        assert isinstance(latency, Reading)
        assert isinstance(calls, Reading)
        # Some other statement may have ended too, such as the grant; the guard's own are not counted.
        assert 0.05 < latency.value < 0.5
        assert 0 < calls.value < 12
        run("select extra.pg_stat_statements_reset()")
        assert "reset" in why(await look(probe))
        with server.connect() as application:
            for columns in range(1, 150):
                application.execute(b"select " + b", ".join([b"1"] * columns))
        assert "dropped entries" in why(await look(probe))
        run("alter system set pg_stat_statements.track = 'none'")
        run("select pg_reload_conf()")
        for _ in range(50):
            if "track is none" in getattr((await look(probe))[LATENCY], "why", ""):
                break
            await asyncio.sleep(0.1)
        else:
            pytest.fail("it does not say that nothing is counted")
        run("drop extension pg_stat_statements")
        await look(probe)  # the schema was known; what has gone is an error once, and then its reason
        assert "create extension" in why(await look(probe))
        await probe.close()

    asyncio.run(main())


def test_one_query_is_told_from_all_and_its_percentile_is_an_estimate_in_words(server: Server) -> None:
    server.execute("create extension pg_stat_statements schema public")
    slow, gone = "statements.{}{{queryid={}}}", "statements.mean_latency{queryid=-7}"
    with server.connect() as application:
        application.execute("select pg_sleep(0.0)")
        ((query_id,),) = server.execute(
            "select queryid from pg_stat_statements where query like 'select pg_sleep(%' and query not like '%like%'"
        )

        async def main() -> Values:
            series = [(metric, (("queryid", str(query_id)),)) for metric in (LATENCY, P95, CALLS)]
            probe = probe_of(server.dsn(), *series, (LATENCY, (("queryid", "-7"),)))
            assert all(isinstance(sample, Silence) for sample in (await look(probe)).values())
            for seconds in (0.02, 0.02, 0.02, 0.3):
                application.execute(f"select pg_sleep({seconds})".encode())
            for _ in range(40):
                application.execute("select 1")
            found = await look(probe)
            await probe.close()
            return found

        found = asyncio.run(main())
    sample = {metric: found[slow.format(metric.partition(".")[2], query_id)] for metric in (LATENCY, P95, CALLS)}
    assert all(isinstance(each, Reading) for each in sample.values()), sample
    mean, p95 = sample[LATENCY], sample[P95]
    assert isinstance(mean, Reading)
    assert isinstance(p95, Reading)
    assert mean.detail.startswith("4 statements in ")
    assert 0.09 <= mean.value < 0.5
    assert mean.value < p95.value < 3.88 * mean.value
    assert p95.detail.startswith("estimated from mean ")
    assert "4 statements in " in p95.detail
    assert "; certainly at most " in p95.detail
    every = found[LATENCY]
    assert isinstance(every, Reading)
    assert every.value < mean.value / 4
    absent = found[gone]
    assert isinstance(absent, Silence)
    assert absent.why == "no entry of pg_stat_statements for this database has the query id -7"


def test_an_extension_that_is_not_preloaded_says_so(make_cluster: MakeCluster) -> None:
    server = make_cluster(0, settings={"shared_preload_libraries": ""}).primary
    server.execute("create extension pg_stat_statements schema public")

    async def main() -> None:
        probe = probe_of(server.dsn())
        assert "shared_preload_libraries" in why(await look(probe))
        await probe.close()

    asyncio.run(main())
