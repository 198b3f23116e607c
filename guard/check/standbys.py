"""Standbys: do those that are expected stream, and do those that are asked themselves belong to the primary?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from guard.check.remarks import Remark, fine, problem, warning
from guard.errors import ServerError, WorldError, WrongServer
from guard.model import Rule
from guard.poll.aside import Said, ask
from guard.postgres import Door
from guard.settings import DatabaseSettings, Settings, asked_standbys
from guard.sql import get
from guard.standbys import standby_door

_UNTIL_THEN = "until then the lag is unknown"


async def check_standbys(settings: Settings, database: DatabaseSettings, primary: Door) -> list[Remark]:
    """On those that the primary shows, and on each that has a dsn of its own."""
    place = f"database {database.name}"
    asked, remarks = dict[str, bool](), list[Remark]()
    for name in asked_standbys(database, settings.rules_of(database.name)):
        about = await _asked(place, database, name, primary)
        asked[name] = all(remark.grade == "fine" for remark in about)
        remarks += about
    seen: dict[str, str | None] = dict(await primary.fetch(get("cli_check_standbys")))
    there = {
        "standby": sorted({*seen, *asked}),
        "slot": [name for (name,) in await primary.fetch(get("cli_check_slots"))],
    }
    missing = [_unselectable(place, rule, there) for rule in settings.rules_of(database.name)]
    blind = await check_pacing(place, primary) if database.expects_standbys else []
    return [*_seen(place, database, seen, asked), *remarks, *filter(None, missing), *blind]


async def check_pacing(place: str, primary: Door) -> list[Remark]:
    """Whether a migration can pace itself by what standbys have still to replay. Raises ServerError."""
    return [
        warning(
            place,
            f"{owner}, who owns migration_guard.unreplayed(), may not see standbys: paced migrations wait",
            f'grant pg_monitor to "{owner}"',
        )
        for (owner,) in await primary.fetch(get("cli_check_pacing"))
    ]


def _unselectable(place: str, rule: Rule, there: Mapping[str, Sequence[str]]) -> Remark | None:
    """What a rule selects and nobody can measure; *there*: the names that there are, by label."""
    for label, value in rule.select:
        if label in there and value not in there[label]:
            what = f"{place} has no {label} {value} (there is: {', '.join(there[label]) or 'none'})"
            return problem(f'rule "{rule.name}"', what, "correct select, or make it; until then its value is unknown")
    return None


def _seen(
    place: str, database: DatabaseSettings, seen: Mapping[str, str | None], asked: Mapping[str, bool]
) -> list[Remark]:
    """*seen*: state by application_name; None where it is hidden. *asked*: whether one that was asked is well."""
    names = ", ".join(seen) or "none"
    if isinstance(database.standbys, int):
        streaming = sum(state == "streaming" for state in seen.values())
        streaming += sum(well for name, well in asked.items() if name not in seen)
        if streaming < database.standbys:
            what = f"{database.standbys} standbys are expected and {streaming} are streaming (connected: {names})"
            return [problem(place, what, f"start the missing ones, or correct standbys; {_UNTIL_THEN}")]
        return [fine(place, f"standbys streaming: {names}")] if seen else []
    wanted = [name for name in database.standbys if name in seen or name not in asked]
    remarks = [_missing(place, name, seen) for name in wanted if seen.get(name) != "streaming"]
    if not_watched := sorted(set(seen) - set(database.standbys)):
        todo = "add to standbys whatever the application reads from"
        remarks.append(warning(place, f"connected and not watched: {', '.join(not_watched)}", todo))
    if not remarks and seen:
        remarks.append(fine(place, f"standbys streaming: {names}"))
    return remarks


def _missing(place: str, name: str, seen: Mapping[str, str | None]) -> Remark:
    """*seen*: state by application_name; None where it is hidden."""
    todo = f"start it, or correct standbys (application_names in primary_conninfo); {_UNTIL_THEN}"
    if name in seen and seen[name] is None:
        todo = "as a superuser: grant pg_monitor to the guard's role"
        return problem(place, f"whether standby {name} streams is hidden from the guard's role", todo)
    if name in seen:
        return problem(place, f"standby {name} is not streaming (it is in state {seen[name]})", todo)
    what = f"standby {name} is not connected (connected: {', '.join(seen) or 'none'})"
    return problem(place, what, f"{todo}. If it gets its WAL from another standby, name it in standby_dsns")


async def _asked(place: str, database: DatabaseSettings, name: str, primary: Door) -> list[Remark]:
    todo = f"correct standby_dsns.{name}; {_UNTIL_THEN}"
    try:
        door = standby_door(database, name, 8.0, "check")()
    except WorldError as wrong:
        return [problem(place, f"standby {name} cannot be asked: {wrong}", "put the credential there")]
    try:
        await door.connect()
        said = await ask(door)
        ((most, taken),) = await door.fetch(get("cli_check_connections"))
    except (ServerError, WrongServer) as wrong:
        return [problem(place, f"standby {name} cannot be asked: {str(wrong).removeprefix('check: ')}", todo)]
    finally:
        await door.close()
    return [await _identity(place, name, said, primary), *_room(place, name, most - taken)]


async def _identity(place: str, name: str, said: Said, primary: Door) -> Remark:
    ((_, timeline, system, _),) = await primary.fetch(get("hosts_look"))
    if flaw := said.flaw(name, system, int(timeline, 16)):
        return problem(place, f"standby {flaw}", f"correct standby_dsns.{name}; {_UNTIL_THEN}")
    return fine(place, f"standby {name} answers (timeline {said.timeline}, {said.note})")


def _room(place: str, name: str, free: int) -> list[Remark]:
    if free > 0:
        return []
    what = f"the guard keeps one connection to standby {name}, and none there is free for it"
    return [warning(place, what, "raise max_connections there, or lower the pools of the application")]
