"""alert --died: tell people that the guard itself has died. A configuration file that is wrong, or missing, may be the
cause: what can be read of it is used, and Slack's credential without it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import socket
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from guard.errors import GuardError, TellError, WorldError
from guard.model import EVERYONE, Notice, Severity

if TYPE_CHECKING:
    from guard.settings import SlackSettings
    from guard.tell.outbox import Messenger

_TRIES = 4
_CODES = {"1": "exited", "2": "killed", "3": "dumped"}
"""ExecMainCode is a CLD_ number of waitid()."""
_RESULTS = {
    "watchdog": "it judged no more, and systemd's watchdog ended it",
    "timeout": "it did not start or stop in time",
    "oom-kill": "the machine had no memory left",
    "exit-code": "it ended by itself",
    "signal": "a signal ended it",
    "core-dump": "it crashed",
    "start-limit-hit": "it died too often, and systemd has given up",
}
_EXITS = {
    "2": ": its configuration file is wrong",
    "3": ": its machine or a database is not as it must be, and its log says what",
    "203": ": systemd found no such program",
    "243": ": a file that LoadCredential= names is not there",
}
"""What an exit code means; from 200 on they are systemd's own."""


@dataclass(frozen=True, slots=True)
class Death:
    """What systemd knows of the end of a unit: words as in $SERVICE_RESULT, $EXIT_CODE, $EXIT_STATUS; "" unknown."""

    unit: str
    result: str = ""
    code: str = ""
    status: str = ""

    @property
    def words(self) -> str:
        """The end as a sentence without its full stop."""
        told = _RESULTS.get(self.result, f"systemd says: {self.result}" if self.result else "systemd does not say why")
        how = {"exited": f"exit code {self.status}", "killed": f"SIG{self.status}", "dumped": f"SIG{self.status}"}
        if self.code not in how or not self.status:
            return told
        return f"{told} ({how[self.code]})" + (_EXITS.get(self.status, "") if self.code == "exited" else "")


def death_of(instance: str, shown: Mapping[str, str]) -> Death:
    """What the instance of the failure unit says, or systemd's own variables, or else what was noted."""
    unit, *rest = instance.split(":")
    if len(rest) == 3:
        return Death(unit, *rest)
    # Given to units that OnFailure= starts, by systemd 251 and later.
    if result := os.environ.get("MONITOR_SERVICE_RESULT"):
        return Death(unit, result, os.environ.get("MONITOR_EXIT_CODE", ""), os.environ.get("MONITOR_EXIT_STATUS", ""))
    code = _CODES.get(shown.get("ExecMainCode", ""), "")
    return Death(unit, shown.get("Result", ""), code, shown.get("ExecMainStatus", "") if code == "exited" else "")


def state() -> dict[str, str]:
    """How the unit stands some seconds later, as the failure unit has noted it; {} where it has not."""
    try:
        text = (Path(os.environ["RUNTIME_DIRECTORY"]) / "state").read_text()
    except (KeyError, OSError):
        return {}
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def notice_of(death: Death, shown: Mapping[str, str]) -> Notice:
    """What people are told."""
    host, restarts, unit = socket.gethostname(), shown.get("NRestarts", ""), shlex.quote(death.unit)
    match shown.get("ActiveState"):
        case "active":
            back, severity = "systemd has started it again, and it guards", Severity.WARNING
        case "failed":
            back, severity = "It is NOT running, and systemd does not start it again", Severity.CRITICAL
        case "inactive":
            back, severity = "It is NOT running: it was stopped meanwhile", Severity.CRITICAL
        case None:
            back, severity = "Whether it runs again is not known", Severity.CRITICAL
        case _:
            back, severity = "It is NOT running yet; systemd starts it again and again", Severity.CRITICAL
    means = (
        "Meanwhile migrations that ask hold by themselves once the lease has ended, and nothing is cancelled or rolled "
        "back"
    )
    return Notice(
        notice_id=f"died-{uuid.uuid4().hex}",
        at_wall=time.time(),
        database="all that it guards",
        migration=EVERYONE,
        run_id=None,
        kind="guard_died",
        severity=severity,
        headline=f"the guard itself has died on {host}",
        because=f"{death.unit}: {death.words}",
        next_step=f"{back}. {means}.",
        commands=(f"systemctl status {unit}", f"journalctl -u {unit} -n 100"),
        fields={"Unit": death.unit, "Host": host} | ({"Restarts": restarts} if restarts not in {"", "0"} else {}),
    )


def file_of(unit: str, default: Path) -> Path:
    """The configuration file that the unit of this name is shipped to read: an instance has one of its own."""
    found = re.fullmatch(r"migration-guard@([^/]+?)(\.service)?", unit)
    return default if found is None else default.with_name(f"{found[1]}.toml")


def channels(file: Path) -> dict[str, Callable[[], Messenger]]:
    """All on which people can be told, by name: those of the file as far as it can be read, and Slack in any case.

    Raises WorldError where there is none. What makes one may raise it too, where its credential cannot be had.
    """
    from guard.channels import channel_of
    from guard.settings import salvage

    named, others = salvage(file)
    # The failure unit of all instances has Slack's credential under one name, whatever it is called in their files.
    given, _ = salvage(Path(os.devnull))
    found: dict[str, Callable[[], Messenger]] = {each.name: partial(channel_of, each) for each in others}
    if ways := [each for each in (named, given) if each is not None]:
        found = {"slack": partial(_slack, ways), **found}
    if not found:
        raise WorldError(
            "Nobody is told that the guard has died: there is no systemd credential slack-webhook or slack-bot-token, "
            f"and {file} names no channel that can be read."
        )
    return found


def _slack(ways: Sequence[SlackSettings]) -> Messenger:
    """By the first whose credential can be had. Raises WorldError."""
    from guard.channels import slack_of

    for way in ways[:-1]:
        with contextlib.suppress(WorldError):
            return slack_of(way)
    return slack_of(ways[-1])


async def tell(notice: Notice, found: Mapping[str, Callable[[], Messenger]]) -> dict[str, GuardError]:
    """Send it on all of them at once, each again where that can help; what did not get through, by channel.

    Raises TellError or WorldError where it got through on none.
    """
    import asyncio

    came = await asyncio.gather(*(_told(notice, make) for make in found.values()))
    failed = {name: wrong for name, wrong in zip(found, came, strict=True) if wrong is not None}
    if len(failed) == len(found):
        raise next(iter(failed.values()))
    return failed


async def _told(notice: Notice, make: Callable[[], Messenger]) -> GuardError | None:
    try:
        messenger = make()
    except WorldError as wrong:
        return wrong
    try:
        return await _insist(notice, messenger)
    finally:
        await messenger.close()


async def _insist(notice: Notice, messenger: Messenger) -> TellError | None:
    import asyncio

    failed: TellError | None = None
    for tries_left in reversed(range(_TRIES)):
        try:
            await messenger.send(notice)
            return None
        except TellError as wrong:
            failed = wrong
            if not (wrong.again and tries_left):
                break
            await asyncio.sleep(min(max(1.0, 3.0 if wrong.after is None else wrong.after), 20.0))
    return failed
