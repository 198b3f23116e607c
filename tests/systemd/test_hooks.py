"""Rollback hooks under a real systemd: in the daemon's own unit and in theirs, while the daemon is restarted."""

import json
import time

import pytest

from tests.fix_matrix import Took
from tests.systemd.service import ETC, ROLLBACK, Service
from tests.waiting import wait_for

pytestmark = [pytest.mark.systemd, pytest.mark.root]

ERRORS = """
[[rule]]
name     = "errors"
http     = "{url}"
json     = "v"
pause    = "> 1%"
rollback = "> 5% for 300ms"
resume   = "< 1% for 300ms"
"""
NODE = """#!{node}
const fs = require("fs"), os = require("os");
const runs = process.env.STATE_DIRECTORY + "/runs";
fs.appendFileSync(runs, process.env.MIGRATION_GUARD_MIGRATION + "\\n");
const compiled = new Function("a", "return a * 2");
let sum = 0;
for (let i = 0; i < 1e6; i++) sum += compiled(i);
const waiting = setInterval(() => {{
  if (!fs.existsSync(process.env.STATE_DIRECTORY + "/go")) return;
  clearInterval(waiting);
  fs.appendFileSync(runs, "end\\n");
  console.log(JSON.stringify({{sum, keys: Object.keys(process.env).sort()}}));
}}, 20);
"""
SHELL = """#!/bin/sh
echo "$MIGRATION_GUARD_MIGRATION" >> "$STATE_DIRECTORY/runs"
while [ ! -e "$STATE_DIRECTORY/go" ]; do sleep 0.05; done
echo end >> "$STATE_DIRECTORY/runs"
echo '{{"sum": 999999000000, "keys": []}}'
"""


class Rollback:
    """A service whose migration is rolled back by a hook that waits for its word."""

    def __init__(self, service: Service, node: str, runner: str) -> None:
        self.service, self.machine, self.house = service, service.machine, service.house
        script = (NODE if node.endswith("node") else SHELL).format(node=node)
        service.machine.write(f"{ETC}/rollback", script, "755")
        service.rollback = (
            f'[rollback]\ncommand = ["{ETC}/rollback"]\nrunner = "{runner}"\ntimeout = "20s"\n'
            'environment = ["STATE_DIRECTORY"]\n'
        )
        self.house.rules = ERRORS
        service.configure()
        service.start()

    def provoke(self) -> None:
        """Let errors begin with a migration, and wait until its hook runs."""
        self.house.wait_migrating()
        self.house.wait_event("applied")
        self.house.load(0.08)
        wait_for(lambda: self.runs() == ["backfill"], within=20, message=lambda: f"the hook: {self.service.log()}")

    def let_go(self) -> None:
        """Let the hook come to its end."""
        self.machine.run("touch", "/var/lib/private/migration-guard/go")

    def runs(self) -> list[str]:
        """What the hook has written down."""
        return self.machine.run("sh", "-c", "cat /var/lib/private/migration-guard/runs 2>/dev/null; true").splitlines()

    def wait_rolled_back(self) -> dict[str, object]:
        """Wait until it is told as rolled back; what the hook has printed."""
        self.house.wait_event("rolled_back", within=20)
        output = self.machine.run("cat", "/var/lib/private/migration-guard/rollback-main/" + self._result())
        return dict(json.loads(json.loads(output)["output"]))

    def _result(self) -> str:
        names = self.machine.run("ls", "/var/lib/private/migration-guard/rollback-main").split()
        return next(name for name in names if name.endswith(".result"))


@pytest.mark.fault(55, 56)
@pytest.mark.parametrize("runner", ["daemon", "unit"])
def test_a_hook_of_node_runs_in_the_sandbox_and_outlives_a_restart_of_the_daemon(
    service: Service, node: str, runner: str, took: Took
) -> None:
    machine = service.machine
    if runner == "unit":
        machine.run("systemctl", "start", "migration-guard-rollback.path")
    rollback = Rollback(service, node, runner)
    rollback.provoke()
    began = time.time()
    if runner == "unit":
        assert machine.shown(ROLLBACK, "ActiveState") == "active"
    machine.run("systemctl", "restart", service.unit)
    took(time.time() - began)
    assert rollback.runs() == ["backfill"]
    rollback.let_go()
    said = rollback.wait_rolled_back()
    assert said["sum"] == 999999000000
    assert rollback.runs() == ["backfill", "end"]
    assert {key for key in list(said["keys"]) if not str(key).startswith("MIGRATION_GUARD_")} <= {  # type: ignore[call-overload]
        "PATH",
        "STATE_DIRECTORY",
    }
    rollback.house.assert_all_told()
    if runner == "unit":
        machine.wait_shown(ROLLBACK, ActiveState="inactive", Result="success")
        assert machine.shown("migration-guard-rollback.path", "ActiveState") == "active"
