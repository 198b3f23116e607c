"""postgres_exporter as Debian packages it, with its default collectors, on loopback: what the guard is held against.

It measures nothing, and where the program is not installed there is no figure in its place.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
from psycopg.conninfo import conninfo_to_dict

from benchmarks.rig import Rig
from guard.demo.child import Child
from guard.demo.waiting import wait_for

PROGRAM = "prometheus-postgres-exporter"
ROLE = "scraper"


@dataclass(frozen=True, slots=True)
class Exporter:
    """One that runs and has been asked once, so that it is connected."""

    url: str

    def scrape(self) -> int:
        """Have it read the database; how many lines of figures it answers."""
        answer = httpx.get(self.url, timeout=30, trust_env=False)
        answer.raise_for_status()
        if "\npg_up 1" not in answer.text:
            raise RuntimeError("postgres_exporter does not reach the database")
        return sum(not line.startswith("#") for line in answer.text.splitlines())


@contextlib.contextmanager
def running(rig: Rig) -> Iterator[Exporter | None]:
    """The exporter on the rig's database, in the role `scraper`; None where it is not installed."""
    program = shutil.which(PROGRAM)
    if program is None:
        yield None
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    known = conninfo_to_dict(rig.dsn(ROLE))
    child = Child(
        [program, f"--web.listen-address=127.0.0.1:{port}"],
        output=rig.directory / "exporter.log",
        environment={
            "DATA_SOURCE_URI": f"127.0.0.1:{rig.primary.port}/{known['dbname']}?sslmode=disable",
            "DATA_SOURCE_USER": ROLE,
            "DATA_SOURCE_PASS": str(known["password"]),
        },
    )
    try:
        exporter = Exporter(f"http://127.0.0.1:{port}/metrics")
        wait_for(exporter.scrape, within=20, message=child.tail, ignoring=(httpx.HTTPError, RuntimeError))
        yield exporter
    finally:
        child.stop()
