"""The messages of a whole run, and what stands on top of its thread, are those that somebody has read."""

from guard.model import Notice, Severity
from guard.tell.slack_blocks import blocks
from guard.tell.slack_parent import Summary, fold, from_dict, shown, to_dict
from tests.fakes import World, a_run, make_rule
from tests.slack_workspace import problem_of
from tests.whole_run import PAPER, paper, world


def test_the_messages_of_a_whole_run_are_those_of_the_paper() -> None:
    told = "run: python -m tests.whole_run, and read what has changed as the person on call would"
    assert PAPER.read_text() == paper(), told


def test_slack_takes_each_message_and_each_top_of_a_whole_run() -> None:
    top: Summary | None = None
    notices = [notice for notice in world().journal.notices if notice.run_id == 1]
    for notice in notices:
        top = fold(top, notice)
        assert problem_of(blocks(notice)) is None
        assert problem_of(blocks(shown(top))) is None
        assert from_dict(to_dict(top)) == top
    assert len(notices) > 5


def a_notice(number: int, kind: str, severity: Severity = Severity.INFO) -> Notice:
    return Notice(f"main:{number}", float(number), "main", "m", 1, kind, severity, f"m {kind}", f"why {kind}")


def folded(*notices: Notice) -> Notice:
    top: Summary | None = None
    for notice in notices:
        top = fold(top, notice)
    assert top is not None
    return shown(top)


def test_a_notice_that_comes_again_after_a_kill_counts_once() -> None:
    again = a_notice(2, "paused", Severity.WARNING)
    assert folded(a_notice(1, "started"), again, again).fields["Pauses so far"] == "1"


def test_a_reminder_does_not_begin_the_pause_anew() -> None:
    top = folded(a_notice(1, "paused", Severity.WARNING), a_notice(4000, "pause_lasts", Severity.CRITICAL))
    assert top.headline == "m pause_lasts"
    assert top.fields["Since"] == "1970-01-01 00:00:01 UTC"
    assert top.fields["Pauses so far"] == "1"


def test_news_beside_a_state_is_shown_until_the_next_and_lends_its_gravity() -> None:
    started, news = a_notice(1, "started"), a_notice(2, "ignored", Severity.CRITICAL)
    top = folded(started, news)
    assert (top.headline, top.severity) == ("m started", Severity.CRITICAL)
    assert top.fields["Meanwhile"] == "m ignored: why ignored"
    top = folded(started, news, a_notice(3, "resumed"))
    assert "Meanwhile" not in top.fields
    assert top.severity is Severity.INFO


def test_of_what_stays_true_the_newest_three_are_shown() -> None:
    failed = [a_notice(number, "check_failed", Severity.CRITICAL) for number in range(2, 7)]
    top = folded(a_notice(1, "soaking"), *failed, a_notice(9, "ended"))
    assert top.fields["Stays true"].count("check_failed") == 3
    assert top.severity is Severity.WARNING


def test_what_a_guard_that_observes_only_thought_of_is_no_pause_on_top_of_a_thread() -> None:
    watched = World(make_rule(pause="> 5s", resume="< 2s for 4s"), observing=True)
    watched.runs = [a_run()]
    for lag in (0.0, 7.0, 0.0):
        watched.values["lag sensor"] = lag
        watched.tick(10)
    top = folded(*watched.journal.notices)
    assert top.headline == "m would be let go on (observe mode: nothing was ordered)"
    assert {"Pauses so far", "Last pause"}.isdisjoint(top.fields)
    assert "worst" in top.fields
