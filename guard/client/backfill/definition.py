"""What a backfill is to do and in which manner, what it says on its way, and why it cannot go on. No I/O."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from guard.client.migration import OnGuardLost
from guard.errors import GuardError

BATCH_LIMIT = 2.0
"""Seconds: the longest batch that a guard expects by default, and so the most that may be aimed at."""

Verified = Literal["nothing left", "once", "still match", "still coming"]
"""What is known at the end: a last pass found nothing to change; each row was changed once, since the condition holds
afterwards as before; some rows match afterwards as before; each pass found rows that match."""


class BackfillRefused(GuardError):
    """It cannot be done like this; the message says what can be done instead. Nothing was changed."""


class Hindered(GuardError):
    """No batch could be committed for longer than it has patience; what is committed stays, and it can go on later."""


class Stopped(GuardError):
    """It was asked to stop and did so between two batches; it can go on later."""


@dataclass(frozen=True, slots=True)
class Definition:
    """``update TABLE set SET where WHERE``, in ranges of *key* (by default the primary key).

    *set_* and *where* are SQL of the operator's own, run as they are.
    """

    table: str
    set_: str
    where: str = "true"
    key: str | None = None

    def fingerprint(self, table: str, key: str) -> str:
        """The same for the same work, by the table's whole name and its key."""
        parts = repr((table, key, self.set_.strip(), self.where.strip()))
        return hashlib.sha256(parts.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Manner:
    """How it is done; times in seconds."""

    batch_time: float = 0.5
    """What a batch is to take."""
    max_batch: int = 10_000
    """Keys that a batch looks at, at most."""
    anew: bool = False
    """Forget how far it came, and what it was."""
    patience: float = 300.0
    """How long it tries while no batch can be committed."""
    passes: int = 5
    """Passes over the table, at most, while each one still finds rows to change."""
    window: int | bool = True
    """Bytes of WAL that the slowest expected standby may have still to replay as a batch begins; True: by its rate."""
    on_guard_lost: OnGuardLost = "wait"
    give_up_after: float = 900.0
    poll: float = 0.5
    """Between two questions while it waits."""

    def __post_init__(self) -> None:
        if not 0 < self.batch_time <= BATCH_LIMIT:
            raise BackfillRefused(f"A batch is to take more than nothing and at most {BATCH_LIMIT:g} s.")
        if self.max_batch < 1:
            raise BackfillRefused("A batch looks at one key at least.")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is, after a batch."""

    pass_: int
    keys: int
    """Looked at in this pass."""
    of: int | None
    """About how many keys the table has; None where nobody has counted."""
    rows: int
    """Changed, in all its runs."""
    batch: int
    """Keys of this batch."""
    seconds: float
    """What it took."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What has become of it."""

    rows: int
    """Changed, in all its runs."""
    still: int
    """Of those, rows that match the condition as before."""
    batches: int
    passes: int
    verified: Verified
    before: bool = False
    """It had ended before this run began."""

    @property
    def well(self) -> bool:
        """Whether nothing speaks against it."""
        return self.verified in {"nothing left", "once"}
