"""Every metric that `/metrics` has, with its labels and its meaning: collect.py fills them, docs/metrics.md tells them.

No label holds free text: names of the configuration and of migrations, and codes of small fixed sets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

PREFIX: Final = "migration_guard_"
ORDER_CODES: Final = {"proceed": 0, "pause": 1, "abort": 2}
CANNOT_KNOW: Final = -1
LEVEL_CODES: Final = {"fine": 0, "warn": 1, "pause": 2, "cancel": 3, "rollback": 4, "unknown": -1}


@dataclass(frozen=True, slots=True)
class Meter:
    """One metric. `name` goes without PREFIX, and a counter's without `_total`."""

    name: str
    kind: Literal["gauge", "counter", "histogram", "summary"]
    means: str
    labels: tuple[str, ...] = ()

    @property
    def full(self) -> str:
        """As Prometheus has it."""
        return PREFIX + self.name + "_total" * (self.kind == "counter")

    @property
    def series(self) -> tuple[str, ...]:
        """The names that an expression may use."""
        parts = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}.get(self.kind, ("",))
        return tuple(self.full + part for part in parts)


_DATABASE = ("database",)
_MIGRATION = ("database", "migration")
_PROBE = ("database", "probe")
_RULE = ("database", "rule")
_CHANNEL = ("channel",)
_LEVELS = ", ".join(f"{code} {level}" for level, code in sorted(LEVEL_CODES.items(), key=lambda each: each[1]))

DAEMON: Final = (
    Meter("build_info", "gauge", "1; which version runs on which Python", ("version", "python")),
    Meter("journal_trouble", "gauge", "1 while what is to be told is kept in memory alone, since its file fails"),
    Meter("recorder_trouble", "gauge", "1 while the flight recorder cannot be written"),
    Meter(
        "reload_refused",
        "gauge",
        "1 while the configuration in force is not that of the file, whose reload was refused",
    ),
    Meter("outbox_waiting", "gauge", "notices that have not arrived yet", _CHANNEL),
    Meter("outbox_oldest_seconds", "gauge", "how long the oldest of those has waited; 0 where none waits", _CHANNEL),
    Meter("outbox_dead", "gauge", "notices that were given up, of the last 2000", _CHANNEL),
    Meter("channel_trouble", "gauge", "1 while the last attempt to send has failed", _CHANNEL),
)
GUARD: Final = (
    Meter(
        "guarding", "gauge", "1 while this process guards the database; 0: it has ended, such as by fencing", _DATABASE
    ),
    Meter(
        "mode",
        "gauge",
        "1 for the mode that it is in: live, dormant, observing, released or dead",
        (*_DATABASE, "mode"),
    ),
    Meter(
        "can_signal", "gauge", "1 while it leads and can write orders; migrations hold when the lease ends", _DATABASE
    ),
    Meter("can_see", "gauge", "1 while it can read who migrates", _DATABASE),
    Meter("judged_age_seconds", "gauge", "since the last judgement", _DATABASE),
    Meter("asked_age_seconds", "gauge", "since the probe that has rested longest was asked", _DATABASE),
    Meter("patience_seconds", "gauge", "from which of these two ages on the guard counts as stuck", _DATABASE),
    Meter("lease_seconds", "gauge", "how long a beat is good for", _DATABASE),
    Meter(
        "beat_age_seconds",
        "gauge",
        "since the last beat that was written; there is none while nobody migrates",
        _DATABASE,
    ),
    Meter(
        "lease_remaining_seconds",
        "gauge",
        "lease less the age of the beat, below 0 once it has expired; only in mode live, since only then it beats",
        _DATABASE,
    ),
    Meter("decision_seconds", "histogram", "from a reading until what follows from it was written", _DATABASE),
    Meter("pause_effective_seconds", "histogram", "from the order to pause until the pause was effective", _DATABASE),
    Meter("pauses", "counter", "pauses; in mode observing, those that would have been", _DATABASE),
    Meter("cancels", "counter", "times that statements or sessions of a migration were ended", _DATABASE),
    Meter("rollbacks", "counter", "rollbacks that were ordered", _DATABASE),
    Meter("events", "counter", "events in the audit trail, by kind", (*_DATABASE, "kind")),
)
MIGRATIONS: Final = (
    Meter("migrations", "gauge", "runs in each phase", (*_DATABASE, "phase")),
    Meter(
        "migration_order",
        "gauge",
        "what `/check/NAME` says, an operator's order included: 0 proceed, 1 pause, 2 abort, -1 the guard cannot know",
        _MIGRATION,
    ),
    Meter("migration_paused", "gauge", "1 while it is told to pause, or to wait for its start", _MIGRATION),
    Meter(
        "migration_pause_effective",
        "gauge",
        "1 once the guard's pause holds, and nothing is in flight; only while it pauses",
        _MIGRATION,
    ),
    Meter("migration_phase_seconds", "gauge", "since it entered its phase", _MIGRATION),
    Meter("migration_rows_done", "gauge", "rows, by its own word", _MIGRATION),
    Meter("migration_batches_done", "gauge", "batches, by its own word", _MIGRATION),
    Meter(
        "migrations_left_out",
        "gauge",
        "migrations beyond the newest 100 of the daemon, which have no series",
        _DATABASE,
    ),
)
RULES: Final = (
    Meter("rule_level", "gauge", f"what the rule says of the latest reading: {_LEVELS}", _RULE),
    Meter(
        "rule_value",
        "gauge",
        "the latest reading, in seconds, bytes, a share of 1, or a number; absent in silence",
        _RULE,
    ),
    Meter("rule_value_age_seconds", "gauge", "since that was read", _RULE),
    Meter(
        "rule_limit",
        "gauge",
        "the limit of a rung (warn, pause, cancel, rollback, resume), where it does not go by a baseline alone",
        (*_RULE, "rung"),
    ),
)
PROBES: Final = (
    Meter("poll_seconds", "summary", "how long visits of the probe took", _PROBE),
    Meter("poll_last_seconds", "gauge", "how long the last one took", _PROBE),
    Meter("poll_age_seconds", "gauge", "since it brought an answer", _PROBE),
    Meter("poll_silences", "counter", "visits that brought nothing but silence, or no answer in time", _PROBE),
)
GROUPS: Final = {
    "The daemon": DAEMON,
    "Each guarded database": GUARD,
    "Migrations": MIGRATIONS,
    "Rules": RULES,
    "Probes": PROBES,
}
METERS: Final = {meter.name: meter for group in GROUPS.values() for meter in group}
