"""Whether the next batch of a paced migration may begin, from what was seen of the standbys. Pure: it asks nobody.

It lets a batch begin while the slowest expected standby has no more than the window still to replay. Where nobody can
know how much that is, none begins.
"""

from __future__ import annotations

from dataclasses import dataclass

from guard.client.window import Ease, Replay, Writes, window

USUAL_LIMIT = 10.0
"""Seconds of lag where neither the caller nor a rule of the guard says when it pauses: what its built-in rule says."""
SOON, LATE = 0.005, 0.1
"""Seconds between two looks while waiting."""
UNKNOWN = 0.5
"""The same where there is no number to be looked at."""
FRESH = 0.2
"""Seconds for which a look counts where the window has room for what comes meanwhile."""
TOLD_AFTER = 10.0
"""Seconds of one wait after which it is told in words; most are shorter than the batches between them."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One look at the standbys; positions and sizes in bytes."""

    bytes: int | None
    """What the slowest expected standby has still to replay; None where nobody can know."""
    slowest: str | None = None
    replayed: int | None = None
    written: int | None = None
    streaming: int | None = None
    expected: int | None = None
    because: str | None = None
    """Why there is no number."""
    pause_limit: float | None = None
    """Seconds of lag at which the guard pauses."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the caller wants, whatever is seen."""

    pause_limit: float | None = None
    """Seconds of lag at which the migration is paused; None: what the guard says."""
    window: int | None = None
    """Bytes, fixed; None: by the rate at which the standby replays."""
    least_share: float = 0.0
    """Of its time that the migration works even where others alone fill the window."""
    alert_after: float = 60.0
    """Seconds of starving after which people are to be told."""


