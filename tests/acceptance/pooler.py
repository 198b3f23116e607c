"""PgBouncer as a process, in front of one server."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from guard.demo.server import Server, free_port
from tests.waiting import wait_for


@contextlib.contextmanager
def pgbouncer(program: str, server: Server, directory: Path, mode: str) -> Iterator[int]:
    """PgBouncer in *mode* before a server, its files in a *directory* that everybody may enter; its port."""
    port = free_port()
    users, config = directory / "users.txt", directory / "pgbouncer.ini"
    users.write_text("".join(f'"{user}" "{server.password}"\n' for user in ("guard_login", "migrator")))
    config.write_text(
        f"[databases]\n* = host=127.0.0.1 port={server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nunix_socket_dir =\nauth_type = plain\nauth_file = {users}\npool_mode = {mode}\n"
        "ignore_startup_parameters = extra_float_digits,options\n"
    )
    account = "nobody" if os.geteuid() == 0 else None
    process = subprocess.Popen(
        [program, "-q", str(config)], user=account, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with wait_for(lambda: socket.create_connection(("127.0.0.1", port), 1), ignoring=(OSError,)):
            pass
        yield port
    finally:
        process.kill()
        process.wait(10)
