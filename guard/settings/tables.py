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
    id: GuardName | None = None
    poll_interval: Short = 1.0
    idle_interval: Medium | None = None
    lease: Medium = 10.0
    probe_deadline: Short = 2.0
    mode: Literal["enforce", "observe"] = "enforce"
    state_directory: File | None = None
    flap: FlapText | None = None
    shortest_pause: Annotated[float, BeforeValidator(lasting(0.0, 3600.0))] = 0.0
    longest_pause: Lasting = 3600.0
    longest_unknown: Lasting = 600.0
    longest_fence: Annotated[float, BeforeValidator(lasting(0.0, 3600.0))] = 60.0
    baseline_window: Annotated[float, BeforeValidator(lasting(1.0, 86_400.0))] = 1800.0
    baseline_for: Lasting = 86_400.0


class DatabaseTable(Table):
    dsn: Dsn | None = None
    dsn_file: File | None = None
    password_file: File | None = None
    standbys: Standbys
    batch_limit: Short = 2.0
    standby_dsns: dict[str, Any] = Field(default_factory=dict)


class MigrationsTable(Table):
    roles: Texts = ()
    application_names: Texts = ()
    let_finish: Flag = True
    grace: Annotated[float, BeforeValidator(lasting(1.0, 3600.0))] = 30.0
    ignored: Literal["warn", "cancel", "terminate", "abort"] = "warn"


class AccessTable(Table):
    """How a source is asked by HTTP."""

    username: Username | None = None
    password_file: File | None = None
    bearer_token_file: File | None = None
    ca_file: File | None = None
    headers: Headers = Field(default_factory=dict)


class RuleTable(AccessTable):
    name: Name
    metric: Text | None = None
    select: Selection = Field(default_factory=dict)
    sql: Text | None = None
    prometheus: Text | None = None
    http: Url | None = None
    json_path: JsonPath | None = Field(default=None, alias="json")
    unit: Text | None = None
    as_: Literal["rate"] | None = Field(default=None, alias="as")
    traffic: Text | None = None
    min_traffic: Traffic | None = None
    warn: ConditionText | None = None
    pause: ConditionText | None = None
    cancel: ConditionText | None = None
    rollback: ConditionText | None = None
    resume: ConditionText | None = None
    no_data: NoDataText = ("pause", None)
    stale_after: Medium | None = None
    waited: Medium | None = None
    databases: Texts = ()
    migrations: Texts = ()


class PrometheusTable(AccessTable):
    url: Url
    timeout: Short = 1.5


class RollbackTable(Table):
    command: Command
    timeout: Annotated[float, BeforeValidator(lasting(1.0, 86_400.0))] = 300.0
    environment: Texts = ("PATH", "HOME", "LANG", "TZ")
    auto_rollback: Flag = False
    runner: Literal["daemon", "unit"] = "daemon"
    verify: Text | None = None


class CheckTable(Table):
    no_rows: Text | None = None
    same: Text | None = None
    on_failure: Literal["tell", "rollback"] = "tell"
    databases: Texts = ()


class GateTable(Table):
    no_rows: Text
    databases: Texts = ()


class MigrationTable(Table):
    rollback: dict[str, Any] | None = None
    soak: Long = 600.0
    verify: Any = None
    phase: Any = None


class SlackTable(Table):
    webhook_url_file: File | None = None


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
)
