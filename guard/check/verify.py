"""The queries about the data: can they be asked? What they answer now is no fault, but worth knowing.

A database that cannot be reached has a remark of its own, elsewhere: nothing is said of its queries then.
"""

from __future__ import annotations

from guard.act.checks import Checks
from guard.check.remarks import Remark, fine, problem
from guard.errors import ServerError, WorldError
from guard.judge.checks import judge_answer
from guard.model import EVERYONE
from guard.model.checks import Check
from guard.postgres import Door
from guard.rollbacks import verifiers_of
from guard.settings import DatabaseSettings, Settings

_WITHIN = 20.0
"""Seconds for all of them."""


async def check_verify(settings: Settings, database: DatabaseSettings) -> list[Remark]:
    """Whether they can be asked at all in one database."""
    try:
        verifiers = verifiers_of(settings, database)
    except WorldError:
        return []  # the credential has a remark of its own
    checks = _checks_of(settings, database)
    if not (verifiers or checks) or not await _can_be_reached(database):
        return []
    remarks = []
    for name, verifier in verifiers.items():
        section = "[rollback]" if name == EVERYONE else f"[migration.{name}.rollback]"
        place, doubt = f"database {database.name}", await verifier.doubt()
        if doubt and not doubt.endswith(", not true"):
            todo = "mend verify, or grant what it reads; until then each rollback is told as unverified"
            remarks.append(problem(place, f"{section} verify: {doubt}", todo))
        else:
            remarks.append(fine(place, f"{section} verify can be asked; now it says {'no' if doubt else 'yes'}"))
    return remarks + await _check_data(database, checks)


async def _can_be_reached(database: DatabaseSettings) -> bool:
    door = Door(database.conninfo(), purpose="check", deadline=8.0)
    try:
        await door.connect()
    except (ServerError, WorldError):
        return False
    finally:
        await door.close()
    return True


def _checks_of(settings: Settings, database: DatabaseSettings) -> list[tuple[str, Check]]:
    """[verify], and the checks and phases of each migration, with their sections; what several share stands once."""
    every = {"verify": settings.checks}
    for name, migration in settings.migrations.items():
        own = tuple(each for each in migration.checks if each not in settings.checks)
        every[f"migration.{name}.verify"] = own
        every |= {f"migration.{name}.phase.{phase}": checks for phase, checks in migration.phases.items()}
    return [
        (section, each.check)
        for section, checks in every.items()
        for each in checks
        if not each.databases or database.name in each.databases
    ]


async def _check_data(database: DatabaseSettings, asked: list[tuple[str, Check]]) -> list[Remark]:
    answers = await Checks(database.conninfo()).ask([check for _, check in asked], within=_WITHIN)
    place, remarks = f"database {database.name}", list[Remark]()
    for (section, check), answer in zip(asked, answers, strict=True):
        head = f"[{section}.{check.name}]"
        if answer.why:
            remarks.append(problem(place, f"{head} {answer.why}", "mend the query, or grant what it reads"))
        else:
            remarks.append(fine(place, f"{head} can be asked; {judge_answer(check, answer, None, before=True)[1]}"))
    return remarks
