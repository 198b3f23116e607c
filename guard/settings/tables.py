"""The tables of the file as pydantic sees them: which keys there are, and of which kind each is.

What one key means beside another (limits and metrics, intervals and leases) is left to guard.settings.rules and
guard.settings.loading.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from guard.settings.kinds import (
    Command,
    ConditionText,
    Dsn,
    File,
    Flag,
    FlapText,
    GuardName,
    Headers,
    JsonPath,
    Lasting,
    Long,
    Medium,
    Name,
    NoDataText,
    Selection,
    Short,
    SlackChannel,
    Standbys,
    Text,
    Texts,
    Traffic,
    Url,
    Username,
    lasting,
)


class Table(BaseModel):
    # Messages never show what was given: it may be a secret in the wrong place.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class GuardTable(Table):
    """[guard]: the guard itself, and what bounds a pause."""

    id: GuardName | None = None
    """Who guards; default: the host's name. Two guards with different ids never take each other's lead."""
    poll_interval: Short = 1.0
    """How often each signal is read while a migration runs."""
    idle_interval: Medium | None = None
    """How often while none does; locks and activity are read at `poll_interval` all the same. Default: 10s, or
    `poll_interval` where that is longer."""
    lease: Medium = 10.0
    """Migrations hold by themselves when the guard has been silent for this long. Three beats at least; there is one a
    second, or one a poll where that is slower."""
    probe_deadline: Short = 2.0
    """A probe that takes longer is given up, and its value is unknown."""
    mode: Literal["enforce", "observe"] = "enforce"
    """`observe`: decide and tell, and order nothing."""
    state_directory: File | None = None
    """Where the journal and the flight recorder are. Default: `$STATE_DIRECTORY`, which systemd sets, else
    `~/.local/state/migration-guard`."""
    flap: FlapText | None = None
    """Paused so often in that time, a run stays paused until `migration-guard resume NAME`. Off unless given: a
    backfill that a slow standby throttles is paused each minute, and does its work."""
    shortest_pause: Annotated[float, BeforeValidator(lasting(0.0, 3600.0))] = 0.0
    """The least time of a pause, beside what each rule's `resume` asks for."""
    longest_pause: Lasting = 3600.0
    """A pause that lasts so long is told again, then after twice the time, and so on."""
    longest_unknown: Lasting = 600.0
    """A signal that nobody has seen for so long is told once."""
    longest_fence: Annotated[float, BeforeValidator(lasting(0.0, 3600.0))] = 60.0
    """For how long a migration may declare that it must not be cancelled; `0s`: never."""
    baseline_window: Annotated[float, BeforeValidator(lasting(1.0, 86_400.0))] = 1800.0
    """`1.5x baseline` is the median of so much time before a migration begins (docs/concepts.md#drift)."""
    baseline_for: Lasting = 86_400.0
    """And for how long that holds; not shorter than `baseline_window`."""


class DatabaseTable(Table):
    """[database.NAME]: one section for each database that this daemon guards; the name is yours. Its variables have it
    in capitals, with `_` for `-`."""

    dsn: Dsn | None = None
    """Several hosts are all asked, and the primary with the highest timeline leads. It, or `dsn_file`, or the variable
    `MIGRATION_GUARD_DATABASE_NAME_DSN`, which wins over both. Never a password in it."""
    dsn_file: File | None = None
    """It holds the connection string."""
    password_file: File | None = None
    """It holds the password; the variable `MIGRATION_GUARD_DATABASE_NAME_PASSWORD` wins, and libpq's own `~/.pgpass`
    works too."""
    standbys: Standbys
    """application_names of the standbys that must be streaming, or how many of them (names change in a failover); `[]`
    says none, on purpose. One that is missing makes its lag unknown, never zero."""
    batch_limit: Short = 2.0
    """The longest batch expected: a pause by advisory lock waits twice as long for one to end."""
    standby_dsns: dict[str, Any] = Field(default_factory=dict)
    """By the standby's name, where it is asked itself how far it has replayed: for standbys that the primary does not
    show. One connection more each; `password_file` serves them too."""


