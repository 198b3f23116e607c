"""A small machine with a real systemd as its first process: this one's files, read through, and nothing written back.

It is booted in about a second by systemd-nspawn, shares the network of this machine (so that the servers of the tests
are on its loopback too), and knows nothing of the guard.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import wait_for

PROGRAMS = ("systemd-nspawn", "systemctl", "unshare", "nsenter", "mount")
_BOOT = """\
mount --bind / "$1"
shift
exec systemd-nspawn --directory="$ROOT" --volatile=overlay --register=no --keep-unit --console=pipe "$@" \
    --boot systemd.unit=basic.target systemd.mask=apt-daily.timer systemd.mask=apt-daily-upgrade.timer
"""


class Machine:
    """One that runs; *leader* is the id, seen from outside, of its first process."""

    def __init__(self, leader: int) -> None:
        self._enter = ["nsenter", "--target", str(leader), "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--"]

    def run(self, *command: str, given: str | None = None, check: bool = True) -> str:
        """What a command says, run as root in there. Raises CalledProcessError, with what it says as its note."""
        done = subprocess.run(
            [*self._enter, *command], input=given, capture_output=True, text=True, timeout=60, check=False
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return (done.stdout + done.stderr).strip()

    def code(self, *command: str) -> int:
        """The exit code of a command."""
        return subprocess.run([*self._enter, *command], capture_output=True, timeout=60, check=False).returncode

    def write(self, path: str, text: str, mode: str = "644") -> None:
        """Make a file in there, and the directories above it."""
        self.run("install", "-D", "-m", mode, "/dev/stdin", path, given=text)

    def shown(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "--property", name, "--value", "--", unit)

    def wait_shown(self, unit: str, within: float = 10.0, **wanted: str) -> None:
        """Wait until properties of a unit hold these words."""
        wait_for(
            lambda: all(words in self.shown(unit, name) for name, words in wanted.items()),
            within=within,
            every=0.1,
            message=lambda: f"{unit} with {wanted}: {self.journal(unit)[-3000:]}",
        )

    def journal(self, unit: str) -> str:
        """What a unit has logged, and what systemd has logged of it."""
        return self.run("journalctl", "--no-pager", "--output=cat", f"--unit={unit}", check=False)


@contextmanager
def booted(binds: Mapping[Path, str]) -> Iterator[Machine]:
    """Boot one, with directories of this machine (read-only) at places of that one, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="machine-") as root, tempfile.TemporaryFile() as said:
        options = [f"--bind-ro={here}:{there}" for here, there in binds.items()]
        options.append(f"--machine=guard-test-{os.getpid()}")
        process = subprocess.Popen(
            [
                shutil.which("unshare") or "unshare",
                "--mount",
                "--propagation=private",
                "sh",
                "-ec",
                _BOOT,
                "sh",
                root,
                *options,
            ],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "ROOT": root},
        )
        try:
            leader = wait_for(lambda: _child(process), within=20, message=lambda: f"init; {_text(said)}")
            assert leader is not None
            machine = Machine(leader)
            up = {"running", "degraded"}
            wait_for(
                lambda: machine.run("systemctl", "is-system-running", check=False) in up,
                within=30,
                every=0.1,
                message=lambda: f"the machine to be up; {_text(said)}",
            )
            yield machine
        finally:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            process.kill()
            process.wait()


def missing_programs() -> list[str]:
    """What has to be installed before one can be booted."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


def _child(process: subprocess.Popen[bytes]) -> int | None:
    assert process.poll() is None, "systemd-nspawn has ended"
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for child in children:
        if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
            return int(child)
    return None


def _text(file: object) -> str:
    file.seek(0)  # type: ignore[attr-defined]
    return bytes(file.read()).decode(errors="replace")[-2000:]  # type: ignore[attr-defined]
