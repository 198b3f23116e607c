"""Programs that some tests need: missing, they skip the test on a laptop and fail it in CI."""

import os
import shutil

import pytest


def tool(name: str) -> str:
    """The whole path of the program *name*."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")
    return path
