"""Fixtures: one machine with systemd for the whole session, and on it a guarded database for each test."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import house, roles, slack
from tests.acceptance.house import House
from tests.systemd.machine import Machine, booted, missing_programs
from tests.systemd.service import HOME, Service

__all__ = ["house", "roles", "slack"]
ROOT = Path(__file__).parents[2]
PYTHON = Path(sys.executable).resolve()


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """A machine with systemd and our units on it, installed as the administrator would."""
    if os.geteuid() != 0:
        pytest.skip("only root can boot a machine")
    if missing := missing_programs():
        words = f"not on PATH: {', '.join(missing)}; Debian: apt-get install systemd-container"
        if os.environ.get("CI") == "true":
            pytest.fail(words)
        pytest.skip(words)
    if hidden := next((place for place in ("/root", "/home") if PYTHON.is_relative_to(place)), None):
        words = f"{PYTHON} lies below {hidden}, which is hidden from the units: make .venv with the system's Python"
        if os.environ.get("CI") == "true":
            pytest.fail(words)
        pytest.skip(words)
    with booted({ROOT: HOME}) as machine:
        # Where the README links it: so that the units are tested as they are shipped.
        command = f'#!/bin/sh\nPYTHONPATH={HOME} exec {HOME}/.venv/bin/python -m guard "$@"\n'
        machine.write("/usr/local/bin/migration-guard", command, "755")
        for unit in (ROOT / "systemd").iterdir():
            machine.write(f"/etc/systemd/system/{unit.name}", unit.read_text())
        machine.run("systemctl", "daemon-reload")
        yield machine


@pytest.fixture
def service(machine: Machine, house: House) -> Iterator[Service]:
    """The daemon as a service, guarding the house's database; it is not started yet."""
    service = Service(machine, house)
    yield service
    service.close()


@pytest.fixture
def node() -> str:
    """The path of node, which needs more of a sandbox than a shell does; a shell where there is no node."""
    return shutil.which("node") or "/bin/sh"
