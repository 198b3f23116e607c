"""Each host of a database: what it is, and which one the guard would lead on."""

from __future__ import annotations

from guard.check.remarks import Remark, fine, problem, warning
from guard.errors import ServerError
from guard.postgres import Hosts, Seen


async def check_hosts(place: str, hosts: Hosts) -> list[Remark]:
    """A remark on each host, in the order of the connection string; of a single one only where it answers."""
    try:
        seen = await hosts.look()
    except ServerError:  # what is wrong with it is said where the guard itself connects
        return []
    primaries = hosts.primaries(seen)
    home = {each.system for each in primaries}
    remarks = [_remark(place, each, home) for each in seen if hosts.several or not each.trouble]
    if len(primaries) > 1:
        names = ", ".join(each.words for each in primaries)
        todo = "switch the old one off, or make it a standby; until then every migration is paused"
        remarks.append(problem(place, f"{len(primaries)} hosts say that they are the primary: {names}", todo))
    return remarks


def _remark(place: str, each: Seen, home: set[int]) -> Remark:
    name = f"host {each.address.name}"
    if each.pooled:
        todo = "give the address of the server itself; this one is left out until then"
        return problem(place, f"{name}: {each.trouble}", todo)
    if each.trouble:
        todo = "the guard goes on without it; after a failover to it, it could not follow"
        return warning(place, f"{name}: {each.trouble}", todo)
    if home and each.system not in home:
        todo = "take it out of dsn: it is never chosen, since its data are others"
        return problem(place, f"{name} belongs to another cluster (system identifier {each.system})", todo)
    role = "a standby" if each.standby else "a primary"
    return fine(place, f"{name} is {role}, timeline {int(each.timeline, 16)}")
