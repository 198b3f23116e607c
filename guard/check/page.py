"""The status page: whether it could listen, and who might look."""

from __future__ import annotations

import contextlib

import httpx

from guard.check.remarks import Remark, fine, problem
from guard.errors import WorldError
from guard.settings import Settings
from guard.show.gate import SERVER
from guard.show.page import Wish, look_up, place_of
from guard.show.serving import context, listening_at
from guard.wiring import wish_of

_WITHIN = 3.0
"""Seconds for an answer of whoever has the place already."""


async def check_page(settings: Settings) -> list[Remark]:
    """What would keep [page] from being seen; the daemon starts all the same, and tries again now and then."""
    wish = wish_of(settings)
    if wish is None:
        return []
    try:
        look_up(wish)
        tls = None if wish.tls is None else context(*wish.tls)
    except WorldError as wrong:
        return [problem("page", str(wrong), "until then nobody can look, and the guard goes on without it")]
    place, who = place_of(wish), _who(wish)
    try:
        line = listening_at(place)
    except WorldError as wrong:
        if await _ours(wish, https=tls is not None):
            return [fine("page", f"a daemon shows it at {place.words} already, to {who}")]
        return [problem("page", str(wrong), "give another [page] listen, or stop who has it")]
    line.close()
    if place.path is not None:
        with contextlib.suppress(OSError):
            place.path.unlink()
    return [fine("page", f"can be shown at {place.words}, to {who}")]


def _who(wish: Wish) -> str:
    if wish.token is not None:
        return "whoever has the token"
    return "every account of this machine" if wish.path is None else "its user and group"


async def _ours(wish: Wish, *, https: bool) -> bool:
    """Whether the place is taken by a daemon of ours: by how it answers, whatever it answers."""
    transport = httpx.AsyncHTTPTransport(uds=str(wish.path) if wish.path else None, verify=False)
    host = "localhost" if wish.path else {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(wish.host, wish.host)  # noqa: S104
    name = f"[{host}]" if ":" in host else host
    url = f"{'https' if https else 'http'}://{name}:{wish.port or 80}/healthz"
    try:
        async with httpx.AsyncClient(transport=transport, timeout=_WITHIN, trust_env=False) as client:
            answer = await client.get(url)
    except (httpx.HTTPError, httpx.InvalidURL):
        return False
    return bool(answer.headers.get("server") == SERVER)
