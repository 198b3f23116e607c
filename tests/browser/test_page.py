"""The status page in a real browser, beside the real daemon: seen, read aloud, reached by keys, on a telephone."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.acceptance.house import House
from tests.browser.conftest import PHONE, Looking
from tests.command import command

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.acceptance]

WITHIN = 1.0
"""Seconds in which an event is to be seen."""
BUSY = 4.0
"""Seconds that a busy machine may add."""
ERRORS = """
[[rule]]
name     = "errors"
http     = "{url}"
json     = "v"
pause    = "> 1%"
rollback = "> 5% for 300ms"
resume   = "< 1% for 300ms"
"""
OURS = "article.run:not([data-run$=unregistered])"
"""Before it has registered, a migration is an unregistered one for a moment."""
EVIL = "<b onmouseover=alert(1)>x</b><script>document.title='stolen'</script>"


@pytest.fixture
def address(house: House, free_port: int, tmp_path: Path) -> str:
    """Of the page of a daemon that is started later, which can roll back."""
    script = tmp_path / "rollback"
    script.write_text("#!/bin/sh\necho undone\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    house.more = f'[rollback]\ncommand = ["{script}"]\n[page]\nlisten = "127.0.0.1:{free_port}"\n'
    house.rules = ERRORS
    return f"http://127.0.0.1:{free_port}"


def follows(house: House, page: Page, phase: str, kind: str, count: int = 1) -> float:
    """Wait until an event is there and the page shows the phase that it led to; seconds between the two."""
    page.wait_for_selector(f"{OURS}[data-phase='{phase}'], #state [data-phase='{phase}']")
    seen = time.time()
    return max(0.0, seen - house.wait_event(kind, count)[1])


def test_a_page_follows_a_run_through_pause_resume_and_rollback_and_can_be_read_by_everybody(
    house: House, address: str, look: Looking, record_property: Callable[[str, object], None]
) -> None:
    daemon = house.serve()
    daemon.wait_says("the status page is at")
    page = look.open(address)
    page.wait_for_selector("#link[data-link=live]")
    migrating = house.migrate()
    took = {"started": follows(house, page, "running", "started")}
    house.wait_event("applied")
    look.shoot(page, "running")
    house.load(0.03)
    took["paused"] = follows(house, page, "paused", "paused")
    article = page.locator(OURS)
    assert "errors (http) 3 % > 1%" in article.inner_text()
    assert "migration-guard override backfill" in article.inner_text()
    look.shoot(page, "paused")
    pages_read_well(look, address)
    house.load(0)
    took["resumed"] = follows(house, page, "running", "resumed")
    article.locator("h3 a").click()
    page.wait_for_selector("#link[data-link=live]")
    house.load(0.08)
    took["rolled back"] = follows(house, page, "aborted", "rolled_back")
    assert "rolled back" in page.locator("main").inner_text()
    look.shoot(page, "rolled-back")
    assert migrating.wait(10) == 4
    report_opens_anywhere(house, look)
    print({what: round(seconds, 3) for what, seconds in took.items()})
    record_property("seen after", took)
    assert max(took.values()) < WITHIN + BUSY
    assert look.complaints == []
    asked = {url.split("/")[2] for url in look.asked if not url.startswith("file:")}
    assert asked == {address.removeprefix("http://")}
    daemon.kill()
    page.wait_for_selector("#link[data-link=lost]")
    assert "this is how it was" in page.locator("#link").inner_text()
    house.serve()
    page.wait_for_selector("#link[data-link=live]")
    page.wait_for_selector("[data-phase='aborted']")


def report_opens_anywhere(house: House, look: Looking) -> None:
    """The report of the run, from disk and without a network: nothing is missing, nothing complains."""
    file = house.directory / "report.html"
    ended = command("report", "backfill", "-c", str(house.file), "--html", str(file))
    assert ended.code == 0, ended.said
    before = len(look.asked)
    page = look.open(file.as_uri(), offline=True)
    assert "rolled back" in page.locator("body").inner_text()
    assert page.locator("svg").count() > 0
    reads_well(look, page, "report")
    page.context.close()
    assert look.asked[before:] == [file.as_uri()]


def pages_read_well(look: Looking, address: str) -> None:
    """The first page and that of a run."""
    page = look.open(address, bypass_csp=True)
    page.wait_for_selector("#link[data-link=live]")
    reads_well(look, page, "overview")
    page.locator(f"{OURS} h3 a").click()
    page.wait_for_selector("#course svg", state="attached")
    reads_well(look, page, "run")
    page.context.close()


def reads_well(look: Looking, page: Page, name: str) -> None:
    """In light, and in dark on a telephone: nothing that axe finds grave, nothing beside the screen."""
    for scheme, (width, height) in (("light", (1200, 800)), ("dark", PHONE)):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.set_viewport_size({"width": width, "height": height})
        look.shoot(page, f"{name}-{scheme}-{width}")
        assert look.findings(page) == [], (name, scheme)
        assert look.within(page), (name, width)


@pytest.mark.fault(66)
def test_without_scripts_it_is_a_page_that_refreshes_and_every_link_is_reached_by_keys(
    house: House, address: str, look: Looking
) -> None:
    house.serve().wait_says("the status page is at")
    house.wait_migrating(name=EVIL)
    page = look.open(address, java_script_enabled=False)
    assert page.locator("noscript meta[http-equiv=refresh]").count() + page.locator("meta[http-equiv=refresh]").count()
    article = page.locator(OURS)
    article.wait_for()
    assert EVIL in article.inner_text()
    assert page.title() != "stolen"
    assert page.locator("article b").count() == 0
    page.close()
    page = look.open(address)
    page.wait_for_selector("#link[data-link=live]")
    page.wait_for_selector(OURS)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    reached = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.add(str(page.evaluate("document.activeElement.href || ''")))
    assert any("/run/main/" in each for each in reached)
    page.locator(f"{OURS} h3 a").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/run/main/*")
    page.wait_for_selector("#link[data-link=live]")
    assert EVIL in page.locator("h1").inner_text()
    assert page.locator("main b, main script").count() == 0
    assert look.complaints == []
    for name in ("evil.example", "127.0.0.1.evil.example"):
        assert httpx.get(address, headers={"Host": name}, trust_env=False).status_code == 421
