"""Words of the report."""

import pytest

from guard.cycle.words import ailing
from guard.ports import RECORDER


@pytest.mark.parametrize(
    ("name", "said"), [("slack", "slack does not get through"), (RECORDER, "the flight recorder cannot be written")]
)
def test_a_channel_does_not_get_through_and_the_recorder_cannot_be_written(name: str, said: str) -> None:
    assert ailing(name) == said
