"""The verifying queries of rollbacks: can they be asked? What they answer before a rollback is no fault."""

from __future__ import annotations

from guard.check.remarks import Remark, fine, problem
from guard.errors import WorldError
from guard.model import EVERYONE
from guard.rollbacks import verifiers_of
from guard.settings import DatabaseSettings, Settings


async def check_verify(settings: Settings, database: DatabaseSettings) -> list[Remark]:
    """Whether they can be asked at all in one database."""
    try:
        verifiers = verifiers_of(settings, database)
    except WorldError:
        return []  # the credential has a remark of its own
    remarks = []
    for name, verifier in verifiers.items():
        section = "[rollback]" if name == EVERYONE else f"[migration.{name}.rollback]"
        place, doubt = f"database {database.name}", await verifier.doubt()
        if doubt and not doubt.endswith(", not true"):
            todo = "mend verify, or grant what it reads; until then each rollback is told as unverified"
            remarks.append(problem(place, f"{section} verify: {doubt}", todo))
        else:
            remarks.append(fine(place, f"{section} verify can be asked; now it says {'no' if doubt else 'yes'}"))
    return remarks