class MigrationsTable(Table):
    """[migrations]: how sessions of a migration are recognised that have not registered themselves. Only these and
    registered ones are ever cancelled."""

    roles: Texts = ()
    """Roles that serve migrations and nobody else."""
    application_names: Texts = ()
    """And, where given, the session's application_name has to fit one of these; `*` stands for anything."""
    let_finish: Flag = True
    """Spare CREATE INDEX CONCURRENTLY, VACUUM, VALIDATE and DETACH CONCURRENTLY from being cancelled."""
    grace: Annotated[float, BeforeValidator(lasting(1.0, 3600.0))] = 30.0
    """Who is told to pause may be at work for so long before it is told of."""
    ignored: Literal["warn", "cancel", "terminate", "abort"] = "warn"
    """What may follow then: nothing, a cancel, an end of the session, or an abort, each after those before it did not
    help (docs/concepts.md#who-does-not-keep-to-it)."""


class AccessTable(Table):
    """How a source is asked by HTTP."""

    username: Username | None = None
    """With `password_file`: basic authentication."""
    password_file: File | None = None
    """Read at each request."""
    bearer_token_file: File | None = None
    """A token for the Authorization header, in place of a user; read at each request."""
    ca_file: File | None = None
    """Certificates (PEM) of who may vouch for an https source; default: the well-known authorities."""
    headers: Headers = Field(default_factory=dict)
    """Further headers, such as a tenant's."""


class RuleTable(AccessTable):
    """[[rule]]: what is measured, and its limits. Exactly one of `metric`, `sql`, `prometheus` and `http`. The keys by
    which a source is asked go with `http` alone."""

    name: Name
    """What people call it; unique."""
    metric: Text | None = None
    """One of docs/sensors.md."""
    select: Selection = Field(default_factory=dict)
    """One standby, slot or the like alone."""
    sql: Text | None = None
    """A query of one row with one number, asked read-only (docs/sensors.md#sql)."""
    prometheus: Text | None = None
    """A query of Prometheus that yields one number."""
    http: Url | None = None
    """Where a JSON document is fetched."""
    json_path: JsonPath | None = Field(default=None, alias="json")
    """In that document: `latency.p99`, `checks[0].p99`, `stats["http.p99"]`."""
    unit: Text | None = None
    """What the source answers in: us, ms, s, B, kB, MB, GB, ratio, % or count. Default: as the limits have it, in
    seconds, bytes, a ratio of 0..1, or a plain count."""
    as_: Literal["rate"] | None = Field(default=None, alias="as")
    """`rate`: what `http` or `sql` answers is a counter, and its growth per second is judged."""
    traffic: Text | None = None
    """Beside `prometheus`: a query of how much there is to judge by."""
    min_traffic: Traffic | None = None
    """Below so much `traffic` the rule abstains: one error of three at night is no breach."""
    warn: ConditionText | None = None
    """Past it people can see a warning; nothing is ordered."""
    pause: ConditionText | None = None
    """Past it migrations are told to pause."""
    cancel: ConditionText | None = None
    """Past it whoever of the migration holds up others is cancelled; for the first four of `locks.*` alone."""
    rollback: ConditionText | None = None
    """Past it the change is taken back, as `[rollback]` permits; not for what goes down by itself under a pause."""
    resume: ConditionText | None = None
    """When a paused migration may go on. Default: 70 % of the limit for 10s; of a count that must not be below its
    limit, at the limit."""
    no_data: NoDataText = ("pause", None)
    """What an unknown value means; `hold`: stay as you are. Without a time, `pause` is after 3s."""
    stale_after: Medium | None = None
    """From which age on a value is unknown. Default: five polls, at least 5s, at most the lease."""
    waited: Medium | None = None
    """For `locks.queued_behind_migration` and its like: sessions that have each waited so long count."""
    databases: Texts = ()
    """To which it applies; default: all."""
    migrations: Texts = ()
    """To which it applies, by name or pattern; default: all."""


