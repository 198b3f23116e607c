"""From [[rule]] tables to rules: which metric allows which limit, and what follows where nothing is said."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from guard.judge.baselines import Gathering
from guard.judge.conditions import ConditionError, both_can_hold, complement, dimension_of, parse_condition
from guard.judge.quantities import say_seconds
from guard.model import Condition, Dimension, NoData, Rule
from guard.model.metric import labelled
from guard.model.sensors import CANCELLING, COUNTING_WAITERS, METRICS
from guard.settings.access import KEYS
from guard.settings.direction import check_direction
from guard.settings.drifting import check_baselines
from guard.settings.lines import Key
from guard.settings.problems import Problems, did_you_mean
from guard.settings.selecting import check_select
from guard.settings.tables import RuleTable
from guard.settings.values import GuardSettings

ONE_PRIMARY: Final = "one primary"
ONE_PRIMARY_METRIC: Final = "database.primaries"
UNITS: Final[Mapping[str, tuple[Dimension, float]]] = {
    "s": (Dimension.SECONDS, 1.0),
    "ms": (Dimension.SECONDS, 1e-3),
    "us": (Dimension.SECONDS, 1e-6),
    "B": (Dimension.BYTES, 1.0),
    "kB": (Dimension.BYTES, 1024.0),
    "MB": (Dimension.BYTES, 1024.0**2),
    "GB": (Dimension.BYTES, 1024.0**3),
    "ratio": (Dimension.RATIO, 1.0),
    "%": (Dimension.RATIO, 0.01),
    "count": (Dimension.COUNT, 1.0),
}
"""In what a source answers. Without it: seconds, bytes, 0..1 or a count, as the limits' own units tell."""

WAITED: Final = 2.0
"""A session that has waited this long for a lock is no longer in the common run of short waits; deadlock_timeout is
half of it, so those that PostgreSQL ends by itself are gone by then."""
NO_DATA_FOR: Final = 3.0
"""One missed poll is noise, three are not; and pausing is cheap."""
_SOURCES: Final = ("metric", "sql", "prometheus", "http")
_NO_COUNTERS: Final[Mapping[str, str]] = {
    "prometheus": "in PromQL a counter's growth per second is rate(NAME[1m])",
    "metric": "metrics that count are rates already",
}
_LADDER: Final = ("warn", "pause", "cancel", "rollback")


@dataclass(frozen=True, slots=True)
class Frame:
    """What the rest of the file means for rules."""

    poll_interval: float
    lease: float
    databases: Mapping[str, bool]
    """Name, and whether standbys are expected."""
    has_prometheus: bool
    has_hook: bool
    gathering: Gathering = field(default_factory=Gathering)
    usable: bool = True
    """False where these could not be read: then nothing is measured against them."""

    @property
    def stale_after(self) -> float:
        return usual_stale_after(self.poll_interval, self.lease)


