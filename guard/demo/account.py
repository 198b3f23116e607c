"""As whom the servers run, and the directories that this account can reach.

PostgreSQL refuses to run as root, so root starts it as ``nobody``; everybody else as themselves.
This file does not know what is run.
"""

import os
import pwd
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Account:
    """The user and group of the server processes; *drops* tells that we are root and must step down."""

    uid: int
    gid: int
    drops: bool

    @property
    def popen(self) -> dict[str, Any]:
        """What subprocess.Popen needs to run a program as this account."""
        if not self.drops:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def reaches(self, path: Path) -> bool:
        """Whether this account may enter each directory down to *path* and read there."""
        if not self.drops:
            return os.access(path, os.R_OK | os.X_OK)
        return all(self._may_enter(step) for step in (path, *path.parents))

    def _may_enter(self, path: Path) -> bool:
        status = path.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & 0o100)
        if status.st_gid == self.gid:
            return bool(status.st_mode & 0o010)
        return bool(status.st_mode & 0o001)

    def own(self, path: Path) -> None:
        """Hand *path* (not what is below it) to this account."""
        if self.drops:
            os.chown(path, self.uid, self.gid)


def account() -> Account:
    """The account to run servers as: ourselves, or ``nobody`` when we are root."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), drops=False)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return Account(65534, 65534, drops=True)  # the number that Linux reserves for nobody
    return Account(nobody.pw_uid, nobody.pw_gid, drops=True)


def new_directory(who: Account, prefix: str) -> Path:
    """A new private directory (0700) that *who* owns and can reach."""
    base = Path(tempfile.gettempdir()).resolve()
    if not who.reaches(base):  # a TMPDIR below /root
        base = Path("/tmp")  # noqa: S108 - mkdtemp makes an unguessable 0700 directory there
    path = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
    who.own(path)
    return path


def reachable_prefix(prefix: Path, who: Account) -> tuple[Path, Path | None]:
    """*prefix* itself where *who* reaches it, else a copy in a directory to be deleted afterwards.

    Needed by root with a virtual environment below a 0700 folder such as /root. It is copied for each run
    (41 MB, 0.2 s) and not cached: a cache shared between runs would have to be distrusted before each use,
    and would stay behind.

    Returns the prefix to use, and the directory to delete or None.
    """
    if who.reaches(prefix) and who.reaches(prefix / "bin"):
        return prefix, None
    parent = Path(tempfile.mkdtemp(prefix="migration-guard-pg-", dir=_shared_tmp(who)))
    parent.chmod(0o755)
    # The programs look for the wheel's libraries at $ORIGIN/../../../NAME.libs: keep the two side by side.
    copy = parent / prefix.parent.name / prefix.name
    shutil.copytree(prefix, copy, symlinks=True, ignore=shutil.ignore_patterns("include"))
    libraries = prefix.parent.with_name(prefix.parent.name + ".libs")
    if libraries.is_dir():
        shutil.copytree(libraries, parent / libraries.name, symlinks=True)
    for directory, _, _ in os.walk(parent):
        Path(directory).chmod(0o755)
        who.own(Path(directory))  # so that the account can delete it when we are no longer there to do it
    return copy, parent


def _shared_tmp(who: Account) -> Path:
    base = Path(tempfile.gettempdir()).resolve()
    return base if who.reaches(base) else Path("/tmp")  # noqa: S108 - as above


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """*environment* without what would steer PostgreSQL behind our back (PG*, LC_*, LANG)."""
    kept = {k: v for k, v in environment.items() if not k.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}
