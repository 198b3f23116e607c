"""`[database.NAME.standby_dsns]`: where standbys are asked themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from psycopg.conninfo import conninfo_to_dict

from guard.model import Rule
from guard.postgres.dsn import flaw_of
from guard.settings.kinds import is_name
from guard.settings.lines import Key
from guard.settings.problems import Problems
from guard.settings.secret import Secret
from guard.settings.values import DatabaseSettings, Settings


def read_standby_dsns(given: Mapping[str, object], key: Key, problems: Problems) -> dict[str, Secret]:
    """The connection strings by name, each a secret since it may hold a password; what is wrong with one is noted."""
    found: dict[str, Secret] = {}
    for name, text in given.items():
        flaw = _flaw(name, text)
        if flaw or not isinstance(text, str):
            problems.add((*key, name), flaw)
        else:
            found[name] = Secret(f"[{'.'.join(map(str, key))}] {name}", value=text)
    return found


def _flaw(name: str, text: object) -> str:
    if not is_name(name):
        return "is no application_name that a standby can have"
    if not isinstance(text, str) or not text.strip() or "\0" in text:
        return "must be the connection string of one standby, in quotes"
    if flaw := flaw_of(text):
        return flaw
    if any("," in str(conninfo_to_dict(text).get(part) or "") for part in ("host", "hostaddr", "port")):
        return "must lead to one host: which of several would answer is not known"
    return ""


def asked_standbys(database: DatabaseSettings, rules: Iterable[Rule]) -> tuple[str, ...]:
    """Names of those that are asked themselves: the expected ones, and those that a rule selects."""
    mine = [rule for rule in rules if rule.metric.startswith("replication.")]
    wanted = {value for rule in mine for label, value in rule.select if label == "standby"}
    if isinstance(database.standbys, tuple):
        wanted.update(database.standbys if mine else ())
    elif database.standbys and mine:
        wanted.update(database.standby_dsns)
    return tuple(name for name in database.standby_dsns if name in wanted)


def look_at_standbys(settings: Settings, problems: Problems) -> None:
    """Warn of what is not asked at all."""
    for database in settings.databases:
        asked = asked_standbys(database, settings.rules_of(database.name))
        for name in database.standby_dsns:
            if name not in asked:
                why = "is not asked: it is not among standbys, or no rule uses a metric of replication"
                problems.warn(("database", database.name, "standby_dsns", name), why)
