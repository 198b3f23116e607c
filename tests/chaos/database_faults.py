"""The faults of the database: servers, standbys, backends, privileges, locks.

They enter themselves into tests.chaos.faults.FAULTS.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import psycopg

from guard.demo.embedded import Server
from tests.chaos.faults import BREACH, LOST, Scene, fault
from tests.waiting import wait_for

MISSING = 0.5 + BREACH
"""A standby's row is gone: `no_data = "pause for 500ms"`, then as a breach."""
MUTE = 5.0 + 0.5 + BREACH
"""A standby says nothing while there is WAL to reply to: that is believed for 5 s."""
LAGS = 2.0 + 1.0 + BREACH
"""`> 2s`, and the second from one beat's WAL to the next."""

RELEASED = 0.5 + BREACH + 1.0
"""`waited = "500ms"`, a poll, the look before the cancel; and the migration's own batch may be in the queue before."""


# -- standbys ----------------------------------------------------------------------------------------------------------


def _standby(scene: Scene) -> Server:
    return scene.dice.choice(scene.world.cluster.standbys)


@fault("standby killed", (3.0, 7.0), stops=MISSING)
def _standby_killed(scene: Scene) -> Iterator[None]:
    standby = _standby(scene)
    standby.kill()
    try:
        yield
    finally:
        standby.start()


@fault("standby stopped", (3.0, 7.0), stops=MISSING)
def _standby_stopped(scene: Scene) -> Iterator[None]:
    standby = _standby(scene)
    standby.stop()
    try:
        yield
    finally:
        standby.start()


@fault("walreceiver frozen", (7.5, 9.0), stops=MUTE)
def _walreceiver_frozen(scene: Scene) -> Iterator[None]:
    standby = _standby(scene)
    with standby.frozen(standby.walreceiver_pid()):
        yield


@fault("replay paused", (5.0, 8.0), stops=LAGS)
def _replay_paused(scene: Scene) -> Iterator[None]:
    standby = _standby(scene)
    standby.pause_replay()
    try:
        yield
    finally:
        standby.resume_replay()


# -- the primary -------------------------------------------------------------------------------------------------------


@fault("primary restarted, immediate", (1.0, 1.5), breaks=True, mute=True)
def _primary_restarted(scene: Scene) -> Iterator[None]:
    scene.world.crashes.append(time.time())
    scene.world.primary.restart("immediate")
    yield


@fault("backend killed", (1.0, 1.5), breaks=True, mute=True)
def _backend_killed(scene: Scene) -> Iterator[None]:
    # The server then ends every other session and recovers, as after a crash.
    with scene.world.primary.connect() as victim:
        scene.world.crashes.append(time.time())
        os.kill(victim.info.backend_pid, signal.SIGKILL)
    wait_for(lambda: scene.world.primary.execute("select 1"), within=30, ignoring=(psycopg.Error,))
    yield


@fault("session of the guard terminated", (1.0, 2.0), alone=True)
def _session_terminated(scene: Scene) -> Iterator[None]:
    purpose = scene.dice.choice(("signal", "roster", "replication", "locks", "gate", "cancel", "listen"))
    scene.place.database.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s and application_name = %s",
        [scene.place.name, f"migration_guard/{purpose}"],
    )
    yield


@fault("pg_monitor revoked", (3.0, 6.0), stops=MISSING)
def _revoked(scene: Scene) -> Iterator[None]:
    scene.world.primary.execute("revoke pg_monitor from migration_guard_guard")
    try:
        yield
    finally:
        scene.world.primary.execute("grant pg_monitor to migration_guard_guard")


# -- rows and locks ----------------------------------------------------------------------------------------------------


@fault("lease deleted", (1.0, 2.0), alone=True)
def _lease_deleted(scene: Scene) -> Iterator[None]:
    scene.place.database.execute("delete from migration_guard.lease")
    yield


@fault("lease locked by a stuck transaction", (5.0, 8.0), stops=LOST, alone=True, mute=True)
def _lease_locked(scene: Scene) -> Iterator[None]:
    with scene.place.database.connect(application_name="stuck") as stuck, stuck.transaction():
        stuck.execute("select from migration_guard.lease for update")
        yield


@fault("lock pile-up behind an ALTER TABLE", (4.0, 7.0), alone=True, cancels=True, worst=RELEASED)
def _pile_up(scene: Scene) -> Iterator[None]:
    database = scene.place.database
    altering = threading.Event()

    def alter() -> None:
        # As a deployment does it: again until it works, or until somebody says that it is enough.
        while not altering.wait(0.5):
            try:
                with database.connect("migrator", application_name="ddl") as ddl:
                    ddl.execute("alter table t add column if not exists later int")
                    return
            except psycopg.Error:
                altering.wait(2.0)

    with database.connect("app", application_name="report") as report, report.transaction():
        report.execute("select count(*) from t where id < 10")
        thread = threading.Thread(target=alter, daemon=True)
        thread.start()
        try:
            yield
        finally:
            altering.set()
    thread.join(10)
