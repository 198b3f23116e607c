"""The metrics that rules name: each is looked at twice, as it will be later, and one without a value is named.

Those of locks and of standbys have checks of their own. What only has nothing to measure at the moment is well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from guard.check.remarks import Remark, warning
from guard.model import Rule, Sample, Silence
from guard.poll.families import family_probes, is_query
from guard.poll.rates import NOTHING
from guard.poll.samples import Recognition
from guard.postgres import Hosts

_APART = 0.3
"""Seconds between the two looks that a rate takes."""


async def check_sensors(rules: Sequence[Rule], hosts: Hosts, recognition: Recognition) -> list[Remark]:
    """A warning for each rule that will find no value."""
    mine = [rule for rule in rules if not is_query(rule)]
    found = await _look(mine, hosts, recognition)
    return [_remark(rule, sample) for rule in mine if (sample := _silent(found.get(rule.sensor))) is not None]


async def _look(rules: Sequence[Rule], hosts: Hosts, recognition: Recognition) -> dict[str, Sample]:
    probes = family_probes(hosts.door, rules, recognition)
    if not probes:
        return {}
    try:
        await asyncio.gather(*(probe.poll() for probe in probes))
        await asyncio.sleep(_APART)
        seen = await asyncio.gather(*(probe.poll() for probe in probes))
    finally:
        await asyncio.gather(*(probe.close() for probe in probes))
    return {sample.sensor: sample for observation in seen for sample in observation.samples}


def _silent(sample: Sample | None) -> Silence | None:
    return sample if isinstance(sample, Silence) and not sample.why.startswith(NOTHING) else None


def _remark(rule: Rule, silence: Silence) -> Remark:
    after = "it is ignored" if rule.no_data == "ignore" else f"a migration will {rule.no_data}"
    todo = f"mend that, or take the rule out; while there is no value, {after}"
    return warning(f'rule "{rule.name}"', f"{rule.series} has no value: {silence.why}", todo)
