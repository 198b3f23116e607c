"""The guard as a service on a machine with systemd: its files, and what systemd says of it.

It configures and reads; it asserts nothing.
"""

from __future__ import annotations

import itertools

from tests.acceptance.house import LEASE, House
from tests.systemd.machine import Machine
from tests.waiting import wait_for

UNIT = "migration-guard.service"
ROLLBACK = "migration-guard-rollback.service"
FAILED = "migration-guard-failed@*"
ETC = "/etc/migration-guard"
HOME = "/opt/migration-guard"
_numbers = itertools.count()


class Service:
    """One database under a daemon that systemd runs. *name* is that of an instance; "" for the one without a name."""

    def __init__(self, machine: Machine, house: House, name: str = "") -> None:
        self.machine = machine
        self.house = house
        self.unit = f"migration-guard@{name}.service" if name else UNIT
        self.file = f"{ETC}/{name or 'config'}.toml"
        self.rollback = ""
        """Lines of [rollback], or of another section that has to stand before the rules."""
        self._credentials = f"{ETC}/{name}." if name else f"{ETC}/"
        self._drop_in = f"/run/systemd/system/{self.unit}.d/test.conf"
        self._identity = f"systemd-{next(_numbers)}"
        self._idle = "500ms"

    def configure(self, *, watchdog: str = "30s", idle: str = "500ms", more: str = "") -> None:
        """Write the file, the credentials and a drop-in that names the password's, with *more* lines of [Service]."""
        machine, house = self.machine, self.house
        self._idle = idle
        machine.write(f"{self._credentials}slack-webhook", house.slack.url, "600")
        machine.write(f"{self._credentials}db-password", house.database.server.password, "600")
        credential = f"LoadCredential=db-password:{self._credentials}db-password"
        machine.write(self._drop_in, f"[Service]\n{credential}\n{more}WatchdogSec={watchdog}\n")
        machine.write(self.file, self.text())
        machine.run("systemctl", "daemon-reload")

    def text(self) -> str:
        """The configuration file; there is no secret in it."""
        house = self.house
        dsn = house.dsn or house.database.dsn("guard_login")
        address = " ".join(part for part in dsn.split() if not part.startswith("password="))
        return f"""
[guard]
id = "{self._identity}"
poll_interval = "100ms"
idle_interval = "{self._idle}"
probe_deadline = "800ms"
lease = "{LEASE:g}s"
[database.main]
dsn = "{address}"
password_file = "/run/credentials/{self.unit}/db-password"
standbys = []
[migrations]
roles = ["migrator"]
{self.rollback}
{house.rules.format(url=house.endpoint.url)}
"""

    def start(self) -> None:
        """Start it: systemctl returns when the daemon has said that it is ready."""
        self.machine.run("systemctl", "start", self.unit)

    @property
    def status(self) -> str:
        """What `systemctl status` shows of the daemon's own words."""
        return self.machine.shown(self.unit, "StatusText")

    def wait_status(self, words: str, within: float = 10.0) -> str:
        """Wait until the status holds these words; it."""
        return wait_for(
            lambda: status if words in (status := self.status) else "",
            within=within,
            every=0.1,
            message=lambda: f"{words!r} in the status {self.status!r}\n{self.log()[-3000:]}",
        )

    def wait_restarted(self, count: int, within: float = 20.0) -> None:
        """Wait until systemd has started it again so many times, and it is ready."""
        self.machine.wait_shown(self.unit, within, NRestarts=str(count), ActiveState="active")

    def send(self, signal: str) -> None:
        """Send a signal to the daemon."""
        self.machine.run("kill", f"-{signal}", self.machine.shown(self.unit, "MainPID"))

    def log(self) -> str:
        """What it has logged, with what systemd says of it."""
        return self.machine.journal(self.unit)

    def wait_log(self, words: str, within: float = 10.0) -> None:
        """Wait until it has logged these words."""
        wait_for(
            lambda: words in self.log(), within=within, every=0.1, message=lambda: f"{words!r} in {self.log()[-3000:]}"
        )

    def told(self) -> str:
        """All that Slack was sent, in one text."""
        return "\n".join(str(request.payload) for request in self.house.slack.requests)

    def close(self) -> None:
        """Stop it, and forget all that it leaves behind."""
        machine = self.machine
        machine.run("systemctl", "stop", "migration-guard-rollback.path", check=False)
        machine.run("systemctl", "stop", self.unit, check=False)
        # These need not end well any more; the daemon does, or its death would be told to the next test.
        machine.run("systemctl", "kill", "--signal=KILL", "--kill-whom=all", FAILED, ROLLBACK, check=False)
        machine.run("systemctl", "stop", FAILED, ROLLBACK, check=False)
        machine.run("systemctl", "reset-failed", check=False)
        machine.run("sh", "-c", f"rm -rf /var/lib/private/migration-guard* {ETC}/* {self._drop_in}")
        machine.run("systemctl", "daemon-reload")
