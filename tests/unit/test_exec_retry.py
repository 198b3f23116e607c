"""Whether a command that ended is done, is to be tried again, or must not be: by more than its exit code."""

import pytest

from guard.exec.retry import Limits, Try, exit_code, hindered, judge

LOCK = 'ERROR:  canceling statement due to lock timeout\nCONTEXT:  while locking tuple in relation "t"'


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        pytest.param(Try(code=0), 0, id="well"),
        pytest.param(Try(code=3, output="syntax error"), 3, id="by itself"),
        pytest.param(Try(code=-9), 137, id="killed"),
        pytest.param(Try(code=0, failure="it printed an error"), 5, id="a failure that its exit code hides"),
        pytest.param(Try(code=0, output=LOCK), 5, id="an error in its output that its exit code hides"),
        pytest.param(Try(code=0, interrupted="the guard says pause"), 5, id="cancelled, which its exit code hides"),
        pytest.param(Try(code=0, interrupted="the guard says pause", verified=True), 5, id="cancelled is never done"),
        pytest.param(Try(code=0, output=LOCK, verified=True), 0, id="an error that it got over, as a query says"),
        pytest.param(Try(code=1, output=LOCK), 1, id="hindered, and nothing says that it may be repeated"),
    ],
)
def test_the_end_of_a_command_of_which_nothing_is_known(ended: Try, code: int) -> None:
    verdict = judge(ended, repeatable=False, one_transaction=False)
    assert (verdict.again, verdict.code) == (False, code)
    assert (verdict.why == "") is (code == 0)


GATE = "psql:a.sql:3: ERROR:  migration m must wait (lost): the guard g was stopped\nHINT:  Without a guard: ..."


@pytest.mark.parametrize(
    "ended",
    [Try(code=1, output=LOCK), Try(code=0, interrupted="cancelled by the guard"), Try(code=3, output=GATE)],
    ids=["lock timeout", "cancelled", "refused by the gate"],
)
def test_what_was_hindered_is_tried_again_where_it_may_be(ended: Try) -> None:
    assert judge(ended, repeatable=True, one_transaction=False).again


@pytest.mark.parametrize("ended", [Try(code=1, output="syntax error"), Try(code=0), Try(code=-15)])
def test_what_failed_by_itself_or_is_done_is_not_tried_again(ended: Try) -> None:
    assert not judge(ended, repeatable=True, one_transaction=True).again


@pytest.mark.parametrize(
    ("moved", "committed", "again", "words"),
    [
        (False, False, True, ""),
        (False, True, True, ""),  # such as the history table itself, made in a transaction of its own
        (True, False, False, "its history has changed, so a part of it is applied"),
        (None, False, True, ""),
        (None, True, False, "a transaction of it has committed"),
    ],
)
def test_one_transaction_is_tried_again_where_nothing_of_it_is_applied(
    moved: bool | None, committed: bool, again: bool, words: str
) -> None:
    ended = Try(code=1, interrupted="the guard says pause", history_moved=moved, committed=committed)
    verdict = judge(ended, repeatable=False, one_transaction=True)
    assert verdict.again is again
    assert words in verdict.why


def test_one_transaction_that_ended_well_is_not_made_twice_for_what_its_output_tells_of() -> None:
    got_over = Try(code=0, output="NOTICE:  deadlock detected, done without it\nCOMMIT\n")
    verdict = judge(got_over, repeatable=False, one_transaction=True)
    assert (verdict.again, verdict.code) == (False, 5)


@pytest.mark.parametrize("output", ["UPDATE 57014\n", "(57014 rows)\n", "57014|shop\n", "id: 57014"])
def test_a_number_of_rows_is_no_code_of_an_error(output: str) -> None:
    assert judge(Try(code=0, output=output), repeatable=False, one_transaction=True).code == 0


def test_statements_that_commit_one_by_one_are_not_tried_again_though_nothing_was_seen_to_commit() -> None:
    verdict = judge(Try(code=1, output=LOCK, history_moved=False), repeatable=False, one_transaction=False)
    assert not verdict.again
    assert "what it had done before may be applied" in verdict.why


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (LOCK, "a lock timeout (55P03)"),
        ("  code: '55P03',\n", "a lock timeout (55P03)"),
        ("ERROR:  canceling statement due to user request", "a cancel (57014)"),
        ("psql:a.sql:1: ERROR:  57014: Anweisung wird abgebrochen", "a cancel (57014)"),
        ("  code: '57014',\n", "a cancel (57014)"),
        ("pq: canceling (SQLSTATE 57014)", "a cancel (57014)"),
        ("FATAL:  terminating connection due to administrator command", "the end of its session (57P01)"),
        ("Error: Connection terminated unexpectedly", "the end of its connection"),
        ("psycopg.errors.DeadlockDetected: deadlock detected", "a deadlock (40P01)"),
    ],
)
def test_passing_trouble_is_known_by_the_code_or_the_words_of_the_server(output: str, words: str) -> None:
    assert hindered(Try(code=1, output=output)) == f"{words}, by its output"


def test_a_tool_that_says_nothing_is_believed_to_have_had_a_lock_timeout_where_it_was_seen_waiting() -> None:
    said = hindered(Try(code=1, lock_timeout="session 7 (shop)"))
    assert said == "most likely a lock timeout (55P03); it waited for session 7 (shop)"
    assert hindered(Try(code=0, lock_timeout="session 7 (shop)")) == ""


def test_the_waits_double_from_the_first_to_the_longest_with_a_jitter_of_a_quarter() -> None:
    limits = Limits(first=5, longest=300)
    assert [limits.wait(tries, 0.5) for tries in range(1, 9)] == [5, 10, 20, 40, 80, 160, 300, 300]
    assert (limits.wait(1, 0.0), limits.wait(1, 1.0)) == (3.75, 6.25)
    assert limits.wait(10_000, 1.0) == 300


def test_a_signal_is_told_as_a_shell_tells_it() -> None:
    assert [exit_code(code) for code in (0, 3, -15)] == [0, 3, 143]
