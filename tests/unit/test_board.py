"""What the board keeps when another server leads: what was asked of all hosts, and no counter of the old one."""

from guard.cycle.board import Board
from guard.model import Reading
from guard.ports import Observation


def test_only_what_was_asked_of_all_hosts_outlives_a_move() -> None:
    board = Board(())
    board.moved_to("db1 1")
    names = ("database.primaries", "database.deadlocks_per_minute", "replication.lag", "wal.bytes_per_second")
    board.put(Observation(tuple(Reading(name, 1.0, 0.0) for name in names)))
    board.moved_to("db1 1")
    assert sorted(board.samples) == sorted(names)
    board.moved_to("db2 2")
    assert list(board.samples) == ["database.primaries"]
