"""Whom to tell what: each change of a run is at most one notice, with the reason unchanged and the next step."""

from __future__ import annotations

import pytest

from guard.decide import notices
from guard.decide.decision import Decision
from guard.model import EVERYONE, Phase, Severity, State


def moved(before: Phase | None, after: Phase, because: str = "lag 7 s > 5 s") -> Decision:
    return Decision(State("m", 1, after, because, 0.0), before)


def drafted(before: Phase | None, after: Phase, because: str = "lag 7 s > 5 s") -> notices.Draft | None:
    return notices.for_decision(moved(before, after, because), "lag < 2s for 10s", observing=False)


@pytest.mark.parametrize(
    ("before", "after", "kind", "severity"),
    [
        (Phase.WAITING, Phase.RUNNING, "started", Severity.INFO),
        (Phase.PAUSED, Phase.RUNNING, "resumed", Severity.INFO),
        (Phase.RUNNING, Phase.STRAINED, "warned", Severity.INFO),
        (Phase.RUNNING, Phase.PAUSED, "paused", Severity.WARNING),
        (Phase.PAUSED, Phase.ROLLING_BACK, "rolling_back", Severity.CRITICAL),
        (Phase.PAUSED, Phase.ABORTED, "aborted", Severity.CRITICAL),
        (Phase.RUNNING, Phase.SOAKING, "soaking", Severity.INFO),
        (Phase.SOAKING, Phase.DONE, "ended", Severity.INFO),
    ],
)
def test_each_change_is_told_with_its_reason(before: Phase, after: Phase, kind: str, severity: Severity) -> None:
    draft = drafted(before, after)
    assert draft is not None
    assert (draft.kind, draft.severity, draft.because) == (kind, severity, "lag 7 s > 5 s")


def test_what_goes_on_and_a_strain_that_ended_are_no_news() -> None:
    assert drafted(None, Phase.PAUSED) is None
    assert drafted(Phase.STRAINED, Phase.RUNNING) is None


def test_of_sessions_that_never_ask_no_pause_is_claimed_and_no_order_for_all_is_offered() -> None:
    state = State(EVERYONE, None, Phase.PAUSED, "lag 7 s > 5 s", 0.0)
    draft = notices.for_decision(Decision(state, Phase.RUNNING), "lag < 2s for 10s", observing=False)
    assert draft is not None
    assert (draft.kind, draft.severity, draft.because) == ("paused", Severity.WARNING, "lag 7 s > 5 s")
    assert draft.headline == "should pause, but does not ask"
    assert "It goes on" in draft.next_step
    asked = notices.ask_human(state, "it is not registered", "errors 6 %", ())
    assert draft.commands == asked.commands == ("migration-guard explain '*'",)
    over = notices.for_decision(
        Decision(State(EVERYONE, None, Phase.RUNNING, "", 0.0), Phase.PAUSED), "", observing=False
    )
    assert over is not None
    assert (over.kind, over.headline) == ("resumed", "need not pause any more")


def test_a_vanished_client_is_a_warning() -> None:
    draft = drafted(Phase.RUNNING, Phase.DONE, "its session ended without saying how the migration went")
    assert draft is not None
    assert (draft.kind, draft.severity) == ("gone", Severity.WARNING)


def test_a_pause_says_what_would_end_it_and_how_to_change_it() -> None:
    draft = drafted(Phase.RUNNING, Phase.PAUSED)
    assert draft is not None
    assert draft.next_step == "It goes on by itself once every rule has been well for its time: lag < 2s for 10s."
    assert draft.commands[1] == "migration-guard override m --reason WHY --for 30m"
    unknown = notices.for_decision(moved(Phase.RUNNING, Phase.PAUSED), "", observing=False)
    assert unknown is not None
    assert unknown.next_step.endswith("see explain.")


def test_an_aborted_migration_comes_with_the_command_that_forgets_it() -> None:
    assert notices.commands_for(Phase.ABORTED, "m")[-1] == "migration-guard forget m"
    assert notices.commands_for(Phase.RUNNING, "m") == ()


