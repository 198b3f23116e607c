"""Programs that some tests need: missing, they skip the test on a laptop and fail it in CI."""

import os
import shutil
from pathlib import Path

import pytest


def tool(name: str) -> str:
    """The whole path of the program *name*."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")
    return path


def another_time(offset: float | Path) -> dict[str, str]:
    """An environment whose wall clock is wrong by so many seconds, or by what a file says, which may change (`+2h`)."""
    tool("faketime")
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        pytest.skip("libfaketime is not where Debian puts it")
    told = {"FAKETIME_TIMESTAMP_FILE": str(offset)} if isinstance(offset, Path) else {"FAKETIME": f"{offset:+g}s"}
    return {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        **told,
    }
