"""Since when a lock is held for certain: never a guess, never more than the transaction is old."""

from guard.poll.held import Held


def row(**changes: object) -> dict[str, object]:
    usual: dict[str, object] = {
        "pid": 7,
        "usename": "migrator",
        "name": "add column",
        "state": "active",
        "in_state": 9.0,
        "at_work": 60.0,
        "transaction": "3/1",
        "relation": 16400,
        "table": "public.orders",
    }
    return {**usual, **changes}


def test_nothing_is_held() -> None:
    assert Held().look([], 0.0) == (0.0, "", frozenset())


def test_it_is_held_since_it_was_first_seen() -> None:
    held = Held()
    assert held.look([row()], 100.0)[0] == 0.0
    seconds, words, pids = held.look([row()], 103.5)
    assert (seconds, pids) == (3.5, frozenset({7}))
    assert words == "pid 7 (migrator, add column), whose transaction is 60.0 s old: public.orders"


def test_another_transaction_of_the_session_holds_it_anew() -> None:
    held = Held()
    held.look([row()], 100.0)
    assert held.look([row(transaction="3/2")], 103.5)[0] == 0.0
    held.look([], 104.0)
    assert held.look([row(transaction="3/2")], 105.0)[0] == 0.0


def test_who_idles_in_its_transaction_has_held_it_for_as_long() -> None:
    assert Held().look([row(state="idle in transaction")], 0.0)[0] == 9.0
    assert Held().look([row(state="idle in transaction", at_work=None)], 0.0)[0] == 0.0


def test_it_is_never_held_for_longer_than_its_transaction_lasts() -> None:
    held = Held()
    held.look([row()], 100.0)
    assert held.look([row(at_work=2.0)], 103.5)[0] == 2.0


def test_of_several_the_longest_is_told_with_all_that_its_session_holds() -> None:
    held = Held()
    many = [row(relation=n, table=f"public.t{n}") for n in range(6)]
    held.look(many[:1], 0.0)
    other = row(pid=8, usename=None, name="", transaction="4/1", table="public.other")
    seconds, words, pids = held.look([other, *many], 5.0)
    assert (seconds, pids) == (5.0, frozenset({7, 8}))
    assert words.endswith(": public.t0, public.t1, public.t2, public.t3, public.t4, ...")
    assert held.look([other], 9.0)[1].startswith("pid 8 (?, no application_name)")
