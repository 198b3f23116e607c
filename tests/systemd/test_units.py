"""The units as files: systemd takes each without a word, and finds the daemon's hardened."""

import re
import subprocess
from pathlib import Path

import pytest

from guard.settings import WATCHDOG
from tests.tools import tool

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNITS = sorted(SYSTEMD.iterdir())


def named(unit: str) -> str:
    """Its name; of a template that of an instance, which it is as it will be used."""
    instance = "migration-guard.service" if "failed" in unit else "shop"
    return unit.replace("@.", f"@{instance}.")


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """Copies of all units, whose command is there wherever the program is installed; templates as instances."""
    for unit in UNITS:
        text = re.sub(r"(?m)^(Exec\w+)=migration-guard\b", r"\1=/bin/true", unit.read_text())
        (tmp_path / unit.name).write_text(text)
        (tmp_path / named(unit.name)).write_text(text)
    return tmp_path


@pytest.mark.parametrize("unit", [unit.name for unit in UNITS])
def test_systemd_accepts_each_unit_without_a_word(unit: str, copies: Path) -> None:
    verified = subprocess.run(
        [tool("systemd-analyze"), "verify", "--man=no", copies / named(unit)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    # An unknown key is only a line on stderr; the exit code stays 0.
    assert (verified.returncode, verified.stderr) == (0, "")


@pytest.mark.parametrize(
    ("unit", "most"),
    [
        ("migration-guard.service", 15),
        ("migration-guard@.service", 15),
        ("migration-guard-failed@.service", 15),
        # The hook's sandbox is the administrator's to open or close; this is how far we close it.
        ("migration-guard-rollback.service", 22),
        ("migration-guard-rollback@.service", 22),
    ],
)
def test_the_units_are_hardened(unit: str, most: int, copies: Path) -> None:
    said = subprocess.run(
        [tool("systemd-analyze"), "security", "--offline=true", f"--threshold={most}", copies / named(unit)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stdout[-300:]


def test_what_the_program_knows_of_its_units_is_so() -> None:
    for unit in ("migration-guard.service", "migration-guard@.service"):
        assert f"\nWatchdogSec={WATCHDOG:g}s\n" in (SYSTEMD / unit).read_text()


def test_a_template_differs_from_its_unit_in_names_alone() -> None:
    for name in ("migration-guard{}.service", "migration-guard-rollback{}.service", "migration-guard-rollback{}.path"):
        one, many = (
            [line for line in (SYSTEMD / name.format(at)).read_text().splitlines() if line and not line.startswith("#")]
            for at in ("", "@")
        )
        made = [
            line.replace("/etc/migration-guard/config.toml", "/etc/migration-guard/%i.toml")
            .replace("=slack-webhook:/etc/migration-guard/slack", "=%i.slack-webhook:/etc/migration-guard/%i.slack")
            .replace("Description=migration-guard:", "Description=migration-guard (%i):")
            for line in one
        ]
        made = [re.sub(r"^((?:User|StateDirectory)=.*)", r"\1-%i", line) for line in made]
        assert [re.sub(r"(/var/lib/(?:private/)?migration-guard)/", r"\1-%i/", line) for line in made] == many
