"""Secrets: where one is to be had, and that it is never seen by accident.

Looking into the file is left to whoever needs the secret: that it is missing is a fault of the machine, not of the
configuration, and `check` says so.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from guard.errors import WorldError
from guard.masking import remember

_MOST: Final = 64 * 1024
_WIDE: Final = stat.S_IRWXG | stat.S_IRWXO


class Secret:
    """A secret in memory or in a file. Its repr and str are its source, never the secret."""

    __slots__ = ("_value", "path", "source")

    def __init__(self, source: str, *, value: str | None = None, path: Path | None = None) -> None:
        self.source = source
        self.path = path
        self._value = value

    def __repr__(self) -> str:
        return f"Secret({self.source!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return (self.source, self.path, self._value) == (other.source, other.path, other._value)

    def __hash__(self) -> int:
        return hash((self.source, self.path))

    def reveal(self) -> str:
        """The secret, which the log masks from now on; its file is read anew each time: a rotated one is found.

        Raises WorldError when it is nowhere, cannot be read, or is empty.
        """
        if self._value is not None:
            remember(self._value)
            return self._value
        if self.path is None:
            raise WorldError(f"There is no secret: {self.source}.")
        try:
            text = _text(self.path)
        except OSError as wrong:
            text = _handed_over(self.path, wrong)
        except UnicodeDecodeError:
            raise WorldError(f"{self.path} is not UTF-8 text.") from None
        if not text or len(text) > _MOST:
            raise WorldError(f"{self.path} is {'too long for a secret' if text else 'empty'}.")
        remember(text)
        return text


def _text(path: Path) -> str:
    if not stat.S_ISREG(path.stat().st_mode):
        raise WorldError(f"{path} is not a regular file, so no secret is read from it.")
    with path.open("rb") as file:
        return file.read(_MOST + 1).decode("utf-8").strip()


def _handed_over(path: Path, wrong: OSError) -> str:
    """The credential of the file's name: what only root may read, systemd hands to a service (LoadCredential=).

    So one configuration file serves both the service and root, who runs `check`. Raises WorldError where there is none.
    """
    said = f"{path} cannot be read: {wrong.strerror}"
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        raise WorldError(f"{said}.")
    try:
        return _text(Path(directory) / path.name)
    except (OSError, UnicodeDecodeError):
        raise WorldError(f"{said}; LoadCredential={path.name}:{path} in the unit hands it over.") from None


def readable_by_others(path: Path) -> str | None:
    """Why other accounts can get at the file, in words; None when they cannot or there is none.

    systemd keeps its credentials at 0440 below a folder of their own that others cannot enter; so a wide mode counts
    only where the folder can be entered too.
    """
    try:
        mode = path.stat().st_mode
        parent = path.parent.stat().st_mode
    except (OSError, ValueError):
        return None
    if not mode & _WIDE or not parent & _WIDE:
        return None
    return f"{path} has mode {stat.S_IMODE(mode):04o}, so other accounts can get at the secret; chmod 600 {path}"