class Valve:
    """Hears what was seen before each batch; the caller looks, and sleeps for as long as it says."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._replay, self._writes, self._ease = Replay(), Writes(), Ease()
        self._pause_limit = limits.pause_limit or USUAL_LIMIT
        self._waits_since: float | None = None
        self._went_at: float | None = None
        self._took = 0.0
        self._room: tuple[float, int] | None = None
        """When the last look was that let a batch begin, and how much room it left."""
        self._batches = 0
        """Begun since the last look."""
        self._starved_since: float | None = None
        self._rests_until: float | None = None
        self._nudged, self._moved = 0.0, (0.0, 0)
        self._heard_at = 0.0
        self.wrote: int | None = None
        """Bytes of WAL that the last batch wrote; None where that is not known."""
        self.why = ""
        """What it waits for: `unknown`, `slow` or `starved`; empty while the window is merely full for a moment."""
        self.because = ""
        """The same in words."""
        self.alarm = ""
        """What people must be told: that others have kept it waiting for too long."""

    # -- what follows from what was seen -------------------------------------------------------------------------------

    @property
    def window(self) -> int:
        """Bytes that may be un-replayed when a batch begins."""
        return self._limits.window or window(self._rate, self._pause_limit, self._writes.batch)

    @property
    def batch_bytes(self) -> int | None:
        """Bytes of WAL that a batch should write at most: a quarter of the window; None while no rate is known."""
        if self._limits.window is not None:
            return self._limits.window // 4
        return None if self._rate is None else window(self._rate, self._pause_limit, 0) // 4

    @property
    def _rate(self) -> float | None:
        return self._replay.rate(self._heard_at)

    # -- before a batch ------------------------------------------------------------------------------------------------

    def may_go_unseen(self, now: float) -> bool:
        """Whether the last look left so much room, a moment ago, that the next batch may begin without another."""
        if self._waits_since is not None or self._room is None or not self._writes.batch:
            return False
        seen_at, room = self._room
        # Half of the room is left to others, who may write more than they did.
        if now - seen_at >= FRESH or (self._batches + 1) * self._writes.batch * 2 > room:
            return False
        self._batches += 1
        return True

    def ended(self, now: float, work: float) -> None:
        """The last batch is over, if there was one; it did so much *work*. Does nothing in the middle of a wait."""
        if self._waits_since is not None:
            return
        self._waits_since = now
        if self._went_at is not None and self._batches:
            self._took = (now - self._went_at) / self._batches
            rest = self._ease.rest(self._took, work)
            self._rests_until = now + rest if rest else None

    def wants_nudge(self, now: float) -> bool:
        """Whether the standby must be given some WAL, so that it tells how far it has come."""
        if self._waits_since is None or self.why == "unknown":
            return False
        if now - max(self._nudged, self._moved[0], self._waits_since) < self._patience:
            return False
        self._nudged = now
        return True

    @property
    def _patience(self) -> float:
        """Seconds that may pass unseen: of those in which the standby replays the window a part."""
        return LATE if not self._rate else min(LATE, max(4 * SOON, self.window / self._rate / 8))

    def hear(self, seen: Seen, now: float) -> float:
        """Seconds until another look is worth while; 0: the batch may begin."""
        self._heard_at = now
        if seen.expected == 0:
            return self._without_standby(now)
        self._account(seen, now)
        if seen.bytes is None or seen.replayed is None:
            return self._hold_unknown(seen)
        waits = seen.bytes > self.window
        self._replay.look(now, seen.slowest or "", seen.replayed, seen.replayed + seen.bytes, waits=waits)
        if seen.replayed != self._moved[1]:
            self._moved = (now, seen.replayed)
        if seen.bytes <= self.window:
            self._starved_since, self.alarm = None, ""
            self._say("", "")
            return self._go(now, self.window - seen.bytes)
        if self._starving(seen, now):
            return self._go(now, 0)
        # Where no rate is known a longer sleep could leave the standby without work, and so without a rate.
        ahead = (seen.bytes - self.window) / self._rate if self._rate else 2 * SOON
        return min(max(ahead, SOON), self._patience)

    def _account(self, seen: Seen, now: float) -> None:
        if seen.pause_limit is not None and self._limits.pause_limit is None:
            self._pause_limit = seen.pause_limit
        if seen.written is None:
            return
        if self._batches:
            self.wrote = self._writes.worked(now, seen.written, self._batches)
            self._batches = 0
        else:
            self._writes.rested(now, seen.written)

    def _go(self, now: float, room: int) -> float:
        self._waits_since, self._went_at, self._batches = None, now, 1
        self._room = (now, room)
        return 0.0

    def _say(self, why: str, because: str) -> None:
        self.why, self.because = why, because

    def _hold_unknown(self, seen: Seen) -> float:
        self._say("unknown", seen.because or "nobody can know what the standbys have still to replay")
        return UNKNOWN

    def _without_standby(self, now: float) -> float:
        if self._rests_until is not None and now < self._rests_until:
            return self._rests_until - now
        self._rests_until = self.wrote = None
        self._say("", "")
        return self._go(now, 0)

    def _starving(self, seen: Seen, now: float) -> bool:
        """Say what keeps it waiting; whether it may go on all the same, by its least share."""
        waits = now - (self._waits_since or now)
        size = f"{seen.slowest} has {_mb(seen.bytes or 0)} to replay, above the window of {_mb(self.window)}"
        if (seen.bytes or 0) - self._writes.pending(seen.replayed or 0) <= self.window:
            self._say("slow", size) if waits > TOLD_AFTER else self._say("", "")
            return False
        self._starved_since = now if self._starved_since is None else self._starved_since
        starved = now - self._starved_since
        words = f"starved by other writers ({_mb(int(self._writes.foreign))}/s): {size} without its own"
        self._say("starved", words) if starved > TOLD_AFTER else self._say("", "")
        if starved >= self._limits.alert_after:
            self.alarm = self.alarm or words  # its numbers of later looks are no news
        share = self._limits.least_share
        return share > 0 and self._took > 0 and waits >= self._took * (1 / share - 1)


def _mb(size: int) -> str:
    return f"{size / (1 << 20):.1f} MB"
