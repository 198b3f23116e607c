"""What machines ask for: `/metrics`, `/healthz` and `/check/NAME`. Everything comes from memory, nothing is changed.

catalogue.py every metric and its meaning     collect.py  fills them     paper.py  docs/metrics.md
check.py     whether a migration may go on    health.py   whether the guards are alive
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from guard.show.probing.check import check, why
from guard.show.probing.collect import Snapshot, render
from guard.show.probing.health import healthz
from guard.show.sight import Seen, Sight

T = TypeVar("T")


class Aside(Protocol):
    """Where long texts are made, so that the loop goes on meanwhile."""

    async def do(self, work: Callable[[], T]) -> T:
        """What *work* returns."""


def routes(sight: Sight, aside: Aside) -> list[Route]:
    """The three of them."""

    async def metrics(request: Request) -> Response:
        snapshot = Snapshot(sight.look(), sight.channels(), time.time())
        accept = request.headers.get("accept", "")
        body, kind = await aside.do(lambda: render(snapshot, accept))
        return Response(body, headers={"content-type": kind})

    async def health(_: Request) -> Response:
        well, lines = healthz(sight.look())
        return PlainTextResponse(lines, 200 if well else 503)

    async def may_go_on(request: Request) -> Response:
        return _checked(sight.look(), request)

    return [
        Route("/metrics", metrics),
        Route("/healthz", health),
        # A path: names of migrations may hold a slash.
        Route("/check/{migration:path}", may_go_on),
    ]


def _checked(seen: tuple[Seen, ...], request: Request) -> Response:
    wall, migration = time.time(), request.path_params["migration"]
    database = request.query_params.get("database")
    asked = tuple(each for each in seen if database in {None, each.database})
    answer = check(asked, migration, wall)
    lines = [answer.line(migration)]
    if "why" in request.query_params:
        limits = {each.database: each.report.get("limits", {}) for each in seen}
        lines += why(answer, limits.get(answer.database, {}), wall)
    return PlainTextResponse("\n".join(lines) + "\n", answer.code)