class PrometheusTable(AccessTable):
    """[prometheus]: needed by rules with `prometheus`; or what speaks like it (Thanos, Mimir, VictoriaMetrics). The
    variables `MIGRATION_GUARD_PROMETHEUS_PASSWORD` and `MIGRATION_GUARD_PROMETHEUS_BEARER_TOKEN` win over the
    files."""

    url: Url
    """Its address, without `/api/v1`."""
    timeout: Short = 1.5
    """For one query; below `probe_deadline`, so that the reason is its own."""


class RollbackTable(Table):
    """[rollback]: the hook that takes a change back, at most once a run. No shell; the facts come as JSON on its
    standard input (docs/operations.md#the-rollback-hook). `[migration.NAME.rollback]` is that of one migration."""

    command: Command
    """The program and its arguments."""
    timeout: Annotated[float, BeforeValidator(lasting(1.0, 86_400.0))] = 300.0
    """After it the hook's whole process group is ended."""
    environment: Texts = ("PATH", "HOME", "LANG", "TZ")
    """The daemon's variables that the hook may see."""
    auto_rollback: Flag = False
    """Fire also after the run has ended well, while it soaks; else a human is shown the command."""
    runner: Literal["daemon", "unit"] = "daemon"
    """`unit`: migration-guard-rollback.service runs it (docs/operations.md#in-a-unit-of-its-own)."""
    verify: Text | None = None
    """A query that answers true once the rollback has had its effect, asked after an exit code of 0, read-only, within
    15 s. Anything else is told as unverified."""


class CheckTable(Table):
    """[verify.CHECK]: a check of the data before and after a run (docs/phases.md). One of `no_rows` and `same`.
    `[migration.NAME.verify.CHECK]` is one of one migration."""

    no_rows: Text | None = None
    """A query that must return no row; what it returns are the offending ones, so let it select keys."""
    same: Text | None = None
    """A query of one row that must be the same before and after."""
    on_failure: Literal["tell", "rollback"] = "tell"
    """`rollback`: as `[rollback]` permits."""
    databases: Texts = ()
    """Where it is asked; default: in all."""


class GateTable(Table):
    """[migration.NAME.phase.PHASE.CHECK]: what must hold before a deployment enters a phase (docs/phases.md)."""

    no_rows: Text
    """A query that must return no row."""
    databases: Texts = ()
    """Where it is asked; default: in all."""


class MigrationTable(Table):
    """[migration.NAME]: what differs for one migration, or for those of a pattern (`[migration."region-*"]`); the
    longest that fits counts."""

    rollback: dict[str, Any] | None = None
    """A table like `[rollback]`, in its place."""
    soak: Long = 600.0
    """Time after a good end in which rules still apply."""
    verify: Any = None
    """Tables like `[verify.CHECK]`, beside those or, by the same name, in their place."""
    phase: Any = None
    """Tables of checks by phase."""


class RouteTable(Table):
    """Of what a channel is told."""

    least: Literal["info", "warning", "critical"] = "info"
    """How grave a notice must be. The end of what a channel was told of is told there too, whatever it is."""
    databases: Texts = ()
    """Notices of these databases; default: of all."""
    migrations: Texts = ()
    """Notices of these migrations, by name or pattern, and those that concern no single one; default: of all."""


class SlackTable(RouteTable):
    """[slack]: an incoming webhook, or a bot token and its channel (docs/slack.md). Where the file names no secret, the
    systemd credential `slack-webhook` is used if there is one, or `slack-bot-token` beside a channel."""

    webhook_url_file: File | None = None
    """It holds the webhook's URL; the variable `MIGRATION_GUARD_SLACK_WEBHOOK_URL` wins."""
    bot_token_file: File | None = None
    """In place of a webhook: it holds the bot's token; the variable `MIGRATION_GUARD_SLACK_BOT_TOKEN` wins."""
    channel: SlackChannel | None = None
    """Where the bot posts; the variable `MIGRATION_GUARD_SLACK_CHANNEL` wins."""
    api_url: Url = "https://slack.com/api"
    """Where the bot finds Slack; of GovSlack `https://slack-gov.com/api`."""


SECTIONS: Final = (
    "guard",
    "database",
    "migrations",
    "rule",
    "prometheus",
    "rollback",
    "verify",
    "migration",
    "slack",
    "channel",
    "page",
)
