"""Who waits behind a migration: each long enough, the right kind, nobody who is not held up by it."""

from guard.poll.queue import Party, Queue, Waiter
from guard.poll.samples import Recognition

MIGRATION, HOLDER = 100, 50


def party(pid: int, **changes: object) -> Party:
    usual: dict[str, object] = {
        "pid": pid,
        "usename": "shop",
        "application_name": "web",
        "state": "active",
        "backend_type": "client backend",
        "in_state": 1.0,
        "at_work": 60.0,
        "wraparound": False,
        "own": False,
        "migration": False,
    }
    return Party(**{**usual, **changes})  # type: ignore[arg-type]


def migration(**changes: object) -> Party:
    return party(MIGRATION, **{"usename": "migrator", "application_name": "add column", "migration": True, **changes})


def table(pid: int, waited: float, *blockers: int) -> Waiter:
    return Waiter(pid, "table", waited, list(blockers))


def test_only_sessions_that_have_each_waited_count() -> None:
    queue = Queue(
        [table(1, 3.0, MIGRATION), table(2, 1.9, MIGRATION), table(3, 2.0, MIGRATION)],
        [migration(), *map(party, (1, 2, 3))],
    )
    assert [wait.pid for wait in queue.waiting("table", 2.0)] == [1, 3]
    assert queue.longest("table") == 3.0


def test_waits_for_rows_are_not_waits_for_tables() -> None:
    queue = Queue([Waiter(1, "row", 9.0, [MIGRATION])], [migration(), party(1)])
    assert queue.waiting("table", 0.0) == []
    assert queue.longest("table") == 0.0
    assert [wait.pid for wait in queue.waiting("row", 2.0)] == [1]


def test_who_waits_behind_a_waiter_of_the_migration_waits_for_the_migration() -> None:
    queue = Queue([table(1, 9.0, MIGRATION), table(2, 8.0, 1)], [migration(), party(1), party(2)])
    assert [wait.pid for wait in queue.waiting("table", 2.0)] == [1, 2]


def test_a_queue_is_the_doing_of_the_migration_that_queues_itself_rather_than_of_one_that_holds() -> None:
    batch = party(HOLDER, migration=True)
    behind_both = [table(1, 9.0, MIGRATION), table(MIGRATION, 9.0, HOLDER)]
    queue = Queue(behind_both, [migration(), batch, party(1)])
    assert queue.causing(queue.waiting("table", 2.0)) == {MIGRATION}
    held = Queue([table(1, 9.0, HOLDER)], [batch, party(1)])
    assert held.causing(held.waiting("table", 2.0)) == {HOLDER}
    assert held.causing([]) == frozenset()


def test_a_wait_for_another_does_not_count_though_the_migration_waits_too() -> None:
    queue = Queue([table(1, 9.0, HOLDER), table(MIGRATION, 9.0, HOLDER)], [migration(), party(1), party(HOLDER)])
    assert queue.behind == ()


def test_a_wait_from_before_the_migration_was_at_work_is_not_its_fault() -> None:
    queue = Queue([table(1, 30.0, MIGRATION)], [migration(at_work=0.1), party(1)])
    assert queue.waiting("table", 2.0) == []
    assert queue.longest("table") == 0.1


def test_the_guard_the_migration_itself_and_autovacuum_are_not_counted() -> None:
    queue = Queue(
        [table(pid, 9.0, MIGRATION) for pid in (1, 2, 3)],
        [
            migration(),
            party(1, own=True),
            party(2, migration=True),
            party(3, backend_type="autovacuum worker"),
        ],
    )
    assert queue.behind == ()


def test_a_wait_for_an_advisory_lock_is_never_a_queue() -> None:
    queue = Queue([Waiter(1, "other", 99.0, [MIGRATION])], [migration(), party(1)])
    assert queue.behind == ()


def test_both_the_middle_and_the_root_are_named() -> None:
    queue = Queue(
        [table(1, 9.0, MIGRATION), table(MIGRATION, 9.5, HOLDER)],
        [migration(), party(1), party(HOLDER, state="idle in transaction", in_state=12.0)],
    )
    assert queue.explain(queue.waiting("table", 2.0)) == (
        "behind the migration, pid 100 (migrator, add column), "
        "which waits for pid 50 (shop, web), idle in transaction for 12.0 s"
    )


