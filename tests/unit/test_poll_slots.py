"""What replication slots keep: the worst counts, and a lost one is never good news."""

import dataclasses
import itertools
import math
from pathlib import Path

import pytest

from guard.errors import ConfigError
from guard.model import Dimension, Reading, Sample, Silence
from guard.poll.slots import INACTIVE, RETAINED, SAFE, IdleClock, Slot, inactive, retained, safe
from guard.settings import load

STANDBY = Slot("replica1", active=True, wal_status="reserved", kept=100)
GONE = Slot("replica2", active=False, wal_status="extended", kept=5_000)
LOST = Slot("sub", active=False, wal_status="lost", kept=None)
UNUSED = Slot("unused", active=False, wal_status=None, kept=None)


def test_the_slot_that_keeps_most_counts_in_whatever_order_they_come() -> None:
    for order in itertools.permutations([STANDBY, GONE, UNUSED]):
        words = "the most: slot replica2, inactive, wal_status extended"
        assert retained(order, 7.0) == Reading(RETAINED, 5_000.0, 7.0, words)


def test_a_lost_slot_is_a_silence_with_what_the_others_keep() -> None:
    for order in itertools.permutations([STANDBY, LOST, GONE]):
        found = retained(order, 7.0)
        assert isinstance(found, Silence)
        assert found.at_least == 5_000.0
        assert "slot sub has lost WAL" in found.why


def test_a_slot_invalidated_for_another_reason_still_shows_a_position_and_is_lost_all_the_same() -> None:
    found = retained([Slot("sub", active=False, wal_status="lost", kept=9)], 7.0)
    assert isinstance(found, Silence)
    assert found.at_least == 0.0


def test_slots_that_keep_nothing_read_zero() -> None:
    assert retained([], 7.0) == Reading(RETAINED, 0.0, 7.0, "no slot keeps any WAL")
    assert retained([UNUSED], 7.0) == Reading(RETAINED, 0.0, 7.0, "no slot keeps any WAL")
    assert retained([Slot("ahead", active=True, wal_status="reserved", kept=-8)], 7.0) == Reading(
        RETAINED, 0.0, 7.0, "the most: slot ahead, active, wal_status reserved"
    )


RULE = """[database.main]
dsn = "host=db1 dbname=app user=guard"
standbys = []
[rollback]
command = ["/bin/true"]
[[rule]]
name = "slots"
metric = "replication.retained_bytes"
"""


@pytest.mark.parametrize("limit", ['pause = "> 64GB"', 'rollback = "> 64GB"'])
def test_what_slots_keep_may_pause_and_never_roll_back(tmp_path: Path, limit: str) -> None:
    file = tmp_path / "guard.toml"
    file.touch(mode=0o600)
    file.write_text(RULE + limit)
    if limit.startswith("rollback"):
        with pytest.raises(ConfigError, match=r"must not rest on replication\.retained_bytes"):
            load(file)
        return
    read = load(file)
    assert (read.rules[0].sensor, read.rules[0].dimension) == (RETAINED, Dimension.BYTES)
    assert read.warnings == ()  # slots have consumers that are no standbys


def test_the_slot_that_loses_wal_first_counts_and_without_a_limit_none_ever_does() -> None:
    near, far = dataclasses.replace(GONE, safe=10), dataclasses.replace(STANDBY, safe=900)
    for order in itertools.permutations([near, far, UNUSED]):
        assert safe(order, 7.0) == Reading(SAFE, 10.0, 7.0, "the least: slot replica2, inactive, wal_status extended")
    assert safe([STANDBY, GONE], 7.0) == Reading(SAFE, math.inf, 7.0, "no slot has a limit")
    assert isinstance(safe([far, LOST], 7.0), Silence)


def test_the_slot_that_is_inactive_for_longest_counts_and_an_unknown_time_is_a_silence() -> None:
    old, young = dataclasses.replace(GONE, inactive_for=90.0), dataclasses.replace(UNUSED, inactive_for=3.0)
    for order in itertools.permutations([old, young, STANDBY]):
        assert inactive(order, 7.0) == Reading(INACTIVE, 90.0, 7.0, "longest: slot replica2")
    assert inactive([STANDBY], 7.0) == Reading(INACTIVE, 0.0, 7.0, "no slot is inactive")
    unsure = inactive([old, GONE], 7.0)
    assert isinstance(unsure, Silence)
    assert unsure.at_least == 90.0


def test_a_server_that_does_not_say_since_when_is_watched_from_the_first_look_on() -> None:
    clock = IdleClock(soon=30.0)

    def look(now: float, *slots: Slot) -> Sample:
        return inactive(clock.told(slots, now), now)

    before = look(100.0, GONE)  # since when it has been so before, nobody knows
    assert isinstance(before, Silence)
    later = look(110.0, GONE, STANDBY)
    assert isinstance(later, Silence)
    assert ("slot replica2 was inactive when first looked at" in later.why, later.at_least) == (True, 10.0)
    used = dataclasses.replace(GONE, active=True)
    assert look(120.0, used, STANDBY) == Reading(INACTIVE, 0.0, 120.0, "no slot is inactive")
    assert look(130.0, GONE, STANDBY) == Reading(INACTIVE, 0.0, 130.0, "longest: slot replica2")
    assert look(145.0, GONE, UNUSED) == Reading(INACTIVE, 15.0, 145.0, "longest: slot replica2")
    # After a long time in which nobody looked, what went inactive meanwhile did so at a time unknown.
    gap = look(245.0, GONE, UNUSED, dataclasses.replace(STANDBY, active=False))
    assert isinstance(gap, Silence)
    assert ("slot replica1 was inactive" in gap.why, gap.at_least) == (True, 115.0)


def test_what_the_server_says_of_a_slot_counts_more_than_what_was_seen() -> None:
    told = dataclasses.replace(GONE, inactive_for=500.0)
    clock = IdleClock()
    assert clock.told([told], 1.0) == clock.told([told], 2.0) == [told]
