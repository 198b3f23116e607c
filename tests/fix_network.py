"""Fixture: a network of the test's own, in which packets can be dropped as a dead router does. Needs root.

The thread of the test moves into a new network namespace, and with it all that it starts from then on: servers,
processes, threads. The rest of the machine is not touched, and when the last of them has ended the network is gone.
"""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools import tool

_NEW_NETWORK = 0x40000000
"""CLONE_NEWNET; os.unshare() is of a later Python than ours."""


class Network:
    """Loopback alone; every address of 127.0.0.0/8 is there, so a server may have one that can be cut off."""

    def drop(self, address: str) -> None:
        """Drop all packets to and from *address*; no connection is told."""
        for way in ("-s", "-d"):
            self._iptables("-A", "INPUT", way, address, "-j", "DROP")

    def heal(self) -> None:
        """Let all packets through again."""
        self._iptables("-F", "INPUT")

    def _iptables(self, *rule: str) -> None:
        _run(tool("iptables"), *rule)


@pytest.fixture
def own_network() -> Iterator[Network]:
    """Name it before every fixture that listens or connects."""
    if os.geteuid() != 0:
        pytest.skip("only root can have a network of its own")
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open() as before:
        if libc.unshare(_NEW_NETWORK) != 0:
            pytest.skip(f"no network of its own can be had here: {os.strerror(ctypes.get_errno())}")
        _run(tool("ip"), "link", "set", "lo", "up")
        yield Network()
        assert libc.setns(before.fileno(), _NEW_NETWORK) == 0


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
