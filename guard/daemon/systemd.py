"""What systemd is told: ready, alive, reloading, stopping, and a line for `systemctl status`. Silent without it."""

from __future__ import annotations

import os
import re
import socket

_UNSEEN = re.compile(r"[\x00-\x1f\x7f]+")
_LONGEST = 1000
"""Characters of a value; the datagram has to fit, and `systemctl status` is one line."""


def tell(**words: str) -> None:
    """Send one datagram such as READY=1 to the socket that systemd named; a failure is of no account."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    # A leading @ stands for the abstract namespace.
    target = "\0" + address[1:] if address.startswith("@") else address
    # A line feed in a migration's name would begin a message of its own.
    message = "\n".join(f"{key}={_UNSEEN.sub(' ', value)[:_LONGEST]}" for key, value in words.items())
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as channel:
            channel.sendto(message.encode(errors="replace"), target)
    except OSError:
        pass
