"""The pages and where they are: routes, and what each asks for. It listens nowhere and decides nothing."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from importlib.resources import files
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from guard.errors import WorldError
from guard.model import Phase
from guard.show import coursepage, overview, probing, runpage, words
from guard.show.aside import Aside, Busy
from guard.show.elements import Now
from guard.show.figures import STYLE
from guard.show.fresh import Fresh
from guard.show.gate import Gate
from guard.show.layout import Box, Sheet, page
from guard.show.overview import UNREGISTERED, Glance, heading_of, part_of
from guard.show.past import Archive, Recent
from guard.show.sight import Sight
from guard.show.stream import Endpoint, Streams
from guard.show.timeline import Present, up_to

COURSES = 10
"""Of so many runs what was drawn last is kept."""
_READING = "<p>The flight recorder is being read.</p>"
RECENT_FOR = 30.0
"""Seconds for which a list of the runs of late is good, unless a run begins or ends."""
COURSE_FOR = 5.0
"""Seconds for which a drawing is good: the recorder itself writes each ten, or when something was decided."""
ENDED = 2.0
"""Seconds: whoever asks for a run that is not in the list is told of a list no older than that."""
_ASSETS = {"/page.css": "text/css", "/page.js": "text/javascript", "/icon.svg": "image/svg+xml"}


@dataclass
class Desk:
    """What all requests share."""

    sight: Sight
    tape: Path
    boot: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    """Of this process: a page that another one has made is loaded anew."""

    def __post_init__(self) -> None:
        self.aside, self._shelf = Aside(), Aside()
        self._archive = Archive(self.tape)
        self.streams = Streams(self.sight.changed, self.boot)
        self._recent = Fresh(self._read_recent, Recent(None, "it is being read"), good_for=RECENT_FOR)
        self._open: frozenset[tuple[str, int | None]] = frozenset()
        self._courses: dict[tuple[str, int | None], Fresh[str]] = {}

    def close(self) -> None:
        """End every stream; at once."""
        self.streams.close()
        self._recent.close()
        for course in self._courses.values():
            course.close()
        for thread in (self.aside, self._shelf):
            thread.close()

    async def recent(self, *, newer_than: float = float("inf")) -> Recent:
        """The runs of late that are over."""
        looked = self.sight.look()
        here = frozenset((each.database, run.get("run_id")) for each in looked for run in each.report.get("runs", ()))
        if here != self._open:
            self._open = here
            self._recent.expire()
        return await self._recent.get(newer_than=newer_than)

    async def _read_recent(self) -> Recent:
        databases = [each.database for each in self.sight.look()]
        try:
            return Recent(await self._shelf.do(partial(self._archive.recent, databases, self._open)))
        except WorldError as error:
            return Recent(None, str(error))

    async def glance(self, *, live: bool) -> Mapping[str, str]:
        """The parts of the first page."""
        recent = await self.recent()
        seen = Glance(self.sight.look(), self.sight.channels(), recent)
        return await self.aside.do(partial(overview.parts, seen, Now(time.time(), live)))

    async def run(self, database: str, run_id: int | None) -> runpage.RunSeen | None:
        """What is known of a run; None where there is no such database, or nothing is."""
        looked = self.sight.look()
        seen = next((each for each in looked if each.database == database), None)
        if seen is None:
            return None
        found = runpage.RunSeen(database, run_id, seen, len(looked) > 1)
        if found.reported is not None:
            return found
        over = await self.recent()
        past = over.find(database, run_id) or (await self.recent(newer_than=ENDED)).find(database, run_id)
        return runpage.RunSeen(database, run_id, seen, len(looked) > 1, past) if past else None

    async def run_parts(self, database: str, run_id: int | None, *, live: bool) -> Mapping[str, str]:
        """The parts of the page of a run."""
        found = await self.run(database, run_id)
        if found is None:
            return {}
        parts = dict(await self.aside.do(partial(runpage.parts, found, Now(time.time(), live))))
        return parts | {"course": await self.course(database, run_id)}

    async def course(self, database: str, run_id: int | None) -> str:
        """Its course, which is drawn anew seldom: the recorder is read for it, and it may be long."""
        key = (database, run_id)
        if key not in self._courses:
            while len(self._courses) >= COURSES:
                self._courses.pop(next(iter(self._courses))).close()
            self._courses[key] = Fresh(partial(self._read_course, *key), _READING, good_for=COURSE_FOR)
        return await self._courses[key].get()

    async def _read_course(self, database: str, run_id: int | None) -> str:
        present = self._present(database, run_id)

        def draw() -> str:
            course = self._archive.course(database, run_id)
            if course.timeline is not None and present is not None:
                course = replace(course, timeline=up_to(course.timeline, present))
            return coursepage.part(course, run_id)

        return await self._shelf.do(draw)

    def _present(self, database: str, run_id: int | None) -> Present | None:
        """How it stands by the guard's memory; None once it is let go of, or nobody judges it any more."""
        for seen in self.sight.look():
            run = runpage.RunSeen(database, run_id, seen, several=False).reported
            blind = seen.ended_because or words.not_judged(seen)
            if seen.database == database and run is not None and run.get("phase") != Phase.DONE and not blind:
                since = float(run.get("since") or time.time())
                return Present(time.time(), str(run.get("phase")), since, str(run.get("because", "")))
        return None


