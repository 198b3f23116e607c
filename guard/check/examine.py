"""All checks at once: one that waits for a host that does not answer holds up no other."""

from __future__ import annotations

import asyncio

from guard.check.channels import check_channel
from guard.check.database import check_database
from guard.check.machine import check_machine
from guard.check.outside import check_rule, check_slack
from guard.check.page import check_page
from guard.check.remarks import Remark, warning
from guard.check.verify import check_verify
from guard.settings import Settings


async def examine(settings: Settings) -> list[Remark]:
    """Every remark on this machine and its databases, in the order of the configuration file. Never raises for them."""
    remarks = check_machine(settings)
    remarks += [warning(f"{each.file}:{each.line}", f"{each.key}: {each.message}", "") for each in settings.warnings]
    asked = [check_database(settings, database) for database in settings.databases]
    asked += [check_rule(settings, rule) for rule in settings.rules if rule.metric in {"prometheus", "http"}]
    asked += [check_verify(settings, database) for database in settings.databases]
    asked += [check_slack(settings), check_page(settings)]
    asked += [check_channel(channel) for channel in settings.channels]
    for answer in await asyncio.gather(*asked):
        remarks += answer
    return remarks
