"""Whether a rollback hook could be run at all, and by nobody's else design: looked at, never executed."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

_BINARY = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")


def problems_of_command(command: Sequence[str]) -> list[str]:
    """What keeps this process from running the command, or lets others change what it does."""
    if not command:
        return ["the command is empty"]
    program = Path(command[0])
    if not program.is_absolute():
        return [f"{program}: must be an absolute path, since the hook is run without a search"]
    try:
        return _problems_of(program)
    except OSError as error:
        return [f"{program}: {error.strerror}"]


def _problems_of(program: Path) -> list[str]:
    real = program.resolve(strict=True)
    seen = real.stat()
    if not stat.S_ISREG(seen.st_mode):
        return [f"{program}: is not a file"]
    problems = []
    if not os.access(real, os.X_OK):
        problems.append(f"{program}: is not executable (chmod +x {program})")
    if seen.st_uid not in _trusted_owners():
        problems.append(f"{program}: belongs to user id {seen.st_uid}; must belong to root or to this program's user")
    if seen.st_mode & stat.S_IWOTH:
        problems.append(f"{program}: everybody can write to it (chmod o-w {program})")
    above = real.parent.stat().st_mode
    if above & stat.S_IWOTH and not above & stat.S_ISVTX:
        problems.append(f"{real.parent}: everybody can write to it, and so replace the hook")
    if os.access(real, os.R_OK):
        problems += _problems_of_first_line(program)
    return problems


def _trusted_owners() -> set[int]:
    return {0, os.geteuid()}


def _problems_of_first_line(program: Path) -> list[str]:
    with program.open("rb") as file:
        first = file.read(256)
    if first.startswith(_BINARY):
        return []
    if not first.startswith(b"#!"):
        return [f"{program}: has no first line such as #!/bin/sh, so the system cannot run it"]
    words = first[2:].partition(b"\n")[0].split()
    interpreter = os.fsdecode(words[0]) if words else ""
    if not os.access(interpreter, os.X_OK):
        return [f"{program}: its interpreter {interpreter or '(none)'} cannot be run"]
    return []