def create(sight: Sight, tape: Path, *, names: Iterable[str], token: str | None = None) -> tuple[ASGIApp, Desk]:
    """The application, and what has to be closed before its server is.

    `tape`: the flight recorder's file; `names`: of which one must stand in `Host`; `token`: without one everybody may
    look who can connect.
    """
    desk = Desk(sight, tape)
    routes = [
        Route("/", partial(_first, desk)),
        Route("/run/{database}/{run}", partial(_run, desk)),
        Route("/events", Endpoint(partial(_first_stream, desk))),
        Route("/events/{database}/{run}", Endpoint(partial(_run_stream, desk))),
        *(Route(path, _asset) for path in _ASSETS),
        *probing.routes(sight, desk.aside),
    ]
    app = Starlette(routes=routes, exception_handlers={404: _missing, Busy: _busy})
    return Gate(app, names=names, token=token), desk


async def _first(desk: Desk, _: Request) -> Response:
    parts = await desk.glance(live=False)
    boxes = [Box("summary", spoken=True), Box("troubles")]
    boxes += [Box(part_of(each.database), labelled_by=heading_of(each.database)) for each in desk.sight.look()]
    boxes.append(Box("recent", "Recent runs"))
    return HTMLResponse(page(Sheet("Migrations", boxes, "/events", desk.boot, time.time(), home=True), parts))


async def _run(desk: Desk, request: Request) -> Response:
    database, run_id = _named(request.path_params)
    found = None if run_id == 0 else await desk.run(database, run_id)
    if found is None:
        return await _missing(request, WorldError())
    parts = await desk.run_parts(database, run_id, live=False)
    boxes = [Box("state", "State"), Box("rules", "Rules"), Box("course", "Course")]
    stream = "/events" + request.url.path.removeprefix("/run")
    return HTMLResponse(page(Sheet(found.title, boxes, stream, desk.boot, time.time()), parts))


async def _first_stream(desk: Desk, scope: Scope, receive: Receive, send: Send) -> None:
    if await _turned_away(desk, scope, receive, send):
        return
    await desk.streams.serve("/", partial(desk.glance, live=True), receive, send)


async def _run_stream(desk: Desk, scope: Scope, receive: Receive, send: Send) -> None:
    database, run_id = _named(scope["path_params"])
    if run_id == 0 or await desk.run(database, run_id) is None:
        await _plain(404, "There is no such run.")(scope, receive, send)
        return
    if await _turned_away(desk, scope, receive, send):
        return
    draw = partial(desk.run_parts, database, run_id, live=True)
    await desk.streams.serve(f"{database}/{run_id}", draw, receive, send)


async def _turned_away(desk: Desk, scope: Scope, receive: Receive, send: Send) -> bool:
    if scope["method"] == "HEAD":
        await _plain(200, "")(scope, receive, send)
        return True
    if desk.streams.full:
        await _plain(503, "Too many follow it already; the page itself is there.")(scope, receive, send)
        return True
    return False


def _named(given: Mapping[str, str]) -> tuple[str, int | None]:
    """Database and run of an address; run 0, which there is none of, where it names no run."""
    run = given["run"]
    if run == UNREGISTERED:
        return given["database"], None
    known = run.isascii() and run.isdigit() and len(run) < 19
    return given["database"], int(run) if known else 0


async def _asset(request: Request) -> Response:
    path = request.url.path
    return Response(_content(path), media_type=_ASSETS[path])


@cache
def _content(path: str) -> bytes:
    content = files("guard.show").joinpath("static", path.removeprefix("/")).read_bytes()
    return STYLE.encode() + content if path.endswith(".css") else content


async def _missing(_: Request, __: Exception) -> Response:
    return _plain(404, "There is nothing here.")


async def _busy(_: Request, __: Exception) -> Response:
    return _plain(503, "Too many ask at once; try again in a moment.")


def _plain(status: int, words: str) -> PlainTextResponse:
    return PlainTextResponse(words + "\n", status)
