"""The queries that rules bring along: each is asked once, as it will be later, by the guard's own role."""

from __future__ import annotations

from collections.abc import Iterable

from guard.check.remarks import Remark, fine, problem, whereof
from guard.judge.quantities import say
from guard.model import Reading, Rule
from guard.poll.families import is_query, query_probe
from guard.postgres import Hosts


async def check_queries(rules: Iterable[Rule], hosts: Hosts) -> list[Remark]:
    """A remark for each rule that has a query."""
    return [await _ask(rule, hosts) for rule in rules if is_query(rule)]


async def _ask(rule: Rule, hosts: Hosts) -> Remark:
    place = f'rule "{rule.name}"'
    probe = query_probe(hosts.door, rule)
    try:
        (sample,) = (await probe.poll()).samples
    finally:
        await probe.close()
    if isinstance(sample, Reading):
        return fine(place, f"answers {say(sample.value, rule.dimension)}{whereof(rule)}")
    after = "it is ignored" if rule.no_data == "ignore" else f"a migration will {rule.no_data}"
    todo = f"mend the query (give tables with their schema), or grant what it reads; until there is a number, {after}"
    return problem(place, f"no number: {sample.why}", todo)
