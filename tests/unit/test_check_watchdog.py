"""check tells of intervals that are too long for the watchdog of the shipped unit."""

from pathlib import Path

import pytest

from guard.check.machine import check_machine
from guard.check.remarks import Grade
from guard.settings import load


@pytest.mark.parametrize(
    ("idle", "deadline", "told"),
    [("10s", "2s", False), ("14.9s", "2s", False), ("15s", "2s", True), ("10s", "6.9s", False), ("10s", "7s", True)],
)
def test_two_rounds_at_rest_or_before_a_silent_server_have_to_be_below_it(
    tmp_path: Path, idle: str, deadline: str, told: bool
) -> None:
    file = tmp_path / "guard.toml"
    file.write_text(
        f'[guard]\nidle_interval = "{idle}"\nprobe_deadline = "{deadline}"\nstate_directory = "{tmp_path}"\n'
        '[database.main]\ndsn = "dbname=x"\nstandbys = []\n'
    )
    said = [remark for remark in check_machine(load(file)) if remark.place == "systemd"]
    assert [remark.grade for remark in said] == ([Grade.WARNING] if told else [])
    assert all("WatchdogSec=30s" in remark.what and "systemctl edit" in remark.todo for remark in said)
