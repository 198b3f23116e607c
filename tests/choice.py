"""Which PostgreSQL the tests run against."""

import os
from pathlib import Path

import pytest

from guard.demo.binaries import ENVIRONMENT
from guard.demo.embedded import Binaries, NoServerBinaries, find_binaries
from tests.versions import unpacked

CHOICE = pytest.StashKey[Binaries | str]()


def choose_binaries(wanted: str | None) -> Binaries | str:
    """The programs that --postgres names (a directory or a major version), or why there are none.

    A directory is put into the environment, so that processes started by a test use the same.
    """
    try:
        if wanted is None:
            return find_binaries()
        chosen = (unpacked(int(wanted)) or find_binaries(int(wanted))) if wanted.isdigit() else None
    except NoServerBinaries as error:
        if wanted is not None:
            raise pytest.UsageError(str(error)) from error
        return str(error)
    os.environ[ENVIRONMENT] = str(chosen.bin_dir) if chosen else str(Path(wanted).absolute())
    try:
        return chosen or find_binaries()
    except NoServerBinaries as error:
        raise pytest.UsageError(str(error)) from error
