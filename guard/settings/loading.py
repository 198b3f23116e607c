"""From a file to Settings: each section on its own, then what they mean together; every mistake at once."""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from guard.decide.bounds import FLAP_BREAKER, Bounds
from guard.decide.obeying import RUNGS
from guard.errors import ConfigError
from guard.judge.baselines import Gathering
from guard.model import EVERYONE, Rule
from guard.settings.access import AccessReader
from guard.settings.channels import ChannelReader
from guard.settings.checks import CheckReader
from guard.settings.databases import DatabaseReader
from guard.settings.environment import Environment, strays
from guard.settings.exposure import look_at_exposure
from guard.settings.kinds import is_name
from guard.settings.lines import Lines
from guard.settings.page import read_page
from guard.settings.problems import Problems, did_you_mean
from guard.settings.reading import Document, read
from guard.settings.rules import Frame, RuleReader, default_rules
from guard.settings.slack import SlackReader
from guard.settings.standbys import look_at_standbys
from guard.settings.tables import (
    SECTIONS,
    GuardTable,
    MigrationsTable,
    MigrationTable,
    PrometheusTable,
    RollbackTable,
    RuleTable,
    SlackTable,
)
from guard.settings.values import (
    AccessSettings,
    ChannelSettings,
    CheckSettings,
    DatabaseSettings,
    GuardSettings,
    MigrationSettings,
    PrometheusSettings,
    Recognition,
    RollbackSettings,
    Settings,
    SlackSettings,
)


def load(path: Path) -> Settings:
    """Read and check a configuration file; the environment wins over it where it may speak.

    Raises ConfigError with every mistake found. Credential files need not exist: that is for `check` to find.
    """
    return _Loader(read(path)).settings()


def salvage(path: Path) -> tuple[SlackSettings | None, tuple[ChannelSettings, ...]]:
    """Whom to tell that something is wrong: as much as can be read of a file that may be what is wrong, or missing."""
    try:
        document = read(path)
    except ConfigError:
        document = Document(path, {}, Lines(""))
    return _Loader(document).told()