def test_roots_that_are_no_sessions_of_people_are_named_too() -> None:
    worker = party(60, backend_type="autovacuum worker", wraparound=True)
    own = party(70, own=True)
    queue = Queue(
        [table(1, 9.0, MIGRATION), table(MIGRATION, 9.5, 0, 60, 70, 80)], [migration(), party(1), worker, own]
    )
    text = queue.explain(queue.waiting("table", 2.0))
    assert "a prepared transaction" in text
    assert "autovacuum, pid 60, to prevent wraparound, which must be left to finish" in text
    assert "the guard's own session, pid 70" in text
    assert text.endswith("pid 80")


def test_idling_in_a_transaction_counts_only_while_somebody_waits_for_it() -> None:
    idle = migration(state="idle in transaction", in_state=7.0)
    assert Queue([table(1, 9.0, MIGRATION)], [idle, party(1)]).idle_in_transaction()[0] == 7.0
    assert Queue([Waiter(1, "row", 9.0, [MIGRATION])], [idle, party(1)]).idle_in_transaction()[0] == 7.0
    assert Queue([table(1, 9.0, HOLDER)], [idle, party(1), party(HOLDER)]).idle_in_transaction() == (
        0.0,
        "",
        frozenset(),
    )
    assert Queue([table(1, 9.0, MIGRATION)], [idle, party(1, own=True)]).idle_in_transaction() == (0.0, "", frozenset())


def test_a_circle_of_waits_is_walked_once() -> None:
    queue = Queue([table(1, 9.0, 2), table(2, 9.0, 1, MIGRATION)], [migration(), party(1), party(2)])
    assert [wait.pid for wait in queue.behind] == [1, 2]


def test_patterns_of_names_mean_themselves_but_for_the_star() -> None:
    assert Recognition(("m",), ("a_b%:*", "x?")).params == {"roles": ["m"], "names": ["a\\_b\\%:%", "x?"]}


def test_how_long_the_migration_itself_waits_and_for_whom_in_the_end() -> None:
    waits = [table(MIGRATION, 9.5, 1), table(1, 30.0, HOLDER), Waiter(101, "row", 3.0, [HOLDER])]
    parties = [
        migration(),
        party(101, migration=True),
        party(1),
        party(HOLDER, state="idle in transaction", in_state=12.0),
    ]
    seconds, words, pids = Queue(waits, parties).migration_waiting()
    assert (seconds, pids) == (9.5, frozenset({MIGRATION, 101}))
    assert words == (
        "pid 100 (migrator, add column) waits for a table behind pid 50 (shop, web), idle in transaction for 12.0 s"
    )


def test_a_migration_that_waits_for_nobody_or_only_for_the_guards_own_pause_does_not_wait() -> None:
    pause = Waiter(MIGRATION, "other", 99.0, [70])
    assert Queue([pause], [migration(), party(70, own=True)]).migration_waiting() == (0.0, "", frozenset())
    assert Queue([table(1, 9.0, HOLDER)], [party(1), party(HOLDER)]).migration_waiting() == (0.0, "", frozenset())
    # Beside the pause it waits for somebody else; a session that is not to be seen is somebody else too.
    both = Queue([Waiter(MIGRATION, "other", 9.0, [70, 71])], [migration(), party(70, own=True)])
    assert both.migration_waiting()[1].startswith("pid 100 (migrator, add column) waits for a lock behind the guard's")
    assert both.migration_waiting()[0] == 9.0


def test_the_migration_waits_in_a_circle_that_has_no_head() -> None:
    queue = Queue([table(MIGRATION, 9.0, 1), table(1, 9.0, MIGRATION)], [migration(), party(1)])
    assert queue.migration_waiting()[:2] == (9.0, "pid 100 (migrator, add column) waits for a table")


def test_prepared_transactions_and_autovacuum_against_wraparound_are_named_as_such_at_the_root() -> None:
    worker = party(60, backend_type="autovacuum worker", wraparound=True)
    waits = [table(MIGRATION, 9.5, 0, 60)]
    words = Queue(waits, [migration(), worker], ["'left behind' of shop"]).migration_waiting()[1]
    assert "behind prepared transaction 'left behind' of shop, without a session to cancel and autovacuum" in words
    assert words.endswith("to prevent wraparound, which must be left to finish")
