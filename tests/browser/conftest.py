"""Fixtures of the browser tests: Debian's Chromium, and pages in it that notice what a page of ours must never do."""

from __future__ import annotations

import contextlib
import importlib.resources
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.acceptance.conftest import house, roles, slack
from tests.tools import tool

if TYPE_CHECKING:  # 165 MB, in an extra of its own
    from playwright.sync_api import Browser, Page

__all__ = ["house", "roles", "slack"]

PHONE = (390, 844)
"""Pixels of a telephone held upright."""


@dataclass
class Looking:
    """Opens pages; each context is of one colour scheme, one size, with or without scripts."""

    browser: Browser
    shots: Path | None
    complaints: list[str] = field(default_factory=list)
    """What the pages have said that they must not: errors in the console, scripts that failed, refused content."""
    asked: list[str] = field(default_factory=list)
    """Every address that was asked for."""

    def open(self, url: str, **more: Any) -> Page:
        """A page in a context of its own. *more* as new_context() takes it."""
        context = self.browser.new_context(viewport={"width": 1200, "height": 800}, **more)
        context.set_default_timeout(20_000)
        page = context.new_page()
        page.on("console", lambda said: self._hear(said.type, said.text))
        page.on("pageerror", lambda error: self._hear("error", str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(url)
        return page

    def _hear(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.complaints.append(f"{kind}: {text}")

    def shoot(self, page: Page, name: str) -> None:
        """Keep a picture of the whole page, where somebody wants to look at it (--shots)."""
        if self.shots is not None:
            self.shots.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=self.shots / f"{name}.png", full_page=True)

    def findings(self, page: Page) -> list[str]:
        """What axe finds serious or critical for people who do not see, or see little."""
        if not page.evaluate("'axe' in window"):
            page.evaluate(_axe())
        found = page.evaluate("async () => (await axe.run()).violations")
        grave = [each for each in found if each["impact"] in {"serious", "critical"}]
        return [f"{each['id']}: {[node['html'] for node in each['nodes']][:3]}" for each in grave]

    def within(self, page: Page) -> bool:
        """Whether nothing has to be scrolled to from side to side but what has a region of its own for that."""
        return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


@pytest.fixture
def look(request: pytest.FixtureRequest) -> Iterator[Looking]:
    """A browser. Without Chromium or playwright the test is skipped, and fails in CI."""
    chromium = tool("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        words = "playwright is not installed: pip install 'migration-guard[browser]'"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(words)
    wanted = request.config.getoption("--shots")
    with sync_playwright() as player:
        # Its sandbox asks for more than a container grants; what it is shown is our own.
        browser = player.chromium.launch(executable_path=chromium, args=["--disable-dev-shm-usage", "--disable-gpu"])
        with contextlib.closing(browser):
            yield Looking(browser, Path(wanted) if wanted else None)


@pytest.fixture
def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _axe() -> str:
    return (importlib.resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
