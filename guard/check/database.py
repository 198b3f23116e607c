"""One database: is it the right server, is the schema there, and may the guard do its work?"""

from __future__ import annotations

from dataclasses import dataclass

from guard.act.install import PROTOCOL, VERSION
from guard.check.ddl_gate import check_ddl_gate
from guard.check.hosts import check_hosts
from guard.check.powers import check_powers
from guard.check.queries import check_queries
from guard.check.recognition import check_recognition
from guard.check.remarks import Remark, fine, problem, warning
from guard.check.sensors import check_sensors
from guard.check.standbys import check_standbys
from guard.errors import ServerError, Unreachable, WorldError, WrongServer
from guard.poll.families import connections_for
from guard.poll.samples import Recognition
from guard.postgres import Door, Hosts
from guard.settings import DatabaseSettings, Settings
from guard.sql import get

OLDEST = 140000
"""PostgreSQL 14 is the first to say since when a session waits for a lock."""


@dataclass(frozen=True, slots=True)
class Server:
    """Columns of cli_check_server.sql."""

    version: str
    version_number: int
    standby: bool
    database: str
    user: str
    superuser: bool
    monitor: bool
    signal: bool
    member: bool | None
    most: int
    taken: int
    tracked: bool
    publications: list[str]
    installed: bool
    unlogged: bool | None


async def check_database(settings: Settings, database: DatabaseSettings) -> list[Remark]:
    """Every remark on one database; without a connection there is only one."""
    place = f"database {database.name}"
    try:
        hosts = Hosts(database.conninfo())
    except WorldError as wrong:
        remark = problem(place, str(wrong), "put the credential there, or mend dsn and password_file")
        return [remark, *await _without_password(place, database)]
    try:
        return [*await check_hosts(place, hosts), *await _leading(settings, database, hosts)]
    finally:
        await hosts.close()


async def _leading(settings: Settings, database: DatabaseSettings, hosts: Hosts) -> list[Remark]:
    """On the server that the guard would lead on."""
    place = f"database {database.name}"
    known = Recognition(settings.recognition.roles, settings.recognition.application_names)
    door = hosts.door("check", deadline=8.0, statement_timeout_ms=5000)
    try:
        await door.connect()
        server = (await door.fetch_as(Server, get("cli_check_server")))[0]
        remarks = _server(place, server, connections_for(settings.rules_of(database.name)) + hosts.several)
        if not server.standby:
            remarks += await _installation(place, server, door)
            remarks += _rights(place, server)
            remarks += [] if server.superuser else await check_powers(place, server.user, door)
            remarks += await check_recognition(place, settings.recognition, server.signal or server.superuser, door)
            remarks += await check_ddl_gate(place, settings.recognition, door)
            remarks += await check_standbys(settings, database, door)
            remarks += await check_queries(settings.rules_of(database.name), hosts)
            if server.installed and (server.monitor or server.superuser):
                remarks += await check_sensors(settings.rules_of(database.name), hosts, known)
        return remarks
    except WrongServer as wrong:
        pooler = "give the address of the server itself: behind a pooler locks and cancels would hit other sessions"
        return [problem(place, _bare(wrong), pooler if "pooler" in str(wrong) else "name the primary's host too")]
    except ServerError as wrong:
        return [_unreachable(place, database, wrong)]
    finally:
        await door.close()


async def _without_password(place: str, database: DatabaseSettings) -> list[Remark]:
    """Whether the server is there at all, so that a missing credential hides nothing else."""
    try:
        door = Door(database.conninfo(with_password=False), purpose="check", deadline=8.0)
    except WorldError:
        return []
    try:
        await door.connect()
    except ServerError as wrong:
        asked_for_it = any(word in str(wrong).lower() for word in ("password", "authentication", "pg_hba"))
        return [] if asked_for_it else [_unreachable(place, database, wrong)]
    except WrongServer:
        return []
    finally:
        await door.close()
    return []


def _unreachable(place: str, database: DatabaseSettings, wrong: ServerError) -> Remark:
    if isinstance(wrong, Unreachable):
        return problem(place, _bare(wrong), f"is the server up, and are these right? {database.address}")
    return problem(place, _bare(wrong), "until then the guard cannot do its work there")


def _bare(error: Exception) -> str:
    return str(error).removeprefix("check: ")


def _server(place: str, server: Server, connections: int) -> list[Remark]:
    remarks = []
    if server.version_number < OLDEST:
        remarks.append(
            problem(place, f"PostgreSQL {server.version} is too old", "the guard needs PostgreSQL 14 or later")
        )
    if server.standby:
        remarks.append(
            problem(place, "this server is a standby", "give the primary's address: a guard must be able to write")
        )
    if not remarks:
        remarks.append(fine(place, f"PostgreSQL {server.version}, database {server.database}, as {server.user}"))
    free = server.most - server.taken
    if free < connections:
        remarks.append(
            warning(
                place,
                f"the guard keeps up to {connections} connections, and only {max(0, free)} of {server.most} are free",
                "raise max_connections, or lower the pools of the application",
            )
        )
    if not server.tracked:
        remarks.append(problem(place, "track_activities is off, so nobody's statements can be seen", "set it to on"))
    return remarks


async def _installation(place: str, server: Server, door: Door) -> list[Remark]:
    if server.publications and not (server.installed and server.unlogged):
        names = ", ".join(server.publications)
        todo = "install with --unlogged, or make the schema on the subscribers first and say --subscribers-prepared"
        remarks = [warning(place, f"publication {names} is FOR ALL TABLES: it carries the guard's tables too", todo)]
    else:
        remarks = []
    if not server.installed:
        return [*remarks, problem(place, "the schema migration_guard is not there", "run: migration-guard install")]
    if server.member is False and not server.superuser:
        todo = f"run: grant migration_guard_guard to {server.user}"
        return [*remarks, problem(place, f"{server.user} may not write the guard's tables", todo)]
    rows = await door.fetch(get("control_installation"))
    if not rows:
        return [*remarks, problem(place, "the schema migration_guard is empty", "run: migration-guard install")]
    version, protocol, name, ours = rows[0]
    if not ours:
        what = f"the schema migration_guard came here with a copy of database {name}"
        remarks.append(problem(place, what, "run: migration-guard install --restamp"))
    elif (version, protocol) != (VERSION, PROTOCOL):
        older = (version, protocol) < (VERSION, PROTOCOL)
        age = f"{'older' if older else 'newer'} than this program, which is for {VERSION}.{PROTOCOL}"
        what = f"the schema migration_guard is of version {version}.{protocol}, {age}"
        todo = "run: migration-guard install" if older else "upgrade this program"
        remarks.append(problem(place, what, todo))
    else:
        remarks.append(fine(place, f"schema migration_guard is there, version {version}"))
    return remarks


def _rights(place: str, server: Server) -> list[Remark]:
    remarks = []
    if not server.monitor and not server.superuser:
        what = f"{server.user} lacks pg_monitor, so PostgreSQL hides other sessions and all replication lag"
        remarks.append(problem(place, what, f"as a superuser: grant pg_monitor to {server.user}"))
    if server.superuser:
        what = f"{server.user} is a superuser, which the guard has no use for"
        todo = "give it a role of its own: a member of migration_guard_guard, pg_monitor and pg_signal_backend"
        remarks.append(warning(place, what, todo))
    return remarks
