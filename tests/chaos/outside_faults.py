"""The faults of what is round the database: sources of metrics, Slack, and people with orders."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.acceptance.house import FRESH_FOR
from tests.chaos.faults import BREACH, SILENT, Scene, broken, fault
from tests.chaos.place import NAME
from tests.fix_http import answer
from tests.slack_server import HANG, RESET, Answer, limited
from tests.waiting import wait_for

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
    yield from broken(scene.place.metric_line, cut=True)


@fault("metric: hangs", (4.0, 7.0), stops=SILENT, alone=True)
def _metric_hangs(scene: Scene) -> Iterator[None]:
    yield from broken(scene.place.metric_line, cut=False)


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
