"""Words of the report."""

import pytest

from guard.cycle.words import ailing, readings
from guard.model import Reading, Silence
from guard.ports import PAGE, RECORDER
from tests.fakes import make_rule


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("slack", "slack does not get through"),
        (RECORDER, "the flight recorder cannot be written"),
        (PAGE, "the status page cannot be reached"),
    ],
)
def test_a_channel_does_not_get_through_and_the_recorder_cannot_be_written(name: str, said: str) -> None:
    assert ailing(name) == said


def test_a_rule_has_a_number_where_one_was_read_and_json_can_hold_it() -> None:
    rules = [make_rule(name) for name in ("lag", "silent", "unheard", "by nothing")]
    samples: dict[str, Reading | Silence] = {
        "lag sensor": Reading("lag sensor", 7.4, 90.0),
        "silent sensor": Silence("silent sensor", "gone", 90.0),
        "by nothing sensor": Reading("by nothing sensor", float("inf"), 90.0),
    }
    assert readings(rules, samples, now=100.0, wall=5000.0) == {"lag": {"value": 7.4, "unit": "seconds", "at": 4990.0}}
