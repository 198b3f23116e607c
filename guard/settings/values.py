"""What the program is told, as frozen values in base units. Rules are those of guard.model.

Nothing here reads a file or the environment, except that a Secret looks into its own file when it is revealed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from guard.decide.bounds import USUAL_BOUNDS, Bounds
from guard.errors import Problem, WorldError
from guard.judge.baselines import Gathering
from guard.masking import remember
from guard.model import Check, Rule, Severity
from guard.model.patterns import entry_for
from guard.postgres.dsn import flaw_of
from guard.settings.secret import Secret

WATCHDOG = 30.0
"""WatchdogSec of the units that are shipped, in seconds; it has to be above two of the longest rounds."""
SOAK = 600.0
"""Ten minutes: an error rate over some minutes has then seen nothing but the time after the run."""


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """[guard]. All times in seconds."""

    id: str
    poll_interval: float = 1.0
    idle_interval: float = 10.0
    lease: float = 10.0
    probe_deadline: float = 2.0
    observe: bool = False
    """Decide and tell, but order nothing."""
    state_directory: Path = Path()
    bounds: Bounds = USUAL_BOUNDS
    gathering: Gathering = field(default_factory=Gathering)
    """Of the readings that baselines are made of."""

    @property
    def longest_round(self) -> float:
        """Seconds until every source was asked and judged once more: at rest, or while a server keeps silent."""
        return max(self.idle_interval, self.poll_interval + 2 * self.probe_deadline)


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """[database.NAME]."""

    name: str
    dsn: Secret
    standbys: tuple[str, ...] | int
    """application_names that must be streaming, or how many; `()` and 0 mean none, on purpose."""
    password: Secret | None = None
    batch_limit: float = 2.0
    """Longest batch expected, in seconds; the advisory pause lock waits twice this long for one to end."""
    standby_dsns: Mapping[str, Secret] = field(default_factory=dict)
    """Where standbys are asked themselves, by their names."""

    @property
    def expects_standbys(self) -> bool:
        return self.standbys > 0 if isinstance(self.standbys, int) else bool(self.standbys)

    def conninfo(self, *, with_password: bool = True) -> str:
        """The connection string: a secret. Raises WorldError when a credential cannot be had.

        *with_password* False leaves out the password that is kept apart from it.
        """
        text, _ = _read(self.dsn)
        return self._with_password(text) if with_password else text

    def standby_conninfo(self, name: str) -> str:
        """That of a standby: a secret. Roles and their passwords are the primary's, so the same password serves where
        its own string holds none. Raises WorldError when a credential cannot be had.
        """
        text, password = _read(self.standby_dsns[name])
        return text if password else self._with_password(text)

    def _with_password(self, text: str) -> str:
        if self.password is None:
            return text
        try:
            return make_conninfo(text, password=self.password.reveal())
        except (ProgrammingError, ValueError):
            raise WorldError(f"{self.password.source} holds no password that libpq can send.") from None

    @property
    def address(self) -> str:
        """Host, port, database and user for people; never the password."""
        try:
            text = self.dsn.reveal()
        except WorldError:
            return self.dsn.source
        if flaw_of(text):
            return self.dsn.source
        parts = conninfo_to_dict(text)
        shown = ("host", "hostaddr", "port", "dbname", "user")
        return " ".join(f"{key}={parts[key]}" for key in shown if parts.get(key)) or self.dsn.source


def _read(dsn: Secret) -> tuple[str, str]:
    """A connection string and the password in it, which the log masks from now on. Raises WorldError."""
    text = dsn.reveal()
    if flaw := flaw_of(text):
        raise WorldError(f"{dsn.source} {flaw}.")
    password = str(conninfo_to_dict(text).get("password") or "")
    remember(password)
    return text, password


@dataclass(frozen=True, slots=True)
class Recognition:
    """[migrations]: a session is a migration's by role and, where given, name too. Empty: by registration alone."""

    roles: tuple[str, ...] = ()
    application_names: tuple[str, ...] = ()
    """Patterns in which `*` stands for anything; every other character for itself."""
    let_finish: bool = True
    """Spare what stops no reader or writer by itself, such as CREATE INDEX CONCURRENTLY, from being cancelled."""
    grace: float = 30.0
    """Seconds that a run may take to keep to a pause: fifteen times the usual `batch_limit`, so that no batch,
    nor the rollback of a cancelled one, is mistaken for a migration that does not listen."""
    ignored: tuple[str, ...] = ()
    """The rungs (guard.decide.obeying) that may be taken where one is at work after that."""