@dataclass(slots=True)
class RuleReader:
    """Reads one [[rule]]."""

    table: RuleTable
    broken: frozenset[str]
    key: Key
    frame: Frame
    problems: Problems
    _limits: dict[str, Condition] = field(default_factory=dict)

    def read(self) -> Rule | None:
        """The rule; None if it has a problem, which is then noted."""
        source = self._source()
        if source is None:
            return None
        kind, dimension, scale = source
        self._read_limits(dimension)
        check_direction(METRICS.get(kind), self._limits, self.key, self.problems)
        dimension = dimension or self._told_dimension()
        self._check_rungs(kind)
        self._check_scope(kind)
        resume = self._resume()
        stale_after = self._stale_after()
        if resume is None or self.broken:
            return None
        table, (no_data, no_data_for) = self.table, self.table.no_data
        waited = table.waited or WAITED
        return Rule(
            name=table.name,
            sensor=self._sensor(kind, waited),
            metric=kind,
            dimension=dimension,
            resume=resume,
            no_data=NoData(no_data),
            no_data_for=NO_DATA_FOR if no_data_for is None else no_data_for,
            stale_after=stale_after,
            databases=table.databases,
            migrations=table.migrations,
            waited=waited,
            query=table.sql or table.prometheus or table.http or "",
            json_path=table.json_path or "",
            traffic=table.traffic or "",
            min_traffic=table.min_traffic or 0.0,
            scale=scale,
            rate=table.as_ is not None,
            select=tuple(sorted(table.select.items())),
            **{rung: self._limits.get(rung) for rung in _LADDER},
        )

    def _note(self, name: str, message: str) -> None:
        self.problems.add((*self.key, name) if name else self.key, message)

    # -- the source ----------------------------------------------------------------------------------------------------

    def _source(self) -> tuple[str, Dimension | None, float] | None:
        table = self.table
        given = [name for name in _SOURCES if getattr(table, name) is not None]
        if len(given) != 1:
            if not self.broken & set(_SOURCES):
                self._note(given[1] if given else "", "needs exactly one of metric, sql, prometheus and http")
            return None
        self._check_companions(given[0])
        if table.metric is not None:
            if table.metric not in METRICS:
                self._note("metric", f"unknown metric; {did_you_mean(table.metric, METRICS)}")
                return None
            return table.metric, METRICS[table.metric].dimension, 1.0
        if table.prometheus is not None and not self.frame.has_prometheus:
            self._note("prometheus", "needs a section [prometheus] with its url")
        if table.unit is None:
            return given[0], None, 1.0
        if table.unit not in UNITS:
            self._note("unit", f"unknown unit; {did_you_mean(table.unit, UNITS)}")
            return None
        return given[0], *UNITS[table.unit]

    def _check_companions(self, source: str) -> None:
        table = self.table
        if table.json_path is not None and source != "http":
            self._note("json", "goes with http alone: the path of the number in its JSON answer")
        self._check_traffic(source)
        check_select(table, self.key, self.problems)
        where = "stands in [prometheus]" if source == "prometheus" else "goes with http alone"
        for name in KEYS if source != "http" else ():
            if name in table.model_fields_set:
                self._note(name, where)
        if table.unit is not None and source == "metric":
            self._note("unit", "goes with sql, prometheus and http; the unit of a metric is known")
        if table.as_ is not None and source in _NO_COUNTERS:
            self._note("as", f"goes with sql and http; {_NO_COUNTERS[source]}")
        if table.waited is not None and table.metric not in COUNTING_WAITERS:
            self._note("waited", f"goes with {' and '.join(sorted(COUNTING_WAITERS))}")

    def _check_traffic(self, source: str) -> None:
        pair = ("traffic", "min_traffic")
        given = [name for name in pair if getattr(self.table, name) is not None]
        if source != "prometheus":
            for name in given:
                self._note(name, "goes with prometheus alone")
        elif len(given) == 1 and not self.broken & set(pair):
            other = "min_traffic" if given == ["traffic"] else "traffic"
            self._note(given[0], f"needs {other} as well: below it the rule abstains")

    def _sensor(self, kind: str, waited: float) -> str:
        as_told = "|as=rate" if self.table.as_ else ""
        if kind in COUNTING_WAITERS:
            return f"{labelled(kind, self.table.select.items())}|waited={waited:g}s"
        return labelled(kind, self.table.select.items()) if kind in METRICS else f"{kind}:{self.table.name}{as_told}"

    # -- limits --------------------------------------------------------------------------------------------------------

    def _read_limits(self, dimension: Dimension | None) -> None:
        for name in (*_LADDER, "resume"):
            text = getattr(self.table, name)
            if text is None:
                continue
            try:
                condition = parse_condition(text, dimension)
            except ConditionError as wrong:
                self._note(name, str(wrong))
                continue
            self._limits[name] = condition
            # The first limit with a unit tells the kind for all.
            dimension = dimension or dimension_of(condition)
        check_baselines(self._limits, self.frame.gathering, self.key, self.problems)

    def _told_dimension(self) -> Dimension:
        told = (dimension_of(condition) for condition in self._limits.values())
        return next((dimension for dimension in told if dimension is not None), Dimension.COUNT)

    def _check_rungs(self, kind: str) -> None:
        given = {rung for rung in _LADDER if rung in self.broken or getattr(self.table, rung) is not None}
        if not given:
            self._note("", "needs at least one limit: warn, pause, cancel or rollback")
        if "cancel" in given and kind not in CANCELLING:
            allowed = ", ".join(name for name in METRICS if name in CANCELLING)
            self._note("cancel", f"cures a lock queue behind the migration and nothing else; it goes with {allowed}")
        if "rollback" in given and kind in METRICS and METRICS[kind].drains:
            self._note("rollback", f"must not rest on {kind}, which goes down by itself once the migration is paused")
        elif "rollback" in given and not self.frame.has_hook:
            self._note("rollback", "needs a hook: a section [rollback] or [migration.NAME.rollback] with its command")

    def _resume(self) -> Condition | None:
        stops = [rung for rung in ("pause", "cancel", "rollback") if rung in self._limits]
        mildest = next((rung for rung in (*stops, "warn") if rung in self._limits), None)
        if mildest is None or (self.table.resume is not None and "resume" not in self._limits):
            return None
        resume = self._limits.get("resume") or complement(self._limits[mildest])
        for rung in stops:
            if both_can_hold(self._limits[rung], resume):
                told = "is" if "resume" in self._limits else f'is by default "{resume.text}", which is'
                limit = self._limits[rung].text
                self._note("resume", f'{told} within the {rung} limit "{limit}"; it must lie clear of it')
        return resume

    # -- scope ---------------------------------------------------------------------------------------------------------

    def _check_scope(self, kind: str) -> None:
        known = self.frame.databases
        for name in self.table.databases:
            if name not in known:
                self._note("databases", f"there is no [database.{name}]; {did_you_mean(name, known)}")
        mine = [known[name] for name in self.table.databases or known if name in known]
        if kind.startswith("replication.lag") and mine and not any(mine) and not self.table.select:
            self.problems.warn(self.key, "measures nothing: none of its databases has standbys")

    def _stale_after(self) -> float:
        given, frame = self.table.stale_after, self.frame
        if given is None or not frame.usable:
            return given or frame.stale_after
        if given < 2 * frame.poll_interval:
            self._note("stale_after", f"must be at least two polls: {say_seconds(2 * frame.poll_interval)}")
        elif given > frame.lease:
            self._note("stale_after", f"must not be longer than the lease of {say_seconds(frame.lease)}")
        return given


