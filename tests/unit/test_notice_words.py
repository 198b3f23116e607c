"""Word by word: notices of the guard itself, and of moments that are hard to stage. Whom they wake has nothing else."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator

import pytest

from guard.decide import notices
from guard.decide.decision import Decision
from guard.decide.notices import Draft
from guard.model import EVERYONE, Phase, Severity, State

OURSELVES = "migration-guard"
ABORTED = State("a b", 1, Phase.ABORTED, "errors 6 % > 5 %", 0.0)
FORGET = ("migration-guard explain 'a b'", "migration-guard forget 'a b'")
INFO, WARNING, CRITICAL = Severity.INFO, Severity.WARNING, Severity.CRITICAL


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        (
            lambda: notices.journal_trouble(None),
            Draft("journal", INFO, "can write its journal again", "nothing of it was lost", about=OURSELVES),
        ),
        (
            lambda: notices.journal_trouble("disk full"),
            Draft(
                "journal",
                WARNING,
                "has trouble with its disk",
                "disk full",
                "It goes on judging and giving orders, and tries again. Mend its state directory before it is "
                "restarted.",
                about=OURSELVES,
            ),
        ),
        (
            lambda: notices.reload_refused("line 3: no such key"),
            Draft(
                "reload_refused",
                WARNING,
                "refused a reload",
                "line 3: no such key",
                "The configuration stays as it was.",
                about=OURSELVES,
            ),
        ),
        (
            lambda: notices.stood_still(7.25),
            Draft(
                "stood_still",
                WARNING,
                "stood still",
                "its own process did nothing for 7.2 s: it was stopped, or the machine had no time for it",
                "Migrations hold by themselves when the lease ends. It looks at everything anew before it decides.",
                about=OURSELVES,
            ),
        ),
        (
            lambda: notices.moved("db2:5432"),
            Draft(
                "moved",
                WARNING,
                "leads on another server",
                "db2:5432 is the primary now",
                "Everything is read anew there. A migration has to connect to it by itself, and begins after a fair "
                "start.",
                about=OURSELVES,
            ),
        ),
        (
            lambda: notices.baseline_anew("p99", "0.21 s", "0.12 s before"),
            Draft(
                "baseline",
                INFO,
                "measures p99 anew: 0.21 s",
                "0.12 s before",
                "It was taken while a migration was at work and every rule was fine. Is that still what is usual?",
                about=OURSELVES,
            ),
        ),
        (
            lambda: notices.no_baseline(["p99 has 3 of 60 readings", "errors has none"]),
            Draft(
                "no_baseline",
                WARNING,
                "begins without a baseline",
                "p99 has 3 of 60 readings; errors has none",
                "Its limits that need no baseline hold; past them the rule counts as unknown. Readings of a quiet time "
                "before it begins make a baseline: explain shows it while nothing runs.",
            ),
        ),
        (
            lambda: notices.perhaps_cancelled(ABORTED),
            Draft(
                "cancelled",
                WARNING,
                "may have been cancelled",
                "errors 6 % > 5 %",
                "The guard was killed meanwhile, and the queue is gone. If it was cancelled, its client has seen "
                '"canceling statement due to user request" (57014), and may try again. It counts as cancelled.',
            ),
        ),
        (
            lambda: notices.rollback_withheld(ABORTED, "errors 0.1 %", ("undo", "now")),
            Draft(
                "rollback_withheld",
                CRITICAL,
                "is not rolled back after all",
                "read again when its sessions were gone: errors 0.1 %",
                "It stays aborted, and what it has changed so far stays. Decide, and roll back by hand if it must go.",
                ("undo now", *FORGET),
            ),
        ),
        (
            lambda: notices.cancelled(
                "cancel_failed", "could not be cancelled", "3 wait", {"pid": "7"}, next_step="Look."
            ),
            Draft("cancel_failed", CRITICAL, "could not be cancelled", "3 wait", "Look.", (), {"pid": "7"}),
        ),
        (
            lambda: notices.cancelled("cancelled", "cancelled", "3 wait", {}),
            Draft("cancelled", WARNING, "cancelled", "3 wait"),
        ),
    ],
    ids=lambda value: value.headline if isinstance(value, Draft) else "",
)
def test_a_notice_says_exactly_this(told: Callable[[], Draft], wanted: Draft) -> None:
    assert told() == wanted


@pytest.mark.parametrize(
    ("ok", "unverified", "kind", "headline"),
    [
        (True, False, "rolled_back", "rolled back"),
        (False, False, "rollback_failed", "rollback failed"),
        (False, True, "rollback_unverified", "rollback could not be verified"),
    ],
)
def test_the_end_of_a_rollback_is_told_with_the_end_of_its_output(
    ok: bool, unverified: bool, kind: str, headline: str
) -> None:
    told = notices.rolled_back(ABORTED, ok=ok, words="exit 0 after 2 s", output="x" + "y" * 500, unverified=unverified)
    step = (
        "Nothing of this name may run until a human forgets it. Look first at what it has done."
        if ok
        else "A human must look: it is not known to be rolled back, and the hook will not run again by itself."
    )
    fields = {"hook": "exit 0 after 2 s", "output": "y" * 500}
    assert told == Draft(kind, CRITICAL, headline, "errors 6 % > 5 %", step, FORGET, fields)
    silent = notices.rolled_back(ABORTED, ok=ok, words="exit 0 after 2 s", output="", unverified=unverified)
    assert silent.fields == {"hook": "exit 0 after 2 s"}


def test_a_guard_that_only_looks_on_gives_no_commands_and_says_so() -> None:
    told = dataclasses.replace(notices.no_baseline(["p99 has none"]), fields={"rule": "p99"}, commands=("explain",))
    assert notices.in_observe_mode(told) == Draft(
        "no_baseline",
        INFO,
        "begins without a baseline (observe mode: nothing was ordered)",
        "p99 has none",
        fields={"rule": "p99"},
    )


def drafted(before: Phase, state: State, *queues: str) -> Draft | None:
    return notices.for_decision(Decision(state, before, queues), "lag < 2s for 10s", observing=False)


def test_where_no_hook_is_configured_none_is_offered() -> None:
    assert notices.rollback_withheld(ABORTED, "errors 0.1 %", ()).commands == FORGET


@pytest.fixture
def far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process lives in another time zone for a while."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


def test_the_end_of_a_soak_is_told_in_utc_wherever_the_guard_lives(far_from_utc: None) -> None:
    soaking = State("m", 1, Phase.SOAKING, "the migration ended: done", 0.0, soak_until_wall=86_400.0)
    assert drafted(Phase.RUNNING, soaking) == Draft(
        "soaking",
        INFO,
        "ended; its rules stay in force",
        "the migration ended: done",
        "Until 1970-01-02 00:00:00 UTC: a breach before that is told, with what can be done.",
    )


def test_of_a_client_that_vanished_the_runs_are_pointed_at() -> None:
    gone = State("a b", 1, Phase.DONE, "its session ended without saying how the migration went", 0.0)
    told = drafted(Phase.RUNNING, gone)
    assert told is not None
    assert (told.kind, told.severity, told.headline) == ("gone", WARNING, "vanished")
    assert told.next_step == (
        "Nothing holds its locks any more. Its own log says why; started again it waits for the guard as each new run "
        "does."
    )
    assert told.commands == ("migration-guard runs 'a b'",)


def test_of_a_migration_that_failed_people_are_told_louder_and_the_record_of_that_run_is_pointed_at() -> None:
    failed = State("m", 7, Phase.DONE, "the migration ended: failed", 0.0)
    assert drafted(Phase.RUNNING, failed) == Draft(
        "ended",
        WARNING,
        "ended without being done",
        "the migration ended: failed",
        "What it gave as the reason stands in its record; the rest in its own log.",
        ("migration-guard report 7",),
    )
    aborted = drafted(Phase.RUNNING, dataclasses.replace(failed, because="the migration ended: aborted"))
    assert aborted is not None
    assert (aborted.severity, aborted.headline) == (INFO, "ended")


def test_who_was_paused_too_often_stays_so_until_a_human_resumes_it() -> None:
    stays = State("m", 1, Phase.PAUSED, "lag 7 s", 0.0, stays="paused 3 times in 10 min")
    told = drafted(Phase.RUNNING, stays)
    assert told is not None
    assert (told.kind, told.severity) == ("stays_paused", CRITICAL)
    assert told.headline == "paused 3 times in 10 min, and stays so"
    assert told.next_step == (
        "A human must look: find out what brings it about, then resume it. It begins once every rule is well."
    )
    assert told.commands[:2] == ("migration-guard resume m", "migration-guard explain m")


def test_of_sessions_that_never_ask_what_happens_to_them_is_told_and_their_quiet_end_is_not() -> None:
    paused = State(EVERYONE, None, Phase.PAUSED, "3 wait", 0.0)
    assert drafted(Phase.RUNNING, paused, "queue") == Draft(
        "paused",
        WARNING,
        "holds up a queue",
        "3 wait",
        "Its statement is cancelled at once, unless it is one that is left to finish; what came of that is told next.",
        ("migration-guard explain '*'",),
    )
    assert drafted(Phase.RUNNING, paused) == Draft(
        "paused",
        WARNING,
        "should pause, but does not ask",
        "3 wait",
        "It goes on, since it has not registered and cannot be told to wait. "
        "It is cancelled only where a rule says so, when others queue behind it.",
        ("migration-guard explain '*'",),
    )
    running = dataclasses.replace(paused, phase=Phase.RUNNING)
    assert drafted(Phase.PAUSED, running) == Draft("resumed", INFO, "need not pause any more", "3 wait")
    assert drafted(Phase.WAITING, running) == Draft("started", INFO, "may start", "3 wait")
    done = dataclasses.replace(paused, phase=Phase.DONE)
    assert drafted(Phase.RUNNING, done) is None
    assert drafted(Phase.PAUSED, done) == Draft("ended", INFO, "ended", "3 wait")