@dataclass(frozen=True, slots=True)
class RollbackSettings:
    """[rollback] or [migration.NAME.rollback]: the hook."""

    command: tuple[str, ...]
    timeout: float = 300.0
    environment: tuple[str, ...] = ("PATH", "HOME", "LANG", "TZ")
    """Names of the daemon's own variables that the hook may see."""
    auto_rollback: bool = False
    """Fire in the soak too, after the run has ended well; otherwise a human is shown the command."""
    by_unit: bool = False
    """A systemd unit of its own runs the hook, and not the daemon."""
    verify: str | None = None
    """A query that answers true where the rollback has had its effect."""


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """One check of the data, and in which databases it is asked."""

    check: Check
    databases: tuple[str, ...] = ()
    """Empty: all."""


@dataclass(frozen=True, slots=True)
class MigrationSettings:
    """[migration.NAME], or what holds for a migration without such a section."""

    name: str
    rollback: RollbackSettings | None = None
    soak: float = SOAK
    """Seconds after a good end in which rules still apply."""
    checks: tuple[CheckSettings, ...] = ()
    """Asked before and after each run: its own, and those of [verify] that it does not replace by name."""
    phases: Mapping[str, tuple[CheckSettings, ...]] = field(default_factory=dict)
    """What must hold before a deployment enters a phase, by the phase's name."""

    def checks_of(self, database: str) -> tuple[Check, ...]:
        """Those that are asked in a database before and after each run."""
        return _asked_in(self.checks, database)

    def gate(self, phase: str, database: str) -> tuple[Check, ...]:
        """Those of a phase. Raises KeyError."""
        return _asked_in(self.phases[phase], database)


def _asked_in(checks: Iterable[CheckSettings], database: str) -> tuple[Check, ...]:
    return tuple(each.check for each in checks if not each.databases or database in each.databases)


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """How a source is asked by HTTP, beside its address."""

    username: str | None = None
    password: Secret | None = None
    bearer: Secret | None = None
    ca_file: Path | None = None
    """Certificates (PEM) of those who may vouch for the source; None: the well-known authorities."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class PrometheusSettings:
    """[prometheus]."""

    url: str
    timeout: float = 1.5
    """Seconds for one query; below the probe deadline, so that the reason is Prometheus' own."""
    access: AccessSettings = AccessSettings()


@dataclass(frozen=True, slots=True)
class RouteSettings:
    """Of what a channel is told; empty: of all."""

    least: Severity = Severity.INFO
    databases: tuple[str, ...] = ()
    migrations: tuple[str, ...] = ()
    """Names or patterns."""


@dataclass(frozen=True, slots=True)
class SlackBotSettings:
    """[slack] with a bot token."""

    token: Secret
    channel: str
    """Its id or its name."""
    api_url: str


@dataclass(frozen=True, slots=True)
class SlackSettings:
    """[slack], or what was found of it in the environment or among systemd's credentials: a webhook or a bot."""

    webhook: Secret | None = None
    bot: SlackBotSettings | None = None
    route: RouteSettings = RouteSettings()


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """[[channel]]: a further way on which people are told."""

    name: str
    kind: str
    """`webhook` or `apprise`."""
    url: Secret
    secret: Secret | None = None
    """By which a webhook is signed; it has one."""
    route: RouteSettings = RouteSettings()


@dataclass(frozen=True, slots=True)
class PageSettings:
    """[page]: an address and a port, or the path of a Unix socket."""

    host: str
    port: int
    path: Path | None = None
    hosts: tuple[str, ...] = ()
    token: Secret | None = None
    tls: tuple[Path, Path] | None = None
    """Certificate and key."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One configuration file and what the environment adds, checked whole."""

    path: Path
    guard: GuardSettings
    databases: tuple[DatabaseSettings, ...]
    rules: tuple[Rule, ...]
    default_rules: bool = False
    """The file has no rule; `rules` are the built-in ones."""
    recognition: Recognition = Recognition()
    rollback: RollbackSettings | None = None
    checks: tuple[CheckSettings, ...] = ()
    """[verify]: before and after each run of any migration."""
    migrations: Mapping[str, MigrationSettings] = field(default_factory=dict)
    """By name, or by a pattern in which `*` stands for anything."""
    prometheus: PrometheusSettings | None = None
    access: Mapping[str, AccessSettings] = field(default_factory=dict)
    """How the source of a rule with `http` is asked, by the rule's name."""
    slack: SlackSettings | None = None
    channels: tuple[ChannelSettings, ...] = ()
    """In the order of the file."""
    page: PageSettings | None = None
    """None: nobody listens."""
    warnings: tuple[Problem, ...] = ()
    """What is allowed and most likely not meant."""

    def migration(self, name: str) -> MigrationSettings:
        """Settings of a migration: its own section, else that of the longest pattern, else what holds for all."""
        found = entry_for(self.migrations, name)
        return found or MigrationSettings(name=name, rollback=self.rollback, checks=self.checks)

    def rules_of(self, database: str) -> tuple[Rule, ...]:
        """The rules that apply to a database."""
        return tuple(rule for rule in self.rules if not rule.databases or database in rule.databases)
