"""The paper of messages shows those that are sent."""

from tests.messages import paper, written


def test_the_paper_shows_the_messages_as_they_are() -> None:
    assert written() == paper(), "run: python -m tests.messages, and read what has changed as the person on call would"
