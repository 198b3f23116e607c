"""Whom would the guard take for a migration now, and might it cancel them?"""

from __future__ import annotations

import re
from collections import defaultdict

from guard.check.remarks import Remark, fine, problem, warning
from guard.postgres import Door
from guard.settings import Recognition
from guard.sql import get


async def check_recognition(place: str, recognition: Recognition, may_signal: bool, door: Door) -> list[Remark]:  # noqa: FBT001
    """Remarks on the roles of migrations. Raises ServerError."""
    if not recognition.roles:
        if may_signal:
            return []
        todo = "grant pg_signal_backend, or run migrations under a role that the guard's is a member of"
        return [warning(place, "the guard may not cancel anybody's queries", todo)]
    roles = list(recognition.roles)
    remarks = []
    for name, there, superuser, member in await door.fetch(get("cli_check_roles"), {"roles": roles}):
        if not there:
            remarks.append(problem(place, f"role {name} of [migrations] does not exist", "create it, or correct roles"))
        elif superuser:
            what = f"role {name} of [migrations] is a superuser, whose queries the guard may not cancel"
            remarks.append(problem(place, what, "run migrations as a role that owns the tables and is no superuser"))
        elif not (may_signal or member):
            what = f"the guard may not cancel queries of role {name}"
            remarks.append(problem(place, what, f"grant pg_signal_backend or {name} to the guard's role"))
    sessions = await door.fetch(get("cli_check_sessions"), {"roles": roles})
    return remarks + served(place, recognition, [(role, name, count) for role, name, count in sessions])


def served(place: str, recognition: Recognition, sessions: list[tuple[str, str, int]]) -> list[Remark]:
    """*sessions* are role, application_name and how many.

    A role that serves others too is refused: its other sessions might be cancelled for the migration's."""
    taken: list[str] = []
    names: dict[str, set[str]] = defaultdict(set)
    others: dict[str, set[str]] = defaultdict(set)
    for role, name, count in sessions:
        matches = not recognition.application_names or any(_fits(p, name) for p in recognition.application_names)
        (names if matches else others)[role].add(name or "(no name)")
        if matches:
            taken.append(f"{count} x {role}/{name or '(no name)'}")
    remarks: list[Remark] = []
    if not recognition.application_names:
        for role, found in names.items():
            if len(found) > 1:
                what = f"role {role} serves {', '.join(sorted(found))}: every one of them counts as a migration"
                todo = "give migrations a role of their own, or say application_names in [migrations]"
                remarks.append(problem(place, what, todo))
    for role, found in others.items():
        what = f"role {role} also serves {', '.join(sorted(found))}"
        todo = "only the application_name keeps the guard from cancelling them: give migrations a role of their own"
        remarks.append(warning(place, what, todo))
    said = ", ".join(taken) or "nobody"
    return [*remarks, fine(place, f"recognised as a migration's now: {said}")]


def _fits(pattern: str, name: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name, re.DOTALL) is not None
