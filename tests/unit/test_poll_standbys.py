"""What a standby says of itself beside what the primary shows: the row counts, and nothing foreign is believed."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from guard.model import Reading, Silence
from guard.poll.aside import Said
from guard.poll.lag import BYTES, FLUSH, REPLY_AGE, SECONDS, WRITE, LagClock, ReplyClock, Sender
from guard.poll.standbys import Standbys

ROW = Sender(1, "replica1", "streaming", True, 1000, None, 1.0, 0.1, 1000, 1000)
SAID = Said(True, 42, 3, 600, 800, 900, "streaming", False)


def look(*senders: Sender, **aside: Said | str) -> Standbys:
    """At 10 s; the primary was at 500 at 5 s and grew by 100 a second."""
    clock = LagClock()
    for second in range(6):
        clock.advance(5.0 + second, 500 + 100 * second, "00000003")
    return Standbys(senders, 1000, 10.0, (clock, ReplyClock(5.0, 15.0)), (42, 3), aside)


@pytest.mark.parametrize(("metric", "value"), [(SECONDS, 4.0), (BYTES, 400.0), (FLUSH, 200.0), (WRITE, 100.0)])
def test_what_a_standby_says_of_itself_counts_where_the_primary_has_no_row(metric: str, value: float) -> None:
    sample = look(ROW, replica2=SAID).worst(metric, ("replica1", "replica2"))
    assert sample == Reading(metric, value, 10.0, "slowest standby: replica2, asked itself")


def test_a_row_of_the_primary_counts_more_than_what_its_standby_says() -> None:
    for said in (SAID, "replica1 does not answer"):
        assert look(ROW, replica1=said).one(BYTES, "replica1", BYTES) == Reading(BYTES, 0.0, 10.0, "")


def test_the_standbys_of_a_number_are_also_those_that_are_asked_themselves() -> None:
    assert getattr(look(ROW, replica2=SAID).worst(BYTES, 2), "value", None) == 400.0
    assert isinstance(look(ROW, replica2="replica2 does not answer").worst(BYTES, 2), Silence)
    assert look(ROW, replica2=SAID, replica3="silent").streaming == ["replica1", "replica2"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"system": 7}, "replica2 belongs to another cluster (system identifier 7, the primary's is 42)"),
        ({"system": 7, "in_recovery": False}, "replica2 belongs to another cluster"),
        (
            {"in_recovery": False, "timeline": 4},
            "no standby any more: the server of its dsn is a primary, on timeline 4",
        ),
        ({"timeline": 2}, "replica2 follows timeline 2, and the primary is on timeline 3"),
        ({"timeline": 4}, "replica2 follows timeline 4, and the primary is on timeline 3"),
        ({"replay_lsn": None}, "replica2 reports no WAL position"),
    ],
)
def test_what_is_no_standby_of_this_primary_is_a_silence_that_says_so(changes: dict[str, object], why: str) -> None:
    said = dataclasses.replace(SAID, **changes)  # type: ignore[arg-type]
    standbys = look(replica2=said)
    sample = standbys.worst(SECONDS, ("replica2",))
    assert isinstance(sample, Silence)
    assert why in sample.why
    assert standbys.streaming == []


def test_replay_that_is_ahead_of_the_primarys_last_answer_is_no_lag_and_what_is_replayed_is_flushed() -> None:
    ahead = dataclasses.replace(SAID, replay_lsn=1100, flush_lsn=None, write_lsn=None)
    for metric in (SECONDS, BYTES, FLUSH, WRITE):
        assert getattr(look(replica2=ahead).worst(metric, ("replica2",)), "value", None) == 0.0


def test_the_age_of_a_reply_that_goes_to_another_server_is_not_known() -> None:
    sample = look(replica2=SAID).worst(REPLY_AGE, ("replica2",))
    assert isinstance(sample, Silence)
    assert sample.why == "replica2 replies to another server than the primary"


def test_neither_the_order_of_the_answers_nor_a_well_one_changes_what_a_bad_one_makes_of_all() -> None:
    told: dict[str, Said | str] = {
        "a": SAID,
        "b": dataclasses.replace(SAID, replay_lsn=500),
        "c": "c is mute",
        "d": "d is mute",
    }
    for count in range(1, 5):
        for names in itertools.permutations(told, count):
            sample = look(ROW, **{name: told[name] for name in names}).worst(SECONDS, ("replica1", *names))
            worst = 5.0 if "b" in names else 4.0 if "a" in names else 0.0
            assert isinstance(sample, Silence) == bool({"c", "d"} & set(names)), names
            assert getattr(sample, "at_least", getattr(sample, "value", None)) == worst, names


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({}, "asked itself"),
        ({"receiver": None}, "asked itself, no WAL receiver"),
        ({"receiver": "waiting", "paused": True}, "asked itself, replay is paused, WAL receiver waiting"),
    ],
)
def test_people_are_told_why_a_standby_may_be_behind(changes: dict[str, object], note: str) -> None:
    said = dataclasses.replace(SAID, **changes)  # type: ignore[arg-type]
    assert look(replica2=said).one(BYTES, "replica2", BYTES) == Reading(BYTES, 400.0, 10.0, note)
