"""/check/NAME says 200 only where the migration may go on for certain, and /healthz whether the guards judge."""

from __future__ import annotations

import pytest

from guard.show.probing.check import Code, check, why
from guard.show.probing.health import healthz
from guard.show.sight import Seen, Standing
from tests.sights import NOW, a_report_run, a_seen, paused

RUNNING = a_report_run()
ABORTED = a_report_run(phase="aborted", order="abort", because="aborted by ada: wrong table")


def an_operators(kind: str, migration: str = "*", until: float | None = None) -> Standing:
    return Standing(kind, migration, None, "ada", "deploy", NOW - 5, until)


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        pytest.param(a_seen(RUNNING), Code.PROCEED, id="it-runs"),
        pytest.param(a_seen(RUNNING, mode="observing"), Code.PROCEED, id="the-guard-only-observes"),
        pytest.param(a_seen(paused()), Code.PAUSE, id="it-is-paused"),
        pytest.param(a_seen(ABORTED), Code.ABORT, id="it-is-aborted"),
        pytest.param(a_seen(RUNNING, paused()), Code.PAUSE, id="one-of-two-runs-is-paused"),
        pytest.param(a_seen(), Code.NOBODY, id="nobody-of-that-name"),
        pytest.param(a_seen(a_report_run(phase="soaking")), Code.NOBODY, id="it-has-ended-and-soaks"),
        pytest.param(a_seen(RUNNING, orders=(an_operators("pause"),)), Code.PAUSE, id="an-operator-pauses-all"),
        pytest.param(
            a_seen(RUNNING, orders=(an_operators("pause", "n"),)), Code.PROCEED, id="an-operator-pauses-another"
        ),
        pytest.param(a_seen(RUNNING, orders=(an_operators("mute"),)), Code.PROCEED, id="a-rule-is-muted"),
        pytest.param(a_seen(paused(), orders=(an_operators("abort"),)), Code.ABORT, id="an-operator-aborts"),
        pytest.param(a_seen(paused(), orders=(an_operators("override"),)), Code.PROCEED, id="an-operator-overrides"),
        pytest.param(
            a_seen(paused(), orders=(an_operators("override", until=NOW),)), Code.PAUSE, id="the-override-has-expired"
        ),
        pytest.param(
            a_seen(RUNNING, orders=(an_operators("override"), an_operators("pause"))),
            Code.PROCEED,
            id="an-override-suspends-a-pause",
        ),
        pytest.param(a_seen(ABORTED, orders=(an_operators("override"),)), Code.ABORT, id="no-override-undoes-an-abort"),
        pytest.param(a_seen(ABORTED, orders=(an_operators("pause"),)), Code.ABORT, id="no-pause-softens-an-abort"),
        pytest.param(a_seen(RUNNING, ended_because="fenced"), Code.CANNOT_KNOW, id="fenced"),
        pytest.param(a_seen(RUNNING, mode="dead"), Code.CANNOT_KNOW, id="dead"),
        pytest.param(a_seen(RUNNING, mode="observing", beat_age=99.0), Code.PROCEED, id="who-observes-may-rest"),
        pytest.param(a_seen(RUNNING, mode="released"), Code.CANNOT_KNOW, id="the-guard-was-stopped"),
        pytest.param(a_seen(RUNNING, trouble="no connection"), Code.CANNOT_KNOW, id="it-cannot-signal"),
        pytest.param(a_seen(RUNNING, leading=False), Code.CANNOT_KNOW, id="it-does-not-lead"),
        pytest.param(a_seen(RUNNING, judged_age=10.1), Code.CANNOT_KNOW, id="it-has-not-judged-for-a-lease"),
        pytest.param(a_seen(RUNNING, beat_age=10.1), Code.CANNOT_KNOW, id="its-lease-has-expired"),
        pytest.param(a_seen(RUNNING, report={"cannot_see": "no pg_monitor"}), Code.CANNOT_KNOW, id="it-is-blind"),
        pytest.param(a_seen(a_report_run(order="hurry")), Code.CANNOT_KNOW, id="an-order-that-nobody-knows"),
        pytest.param(
            a_seen(a_report_run(order="hurry"), orders=(an_operators("override"),)),
            Code.CANNOT_KNOW,
            id="no-override-makes-the-unknown-known",
        ),
        pytest.param(a_seen(leading=False), Code.CANNOT_KNOW, id="who-does-not-lead-does-not-know-who-runs"),
    ],
)
def test_only_what_is_known_to_go_on_is_a_200(seen: Seen, code: Code) -> None:
    assert check([seen], "backfill", NOW).code is code


@pytest.mark.parametrize(
    ("others", "code"),
    [
        pytest.param([a_seen(database="b")], Code.PROCEED, id="another-knows-nobody"),
        pytest.param([a_seen(paused(), database="b")], Code.PAUSE, id="another-pauses"),
        pytest.param(
            [a_seen(paused(), database="b"), a_seen(leading=False, database="c")], Code.CANNOT_KNOW, id="blind"
        ),
        pytest.param([a_seen(ABORTED, database="b"), a_seen(leading=False, database="c")], Code.ABORT, id="aborts"),
    ],
)
def test_of_several_databases_the_gravest_answer_counts_whatever_their_order(others: list[Seen], code: Code) -> None:
    seen = [a_seen(RUNNING), *others]
    assert {check(order, "backfill", NOW).code for order in (seen, seen[::-1])} == {code}


def test_the_answer_is_one_line_whatever_is_in_the_name() -> None:
    answer = check([a_seen(paused("back\nfill"))], "back\nfill", NOW)
    assert answer.line("back\nfill") == "pause: back fill on main: lag 9 s > 5s"


def test_why_tells_each_rule_with_its_value_limit_age_and_what_would_let_it_go_on() -> None:
    answer = check([a_seen(paused())], "backfill", NOW)
    assert list(why(answer, {"lag": "pause > 5s for 3s"}, NOW)) == [
        "lag: pause: lag 9 s > 5s; since 30 s; limits: pause > 5s for 3s; goes on once < 2s for 15s"
    ]


@pytest.mark.parametrize(
    ("seen", "line"),
    [
        pytest.param(a_seen(), "ok main: live, judged 0.1 s ago", id="well"),
        pytest.param(a_seen(trouble="refused", leading=False), "ok main: live, judged 0.1 s ago", id="server-away"),
        pytest.param(a_seen(judged_age=61.0), "FAILED main: not judged for 61.0 s", id="stuck"),
        pytest.param(a_seen(asked_age=61.0), "FAILED main: a probe has not been asked for 61.0 s", id="no-scheduler"),
        pytest.param(a_seen(ended_because="fenced: x"), "FAILED main: it is not guarded any more", id="fenced"),
    ],
)
def test_health_is_that_every_guard_judges_and_not_that_its_server_is_there(seen: Seen, line: str) -> None:
    well, lines = healthz([a_seen(database="other"), seen])
    assert (well, lines.splitlines()[1]) == (line.startswith("ok"), line)


def test_who_guards_nothing_is_not_well() -> None:
    assert healthz([])[0] is False