@dataclass(slots=True)
class _Loader:
    document: Document
    problems: Problems
    environment: Environment

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems = Problems(document)
        self.environment = Environment()

    def settings(self) -> Settings:
        for name in self.document.tables:
            if name not in SECTIONS:
                self.problems.add((name,), f"unknown section; {did_you_mean(name, SECTIONS)}")
        guard, guard_is_whole = self._guard()
        databases = self._databases()
        rollback = self._rollback(self._table("rollback"), ("rollback",))
        named = databases_known(self.document, databases)
        reader = CheckReader(self.problems, named)
        channels = ChannelReader(self.problems, self._path, named)
        checks = reader.read(self._table("verify"), ("verify",), has_hook=self._has_hook())
        migrations = self._migrations(rollback, reader, checks)
        prometheus = self._prometheus()
        frame = Frame(
            poll_interval=guard.poll_interval,
            lease=guard.lease,
            databases=named,
            gathering=guard.gathering,
            has_prometheus="prometheus" in self.document.tables,
            has_hook=self._has_hook(),
            usable=guard_is_whole,
        )
        rules, access = self._rules(frame)
        settings = Settings(
            path=self.document.path,
            guard=guard,
            databases=databases,
            rules=rules or default_rules(frame, self.problems),
            default_rules=not rules,
            recognition=self._recognition(),
            rollback=rollback,
            checks=checks,
            migrations=migrations,
            prometheus=prometheus,
            access=access,
            slack=self._slack(channels),
            channels=channels.read(self._table("channel")),
            page=read_page(self._table("page"), self.problems, self._path, self.environment),
        )
        look_at_exposure(settings, self.document, self.problems)
        look_at_standbys(settings, self.problems)
        for variable, known in strays(frame.databases):
            self.problems.warn(
                ("database",), f"the variable {variable} belongs to none of them; {did_you_mean(variable, known)}"
            )
        self.problems.finish()
        return replace(settings, warnings=self.problems.warnings)

    def told(self) -> tuple[SlackSettings | None, tuple[ChannelSettings, ...]]:
        """Slack and the channels alone, whatever else is wrong."""
        channels = ChannelReader(self.problems, self._path, ())
        return self._slack(channels), channels.read(self._table("channel"))

    def _table(self, name: str) -> Any:
        return self.document.tables.get(name)

    def _tables(self, name: str, example: str) -> dict[str, Any]:
        found = self._table(name)
        if found is None:
            return {}
        if not isinstance(found, dict):
            self.problems.add((name,), f"must be tables such as [{name}.{example}]")
            return {}
        return found

    def _path(self, path: Path) -> Path:
        """Relative paths start at the file, whatever folder the daemon was started in."""
        try:
            return self.document.path.absolute().parent / path.expanduser()
        except RuntimeError:
            return path

    # -- sections ------------------------------------------------------------------------------------------------------

    def _guard(self) -> tuple[GuardSettings, bool]:
        table, broken = self.problems.check(GuardTable, self._table("guard") or {}, ("guard",))
        table = table or GuardTable()
        idle = table.idle_interval
        if idle is not None and idle < table.poll_interval and "poll_interval" not in broken:
            self.problems.add(("guard", "idle_interval"), "must not be shorter than poll_interval")
        beat = max(1.0, table.poll_interval)
        if table.lease < 3 * beat and not broken & {"lease", "poll_interval"}:
            self.problems.add(
                ("guard", "lease"),
                f"must be at least three beats, {3 * beat:g}s: there is a beat a second, or a poll if that is slower",
            )
        if table.baseline_for < table.baseline_window and not broken & {"baseline_for", "baseline_window"}:
            self.problems.add(("guard", "baseline_for"), "must not be shorter than baseline_window")
        seldom = max(10.0, table.poll_interval) if idle is None else idle
        state = self._path(table.state_directory) if table.state_directory else self.environment.state()
        settings = GuardSettings(
            id=table.id or socket.gethostname(),
            poll_interval=table.poll_interval,
            idle_interval=seldom,
            gathering=Gathering(table.baseline_window, seldom, table.baseline_for),
            lease=table.lease,
            probe_deadline=table.probe_deadline,
            observe=table.mode == "observe",
            state_directory=state,
            bounds=Bounds(
                table.flap, table.shortest_pause, table.longest_pause, table.longest_unknown, table.longest_fence
            ),
        )
        return settings, not broken & {"poll_interval", "lease"}

    def _databases(self) -> tuple[DatabaseSettings, ...]:
        tables = self._tables("database", "main")
        if not tables and not isinstance(self._table("database"), (list, str, int)):
            self.problems.add(("database",), "at least one [database.NAME] is required")
        reader = DatabaseReader(self.problems, self._path)
        found = (reader.read(name, table) for name, table in tables.items())
        return tuple(database for database in found if database is not None)

    def _recognition(self) -> Recognition:
        table, broken = self.problems.check(MigrationsTable, self._table("migrations") or {}, ("migrations",))
        table = table or MigrationsTable()
        if table.application_names and not table.roles and "roles" not in broken:
            self.problems.add(
                ("migrations", "application_names"),
                "needs roles as well: any session can take any application_name, so the name alone proves nothing",
            )
        rungs = RUNGS[: RUNGS.index(table.ignored) + 1] if table.ignored in RUNGS else ()
        return Recognition(table.roles, table.application_names, table.let_finish, table.grace, rungs)

    def _rollback(self, given: Any, key: tuple[str, ...]) -> RollbackSettings | None:
        if given is None:
            return None
        table, _ = self.problems.check(RollbackTable, given, key)
        if table is None:
            return None
        return RollbackSettings(
            command=table.command,
            timeout=table.timeout,
            environment=table.environment,
            auto_rollback=table.auto_rollback,
            by_unit=table.runner == "unit",
            verify=table.verify,
        )

    def _has_hook(self) -> bool:
        """Whether the file has a hook for some migration; what is wrong with it is told elsewhere."""
        own = self._table("migration")
        tables = own.values() if isinstance(own, dict) else ()
        return "rollback" in self.document.tables or any(isinstance(t, dict) and "rollback" in t for t in tables)

    def _migrations(
        self, common: RollbackSettings | None, reader: CheckReader, checks: tuple[CheckSettings, ...]
    ) -> dict[str, MigrationSettings]:
        found: dict[str, MigrationSettings] = {}
        for name, given in self._tables("migration", "NAME").items():
            key = ("migration", name)
            if name == EVERYONE or not is_name(name):
                self.problems.add(
                    key,
                    "needs the name of one migration, or a pattern; what holds for all stands in [rollback]",
                )
            table, _ = self.problems.check(MigrationTable, given, key)
            if table is not None:
                hook = self._rollback(table.rollback, (*key, "rollback")) or common
                own = reader.read(table.verify, (*key, "verify"), has_hook=hook is not None)
                names = {each.check.name for each in own}
                every = (*(each for each in checks if each.check.name not in names), *own)
                phases = reader.phases(table.phase, (*key, "phase"))
                found[name] = MigrationSettings(name, hook, table.soak, every, phases)
        return found

    def _prometheus(self) -> PrometheusSettings | None:
        given = self._table("prometheus")
        if given is None:
            return None
        table, broken = self.problems.check(PrometheusTable, given, ("prometheus",))
        if table is None:
            return None
        reader = AccessReader(self.problems, ("prometheus",), self._path, broken)
        access = reader.read(table, password=self.environment.password(), bearer=self.environment.bearer())
        return PrometheusSettings(table.url, table.timeout, access)

    def _slack(self, channels: ChannelReader) -> SlackSettings | None:
        given = self._table("slack")
        table, _ = self.problems.check(SlackTable, {} if given is None else given, ("slack",))
        table = table or SlackTable()
        found = SlackReader(self.problems, self.environment, self._path).read(table, given=given is not None)
        return found and replace(found, route=channels.route(table, ("slack",)))

    # -- rules ---------------------------------------------------------------------------------------------------------

    def _rules(self, frame: Frame) -> tuple[tuple[Rule, ...], dict[str, AccessSettings]]:
        """The rules, and how the sources of those with `http` are asked."""
        given = self._table("rule")
        if given is None:
            return (), {}
        if not isinstance(given, list):
            self.problems.add(("rule",), "must be written [[rule]], with two brackets")
            return (), {}
        names: set[str] = set()
        rules: list[Rule] = []
        access: dict[str, AccessSettings] = {}
        for index, each in enumerate(given):
            key = ("rule", index)
            table, broken = self.problems.check(RuleTable, each, key)
            if table is None:
                continue
            if table.name in names:
                self.problems.add((*key, "name"), f'there is another rule "{table.name}"; names must be unique')
            if table.name == FLAP_BREAKER:
                self.problems.add((*key, "name"), "is the name of the guard's own breaker; take another")
            names.add(table.name)
            rule = RuleReader(table, broken, key, frame, self.problems).read()
            if table.http is not None:
                access[table.name] = AccessReader(self.problems, key, self._path, broken).read(table)
            if rule is not None:
                rules.append(rule)
        return tuple(rules), access


def databases_known(document: Document, read_well: tuple[DatabaseSettings, ...]) -> dict[str, bool]:
    """All databases that the file names, even those with a mistake: a rule that names one is not wrong for it."""
    named = document.tables.get("database")
    known = dict.fromkeys(named if isinstance(named, dict) else (), True)
    return known | {database.name: database.expects_standbys for database in read_well}