def default_rules(frame: Frame, problems: Problems) -> tuple[Rule, ...]:
    """What is watched where the file has no rule.

    Ten seconds of lag are far above what a healthy standby shows and far below what readers of one complain about.
    Three sessions that have each waited two seconds for a table are a queue that only grows; one may be chance.
    The last tenth of the connections is for the application's own peaks. A slot that keeps 10 GB has a consumer that is
    gone or cannot follow; a migration only makes more of it, and a full disk stops the server.
    """
    with_standbys = [name for name, expected in frame.databases.items() if expected]
    lag = {"name": "replica lag", "metric": "replication.lag", "pause": "> 10s for 5s", "databases": with_standbys}
    queue = {"name": "lock queue", "metric": "locks.queued_behind_migration", "cancel": ">= 3"}
    used = {
        "name": "connections",
        "metric": "activity.connections_used",
        "pause": "> 90% for 5s",
        "resume": "< 85% for 10s",
    }
    kept = {
        "name": "retained WAL",
        "metric": "replication.retained_bytes",
        "pause": "> 10GB for 5s",
        "resume": "< 8GB for 10s",
    }
    everywhere = [queue, used, kept]
    tables = [RuleTable.model_validate(table) for table in ([lag, *everywhere] if with_standbys else everywhere)]
    read = (RuleReader(table, frozenset(), ("rule",), frame, problems).read() for table in tables)
    return tuple(rule for rule in read if rule is not None)


def one_primary(guard: GuardSettings, taken: Collection[str]) -> Rule:
    """What is watched where a database has several hosts: two that say they are the primary are a split brain.

    Which of them the application writes to nobody here can know, so nothing is migrated until one is left. A host that
    does not answer is not counted. *taken* are the names of the file's own rules.
    """
    return Rule(
        name=ONE_PRIMARY if ONE_PRIMARY not in taken else ONE_PRIMARY_METRIC,
        sensor=ONE_PRIMARY_METRIC,
        metric=ONE_PRIMARY_METRIC,
        dimension=Dimension.COUNT,
        pause=parse_condition("> 1", Dimension.COUNT),
        resume=parse_condition("<= 1 for 10s", Dimension.COUNT),
        no_data=NoData.IGNORE,
        stale_after=usual_stale_after(guard.poll_interval, guard.lease),
    )


def usual_stale_after(poll_interval: float, lease: float) -> float:
    """Five polls, at least 5 s: one slow probe does not make a value unknown; never longer than the lease."""
    return min(max(5.0, 5 * poll_interval), lease)
