"""The machine: the state directory, and each rollback hook."""

from __future__ import annotations

import os
from pathlib import Path

from guard.act.rollback_hook import RollbackHook
from guard.check.remarks import Remark, fine, problem, warning
from guard.settings import WATCHDOG, RollbackSettings, Settings


def check_machine(settings: Settings) -> list[Remark]:
    """What can be said without asking anybody."""
    remarks = [_state_directory(settings.guard.state_directory), *_watchdog(settings)]
    if settings.rollback:
        remarks += _hook("rollback", settings.rollback, settings)
    for name, migration in settings.migrations.items():
        if migration.rollback and migration.rollback != settings.rollback:
            remarks += _hook(f"migration {name}, rollback", migration.rollback, settings)
    if settings.default_rules:
        remarks.append(
            warning("rules", "there is no [[rule]], so the built-in ones apply", "see config.example.toml for more")
        )
    return remarks


def _state_directory(directory: Path) -> Remark:
    place = "state directory"
    standing = directory
    while not standing.exists() and standing != standing.parent:
        standing = standing.parent
    if not standing.is_dir():
        return problem(place, f"{standing} is not a directory", "remove it, or set another [guard] state_directory")
    if not os.access(standing, os.W_OK | os.X_OK):
        todo = f"install -d -m 700 -o USER {directory}, with the user that the guard runs as"
        return problem(place, f"{directory} cannot be written to by this user", todo)
    return fine(place, f"{directory} " + ("is writable" if standing == directory else "will be made"))


def _watchdog(settings: Settings) -> list[Remark]:
    guard = settings.guard
    if 2 * guard.longest_round < WATCHDOG:
        return []
    what = (
        f"WatchdogSec={WATCHDOG:g}s of the shipped unit is too short for idle_interval = {guard.idle_interval:g}s and "
        f"probe_deadline = {guard.probe_deadline:g}s"
    )
    todo = (
        "raise it (systemctl edit migration-guard), or shorten them; until then the daemon asks systemd for more time"
    )
    return [warning("systemd", what, todo)]


def _hook(place: str, hook: RollbackSettings, settings: Settings) -> list[Remark]:
    directory = settings.guard.state_directory
    found = RollbackHook(hook.command, timeout=hook.timeout, state_directory=directory).check()
    # The state directory, or what stands of it, has a remark of its own.
    said = [
        words for words in found if not words.startswith(tuple(f"{each}:" for each in (directory, *directory.parents)))
    ]
    todo = "until then a rollback that is due is told to people and not run; examples/rollback-hook.sh is a start"
    return [problem(place, words, todo) for words in said] or [fine(place, f"{hook.command[0]} can be run")]
