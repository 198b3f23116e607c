"""The faults of guard, migration, lines, metrics and Slack: each begins, lasts, and is healed by its own end.

A fault is a context manager over a scene. It says what it may do to others and by when migrations must stand still; it
checks nothing. Those of the database itself are in tests.chaos.database_faults.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TypedDict, Unpack

from guard.demo.proxy import Proxy
from tests.acceptance.house import FRESH_FOR
from tests.chaos.place import NAME, Place
from tests.chaos.world import LEASE, POLL, World
from tests.fix_http import answer
from tests.slack_server import HANG, RESET, Answer, limited
from tests.waiting import wait_for


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a fault happens."""

    world: World
    place: Place
    """For faults of one database."""
    index: int
    """Of the place."""
    dice: random.Random
    length: float


Act = Callable[[Scene], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """What can happen, and what follows from it. Times in seconds."""

    act: Act
    lengths: tuple[float, float]
    stops: float | None = None
    """No batch begins later than this after it; None: it need not stop anybody."""
    alone: bool = False
    """It concerns the scene's place only: the other goes on as if nothing were."""
    breaks: bool = False
    """The application itself may see errors."""
    cancels: bool = False
    """A migration's statement may be cancelled."""
    mute: bool = False
    """The guard may be unable to write what it decides, so that some notices stand in no audit trail."""
    worst: float | None = None
    """No request of the application takes longer."""
    flows: bool = False
    """Nobody may be held up by it."""

    def within(self, other: Fault) -> Fault:
        """Both at once: what either may do is allowed, and nothing is asked for that only one alone must keep."""
        breaks, cancels, mute = self.breaks or other.breaks, self.cancels or other.cancels, self.mute or other.mute
        return Fault(other.act, other.lengths, breaks=breaks, cancels=cancels, mute=mute)


BREACH = POLL + FRESH_FOR + 0.3
"""Seen at the next poll, judged and written at once, believed for `fresh_for`; and a moment for the web server."""
SILENT = 1.0 + 0.5 + 0.5 + BREACH
"""The probe's deadline and its overrun, `no_data = "pause for 500ms"`, then as a breach."""
STOPPED = FRESH_FOR + 1.5
"""The last word of a guard that is told to stop is one write, which has 1.5 s."""
LOST = LEASE + FRESH_FOR
FAULTS: dict[str, Fault] = {}


class Follows(TypedDict, total=False):
    """The fields of Fault that have a default."""

    stops: float | None
    alone: bool
    breaks: bool
    cancels: bool
    mute: bool
    worst: float | None
    flows: bool


def fault(
    name: str, lengths: tuple[float, float], **more: Unpack[Follows]
) -> Callable[[Callable[[Scene], Iterator[None]]], Act]:
    """Enter a generator function into FAULTS."""

    def enter(body: Callable[[Scene], Iterator[None]]) -> Act:
        act = contextmanager(body)
        FAULTS[name] = Fault(act, lengths, **more)
        return act

    return enter


_GROUPS = {
    "server": ("primary", "backend"),
    "rows": ("lease", "lock", "operator", "pg_monitor"),
    "source": ("metric", "Slack", "reload of a stricter"),
    "guard": ("guard", "reload of a wrong", "session", "line of the guard"),
    "migration": ("migration", "line of the migration"),
    "standby": ("standby", "walreceiver", "replay"),
}


def together(name: str, other: str) -> bool:
    """Whether one can happen within the other: not two of a thing, nor a crash within what holds a session open."""
    groups = {_group(name), _group(other)}
    return len(groups) == 2 and groups != {"server", "rows"} and not any("override" in each for each in (name, other))


def _group(name: str) -> str:
    return next(group for group, beginnings in _GROUPS.items() if name.startswith(beginnings))


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


def _line(line: Proxy, *, cut: bool) -> Iterator[None]:
    if cut:
        line.cut()
    else:
        line.freeze()
    try:
        yield
    finally:
        line.heal()


@fault("line of the guard frozen", (5.0, 9.0), stops=LOST, alone=True, mute=True)
def _guard_line_frozen(scene: Scene) -> Iterator[None]:
    yield from _line(scene.place.guard_line, cut=False)


@fault("line of the guard cut", (1.0, 7.0), stops=LOST, alone=True, mute=True)
def _guard_line_cut(scene: Scene) -> Iterator[None]:
    yield from _line(scene.place.guard_line, cut=True)


@fault("line of the migration frozen", (2.0, 7.0), alone=True)
def _work_line_frozen(scene: Scene) -> Iterator[None]:
    yield from _line(scene.place.work_line, cut=False)


@fault("line of the migration cut", (1.0, 4.0), alone=True)
def _work_line_cut(scene: Scene) -> Iterator[None]:
    yield from _line(scene.place.work_line, cut=True)


# -- metrics -----------------------------------------------------------------------------------------------------------


@fault("metric: breach", (3.0, 7.0), stops=BREACH, alone=True)
def _breach(scene: Scene) -> Iterator[None]:
    scene.place.load(9)
    try:
        yield
    finally:
        scene.place.load(0)


@fault("metric: down", (4.0, 7.0), stops=SILENT, alone=True)
def _metric_down(scene: Scene) -> Iterator[None]:
    yield from _line(scene.place.metric_line, cut=True)


@fault("metric: hangs", (4.0, 7.0), stops=SILENT, alone=True)
def _metric_hangs(scene: Scene) -> Iterator[None]:
    yield from _line(scene.place.metric_line, cut=False)


@fault("metric: garbage", (4.0, 7.0), stops=SILENT, alone=True)
def _metric_garbage(scene: Scene) -> Iterator[None]:
    bodies = (b"<html>", b'{"v": NaN}', b'{"v": "0"}', b'{"w": 0}', b"[" * 100_000, b"9" * 5000, b"")
    scene.place.endpoint.reply = answer(scene.dice.choice(bodies), status=scene.dice.choice((200, 200, 503)))
    try:
        yield
    finally:
        scene.place.load(0)


@fault("metric: slow", (4.0, 7.0), stops=SILENT, alone=True)
def _metric_slow(scene: Scene) -> Iterator[None]:
    endpoint = scene.place.endpoint
    endpoint.reply = scene.dice.choice((endpoint.drip, endpoint.drip_head))
    try:
        yield
    finally:
        scene.place.load(0)


# -- Slack: there is something to tell meanwhile, and no decision may wait for it --------------------------------------


def _slack(scene: Scene, says: Answer) -> Iterator[None]:
    scene.world.slack.script.extend([says] * 10_000)
    scene.place.load(9)
    try:
        yield
    finally:
        scene.place.load(0)
        scene.world.slack.script.clear()


@fault("Slack: 429", (3.0, 7.0), stops=BREACH, alone=True)
def _slack_limits(scene: Scene) -> Iterator[None]:
    yield from _slack(scene, limited(scene.dice.choice(("2", "1", None, "soon"))))


@fault("Slack: 500", (3.0, 7.0), stops=BREACH, alone=True)
def _slack_fails(scene: Scene) -> Iterator[None]:
    yield from _slack(scene, Answer(500, "internal_error"))


@fault("Slack: hangs", (3.0, 7.0), stops=BREACH, alone=True)
def _slack_hangs(scene: Scene) -> Iterator[None]:
    yield from _slack(scene, HANG)


@fault("Slack: resets", (3.0, 7.0), stops=BREACH, alone=True)
def _slack_resets(scene: Scene) -> Iterator[None]:
    yield from _slack(scene, RESET)


# -- people ------------------------------------------------------------------------------------------------------------


@fault("operator: pause", (2.0, 6.0), stops=FRESH_FOR, alone=True)
def _operator_pauses(scene: Scene) -> Iterator[None]:
    with scene.place.database.connect("ana") as ana:
        ana.execute("select migration_guard.order_pause(%s, 'ana', 'chaos')", [NAME])
    try:
        yield
    finally:
        with scene.place.database.connect("ana") as ana:
            ana.execute("select migration_guard.withdraw(%s, 'pause', 'ana')", [NAME])


def _goes_on(scene: Scene, since: float) -> None:
    wait_for(
        lambda: any(at > since for at in scene.place.read()), within=BREACH + 3, message="a batch under the override"
    )


@fault("operator: override with expiry, in a breach", (5.0, 9.0), alone=True)
def _operator_overrides(scene: Scene) -> Iterator[None]:
    scene.place.load(9)
    order = "select migration_guard.order_override(%s, 'ana', 'chaos', now() + make_interval(secs => %s))"
    with scene.place.database.connect("ana") as ana:
        ana.execute(order, [NAME, scene.length / 2])
    try:
        _goes_on(scene, time.time() + BREACH)
        yield
    finally:
        scene.place.load(0)