def test_a_guard_that_observes_promises_nothing() -> None:
    draft = notices.for_decision(moved(Phase.RUNNING, Phase.PAUSED), "", observing=True)
    assert draft is not None
    assert draft.headline == "would be paused (observe mode: nothing was ordered)"
    assert (draft.severity, draft.next_step, draft.commands) == (Severity.INFO, "", ())
    assert notices.for_decision(moved(Phase.STRAINED, Phase.RUNNING), "", observing=True) is None
    state = State("m", 1, Phase.PAUSED, "", 0.0, stays="paused 6 times in 30 min")
    stays = notices.for_decision(Decision(state, Phase.RUNNING), "", observing=True)
    assert stays is not None
    assert (
        stays.headline
        == "would have been paused 6 times in 30 min, and would stay so (observe mode: nothing was ordered)"
    )


def test_a_question_to_a_human_says_why_and_gives_the_hooks_command() -> None:
    draft = notices.ask_human(State("m", 1, Phase.PAUSED, "", 0.0), "two were at work", "errors 6 %", ("/rb", "now"))
    assert draft.commands[0] == "/rb now"
    assert "two were at work" in draft.next_step
    without = notices.ask_human(State("m", 1, Phase.PAUSED, "", 0.0), "no hook", "errors 6 %", ())
    assert without.commands[0] == "migration-guard explain m"


def test_how_a_rollback_ended_is_told_with_the_end_of_its_output() -> None:
    state = State("m", 1, Phase.ABORTED, "errors 6 %", 0.0)
    well = notices.rolled_back(state, ok=True, words="exit 0", output="")
    assert (well.kind, dict(well.fields)) == ("rolled_back", {"hook": "exit 0"})
    badly = notices.rolled_back(state, ok=False, words="exit 1", output="x" * 600 + "the end")
    assert badly.kind == "rollback_failed"
    assert badly.fields["output"].endswith("the end")
    assert len(badly.fields["output"]) == 500


@pytest.mark.parametrize(("kind", "severity"), [("cancelled", Severity.WARNING), ("cancel_failed", Severity.CRITICAL)])
def test_a_cancel_that_failed_is_critical(kind: str, severity: Severity) -> None:
    assert notices.cancelled(kind, "", "", {}).severity is severity


@pytest.mark.parametrize(
    ("draft", "state", "headline"),
    [
        (notices.cancelled("cancelled", "cancelled", "", {}), State("m", 1, Phase.PAUSED, "", 0), "m cancelled"),
        (
            notices.cancelled("cancelled", "cancelled", "", {}),
            State(EVERYONE, None, Phase.PAUSED, "", 0),
            "an unregistered migration cancelled",
        ),
        (
            notices.ask_human(State("m", 1, Phase.PAUSED, "", 0), "", "", ()),
            State("m", 1, Phase.PAUSED, "", 0),
            "m: a rollback is due: a human must decide",
        ),
        (
            notices.Draft("operator", Severity.INFO, "pause", "", about="all migrations"),
            State("m", 1, Phase.PAUSED, "", 0),
            "all migrations: pause",
        ),
    ],
)
def test_the_headline_names_the_migration_as_people_know_it(draft: notices.Draft, state: State, headline: str) -> None:
    notice = notices.address(draft, state, notice_id="n1", database="main", wall=5.0)
    assert notice.headline == headline
    assert (notice.notice_id, notice.database, notice.at_wall, notice.run_id) == ("n1", "main", 5.0, state.run_id)


@pytest.mark.parametrize(
    ("draft", "headline", "words", "severity"),
    [
        (notices.stood_still(12.34), "migration-guard stood still", "did nothing for 12.3 s", Severity.WARNING),
        (notices.reload_refused("f:3: bad"), "migration-guard refused a reload", "f:3: bad", Severity.WARNING),
        (notices.journal_trouble("full"), "migration-guard has trouble with its disk", "full", Severity.WARNING),
        (notices.journal_trouble(None), "migration-guard can write its journal again", "nothing", Severity.INFO),
    ],
)
def test_what_befalls_the_guard_itself_is_told_in_its_own_name(
    draft: notices.Draft, headline: str, words: str, severity: Severity
) -> None:
    nobody = State(EVERYONE, None, Phase.RUNNING, "", 0)
    notice = notices.address(draft, nobody, notice_id="n1", database="main", wall=5.0)
    assert (notice.headline, notice.severity) == (headline, severity)
    assert words in notice.because
