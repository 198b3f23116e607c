"""What the DDL gate costs the DDL of others: with it and without it, on one connection of a role that it does not hold.

The statements run in a loop in the server, so that neither the line nor a commit is a part of it. Blocks are
interleaved, since a busy machine slows both alike.
"""

from __future__ import annotations

import contextlib
import statistics
import time

from benchmarks.rig import Connection, Rig
from benchmarks.table import Bar, Row
from guard.act.ddl_gate import OFF, DdlGate, install_gate, remove_gate

_OFTEN = 500
_DDL = b"""
do $$ begin
    for i in 1..500 loop
        execute 'comment on table pg_temp.mine is null';
    end loop;
end $$
"""


def measure(rig: Rig, blocks: int) -> list[Row]:
    """The microseconds that a cheap DDL statement of somebody else takes longer."""
    install_gate(rig.dsn("postgres"), DdlGate(("migrator",), ("migration:*",)))
    try:
        with contextlib.closing(rig.connect("app")) as app, contextlib.closing(rig.connect("postgres")) as admin:
            app.execute("create temp table mine (id int)")
            pairs = [_pair(app, admin) for _ in range(blocks)]
    finally:
        remove_gate(rig.dsn("postgres"))
    free = statistics.median(each for _, each in pairs)
    return [
        Row(
            "a DDL statement of others: longer by, with the DDL gate",
            tuple(gated - free for gated, free in pairs),
            "µs",
            Bar(20, "median"),
            f"COMMENT ON, which takes {free:.1f} µs without it",
        )
    ]


def _pair(app: Connection, admin: Connection) -> tuple[float, float]:
    """Microseconds a statement, with the gate and with it switched off."""
    admin.execute(OFF.replace("disable", "enable").encode())
    gated = _block(app)
    admin.execute(OFF.encode())
    return gated, _block(app)


def _block(app: Connection) -> float:
    """Of a few loops the fastest: whatever made the others slower was not the gate."""
    samples = []
    for _ in range(3):
        began = time.perf_counter()
        app.execute(_DDL)
        samples.append(time.perf_counter() - began)
    return 1e6 * min(samples) / _OFTEN
