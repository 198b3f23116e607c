"""A run of the real daemon, played again from its flight recorder: also after a kill, and while it is written."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.house import House
from tests.command import command
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance


def replayed(house: House, config: Path, *more: str) -> dict[str, Any]:
    """What `replay --json` says of the newest run."""
    ended = command("replay", "backfill", "-c", str(config), "--json", *more)
    assert ended.code == 0, ended.said
    answer = json.loads(ended.out)
    assert isinstance(answer, dict)
    return answer


def phases(course: dict[str, Any]) -> list[str]:
    return [turn["phase"] for turn in course["turns"]]


def other(house: House, pause: str) -> Path:
    """The configuration with another limit."""
    path = house.directory / "other.toml"
    path.touch(mode=0o600)
    path.write_text(house.file.read_text().replace('pause   = "> 5"', f'pause   = "{pause}"'))
    return path


def test_a_recorded_run_is_decided_again_as_it_was_and_otherwise_by_other_limits(house: House) -> None:
    guard = house.serve()
    migration = house.wait_migrating()
    house.load(4)
    time.sleep(0.5)  # a stretch that only a tighter limit minds
    house.load(0)
    time.sleep(0.8)
    house.load(9)
    house.wait_event("paused")
    house.load(0)
    house.wait_event("resumed")
    told = [(kind, because) for kind, _, because in house.events() if kind in {"started", "paused", "resumed"}]

    # What has been decided is there at once, while the daemon goes on.
    wait_for(lambda: replayed(house, house.file)["recorded"]["pauses"] == 1, within=5)
    guard.kill()
    migration.close()
    same = replayed(house, house.file)
    assert (same["same_configuration"], same["configurations"], same["differs"]) == (True, 1, "")
    assert same["missing_seconds"] == 0
    assert same["recorded"] == same["replayed"]
    assert phases(same["recorded"]) == ["waiting", "running", "paused", "running"]
    assert [turn["because"] for turn in same["recorded"]["turns"][1:]] == [because for _, because in told]

    copied = house.directory / "copied.sqlite"
    for suffix in ("", "-wal"):
        Path(f"{copied}{suffix}").write_bytes((house.directory / f"state/recorder.sqlite{suffix}").read_bytes())
    tighter = replayed(house, other(house, "> 3"), "--journal", str(copied))
    assert not tighter["same_configuration"]
    assert (tighter["recorded"]["pauses"], tighter["replayed"]["pauses"]) == (1, 2)
    assert tighter["replayed"]["paused_seconds"] > tighter["recorded"]["paused_seconds"]

    looser = command("replay", "-c", str(other(house, "> 50")))
    assert "would have: paused never." in looser.out
    assert "Recorded: paused once, " in looser.out
    assert command("replay", "nobody", "-c", str(house.file)).code == 3


def test_a_tape_that_is_not_there_and_a_database_that_is_not_on_it_are_named(house: House) -> None:
    house.write()
    nothing = command("replay", "-c", str(house.file))
    assert (nothing.code, "nothing has been recorded there" in nothing.err) == (3, True)
