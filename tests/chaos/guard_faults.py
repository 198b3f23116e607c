"""The faults of the daemon, its file, the migration, and the lines of both to the primary."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

from tests.chaos.faults import BREACH, LOST, STOPPED, Scene, broken, fault

# -- the guard ---------------------------------------------------------------------------------------------------------


@fault("guard killed, there again after 1 s", (1.0, 1.5), mute=True)
def _guard_killed(scene: Scene) -> Iterator[None]:
    scene.world.guard.send(signal.SIGKILL)
    yield


@fault("guard killed, away for long", (6.0, 9.0), stops=LOST, mute=True)
def _guard_away(scene: Scene) -> Iterator[None]:
    scene.world.guard.send(signal.SIGKILL, away=scene.length)
    yield


@fault("guard frozen", (1.0, 8.0), stops=LOST)
def _guard_frozen(scene: Scene) -> Iterator[None]:
    scene.world.guard.send(signal.SIGSTOP)
    try:
        yield
    finally:
        scene.world.guard.send(signal.SIGCONT)


@fault("guard stopped and started", (3.0, 6.0), stops=STOPPED)
def _guard_stopped(scene: Scene) -> Iterator[None]:
    scene.world.guard.send(signal.SIGTERM, away=scene.length)
    yield


@fault("reload of a wrong file", (1.0, 3.0), flows=True)
def _wrong_file(scene: Scene) -> Iterator[None]:
    file = scene.world.file
    right = file.read_text()
    wrong = scene.dice.choice((right + "\nnonsense = 1\n", right.replace("> 5", "> nan"), right[: len(right) // 2], ""))
    file.write_text(wrong)
    scene.world.guard.send(signal.SIGHUP)
    try:
        yield
    finally:
        file.write_text(right)
        scene.world.guard.send(signal.SIGHUP)


@fault("reload of a stricter file", (3.0, 6.0), stops=BREACH + 1.0)
def _strict_file(scene: Scene) -> Iterator[None]:
    # A reload exchanges the probes, which connect anew.
    for place in scene.world.places:
        place.load(4)
    scene.world.configure(limit=3)
    scene.world.guard.send(signal.SIGHUP)
    try:
        yield
    finally:
        scene.world.configure()
        scene.world.guard.send(signal.SIGHUP)
        for place in scene.world.places:
            place.load(0)


# -- the migration -----------------------------------------------------------------------------------------------------


@fault("migration killed", (1.0, 2.0), alone=True)
def _migration_killed(scene: Scene) -> Iterator[None]:
    scene.world.migrations[scene.index].send(signal.SIGKILL)
    yield


@fault("migration frozen", (2.0, 8.0), alone=True)
def _migration_frozen(scene: Scene) -> Iterator[None]:
    scene.world.migrations[scene.index].send(signal.SIGSTOP)
    try:
        yield
    finally:
        scene.world.migrations[scene.index].send(signal.SIGCONT)
        scene.place.thawed.append(time.time())


# -- lines -------------------------------------------------------------------------------------------------------------


@fault("line of the guard frozen", (5.0, 9.0), stops=LOST, alone=True, mute=True)
def _guard_line_frozen(scene: Scene) -> Iterator[None]:
    yield from broken(scene.place.guard_line, cut=False)


@fault("line of the guard cut", (1.0, 7.0), stops=LOST, alone=True, mute=True)
def _guard_line_cut(scene: Scene) -> Iterator[None]:
    yield from broken(scene.place.guard_line, cut=True)


@fault("line of the migration frozen", (2.0, 7.0), alone=True)
def _work_line_frozen(scene: Scene) -> Iterator[None]:
    yield from broken(scene.place.work_line, cut=False)


@fault("line of the migration cut", (1.0, 4.0), alone=True)
def _work_line_cut(scene: Scene) -> Iterator[None]:
    yield from broken(scene.place.work_line, cut=True)
