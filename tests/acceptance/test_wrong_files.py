"""Files that are no configuration, through the real command: exit 2, one line each, nothing waited for."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.acceptance.house import House
from tests.command import Ended, command

pytestmark = pytest.mark.acceptance

WELL = '[database.main]\ndsn = "host=127.0.0.1 port=9"\nstandbys = []\n'
KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda _: None, "1: file: cannot be read"),
    "folder": (Path.mkdir, "1: file: must be a regular file"),
    "fifo": (os.mkfifo, "1: file: must be a regular file"),
    "endless": (lambda path: path.symlink_to("/dev/zero"), "1: file: must be a regular file"),
    "huge": (lambda path: path.write_bytes(b"#" * 10_000_000), "1: file: is larger than 256 kB"),
    "latin": (lambda path: path.write_bytes(WELL.encode() + "# ß".encode("latin-1")), "4: file: must be UTF-8"),
    "bom and crlf": (
        lambda path: path.write_bytes(b"\xef\xbb\xbf" + f"{WELL}[guard]\nlease = 5\n".replace("\n", "\r\n").encode()),
        "5: guard.lease: must be a duration",
    ),
}


@pytest.mark.fault(69)
def test_each_kind_of_wrong_file_exits_2_with_file_line_and_key(tmp_path: Path) -> None:
    files = {kind: tmp_path / kind.replace(" ", "-") for kind in KINDS}
    for kind, (make, _) in KINDS.items():
        make(files[kind])

    def ask(kind: str) -> Ended:
        # serve must not begin either, and each takes the same way to the file.
        return command("serve" if kind in {"fifo", "endless"} else "check", "-c", str(files[kind]), within=60)

    with ThreadPoolExecutor(2) as pool:
        ended = dict(zip(KINDS, pool.map(ask, KINDS), strict=True))
    for kind, (_, words) in KINDS.items():
        assert ended[kind].code == 2, (kind, ended[kind].said)
        lines = ended[kind].err.splitlines()
        assert lines[0].startswith(f"{files[kind]}:{words}"), (kind, lines)
        assert all(line.startswith(f"{files[kind]}:") for line in lines), (kind, lines)


@pytest.mark.fault(63)
def test_secrets_that_other_accounts_can_read_are_warned_of_by_check_and_in_the_log(house: House) -> None:
    house.directory.chmod(0o755)
    daemon = house.serve()
    assert "chmod 600" not in daemon.text()
    daemon.close()
    (house.directory / "webhook").chmod(0o640)
    house.file.chmod(0o604)
    said = command("check", "-c", str(house.file)).out
    daemon = house.serve()
    for words in (
        f"slack.webhook_url_file: {house.directory}/webhook has mode 0640, so other accounts can get at the secret",
        f"database.main.dsn: holds a password, and {house.file} has mode 0604",
    ):
        assert words in said
        daemon.wait_says(words)
