"""What stands on the pages, from values."""

from __future__ import annotations

import re
import time

import pytest

from guard.show import overview, runpage, words
from guard.show.elements import Now
from guard.show.layout import Box, Sheet, page
from guard.show.overview import Glance, address_of
from guard.show.past import Past, Recent
from guard.show.sight import Channel, Seen
from tests.seen import WALL, a_database, a_run, a_verdict, an_order

NOW = Now(WALL)
EVIL = "<script>alert(1)</script>\"'&"


def first(*seen: Seen, recent: tuple[Past, ...] | None = (), channels: tuple[Channel, ...] = ()) -> dict[str, str]:
    return overview.parts(Glance(seen, channels, Recent(recent, "the disk is gone")), NOW)


def text(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def test_a_paused_run_says_why_since_when_what_lets_it_go_on_and_the_exact_commands() -> None:
    said = text(first(a_database("main", a_run(7, "paused")))["db-main"])
    assert "‖ paused for 100 s , and it holds replication.lag 7.4 s &gt; 5s for 3s, now for 3.2 s" in said
    assert "It goes on by itself once every rule has been well for its time: replication.lag &lt; 2s for 15s." in said
    assert "120,000 rows in 120 batches; pid 4711, migrator; heard of 1 s ago" in said
    assert "migration-guard override backfill-email --reason WHY --for 30m migration-guard abort" in said


def test_commands_name_the_database_where_there_are_several_and_quote_what_a_shell_would_read() -> None:
    run = a_run(7, "paused", "drop; table")
    html = first(a_database("main", run), a_database("shop"))["db-main"]
    assert "migration-guard abort &#39;drop; table&#39; --reason WHY --database main" in re.sub(r"</?span>", "", html)


@pytest.mark.fault(66)
def test_html_in_every_name_and_reason_stays_text() -> None:
    verdict = a_verdict(EVIL, "pause", because=EVIL, resume=EVIL, baseline=EVIL)
    run = a_run(1, "paused", EVIL, because=EVIL, verdicts=[verdict], stays=EVIL)
    report = {"troubles": {EVIL: EVIL}, "cannot_see": EVIL, "fences": {"1": EVIL}, "in_flight": {"1": EVIL}}
    order = an_order("mute", EVIL, owner=EVIL, reason=EVIL, rule=EVIL)
    seen = a_database("main", run, report=report, trouble=EVIL, ended_because=EVIL, orders=(order,))
    past = Past("main", EVIL, 1, WALL, WALL, "done", EVIL)
    parts = first(seen, recent=(past,), channels=(Channel(EVIL, 1, 1, 1.0, EVIL),))
    parts |= runpage.parts(runpage.RunSeen("main", 1, seen, several=True), NOW)
    parts |= {"over": runpage.parts(runpage.RunSeen("main", 2, seen, True, past), NOW)["state"]}
    title = runpage.RunSeen("main", 1, seen, several=True).title
    whole = page(Sheet(title, [Box(name, labelled_by="h") for name in parts], EVIL, EVIL, WALL), parts)
    assert whole.count("<script") == 1  # ours, by its address
    assert "&lt;script&gt;" in whole
    assert not re.search(r"\son\w+=|style=|javascript:", re.sub(r"&[^;]*;", "", whole))


def test_twenty_databases_and_a_hundred_runs_take_less_than_200_kb_and_are_drawn_in_a_moment() -> None:
    phases = ("running", "paused", "strained", "soaking", "aborted")
    seen = [
        a_database(f"database{n}", *(a_run(5 * n + k, phases[k], f"migration-number-{n}-{k}") for k in range(5)))
        for n in range(20)
    ]
    recent = tuple(
        Past(f"database{n}", f"m{n}", n, WALL, WALL + 90, "done", "the migration ended: done") for n in range(40)
    )
    began = time.perf_counter()
    parts = first(*seen, recent=recent)
    took = time.perf_counter() - began
    boxes = [Box(name, labelled_by="h") for name in parts]
    whole = page(Sheet("Migrations", boxes, "/events", "boot", WALL), parts)
    assert whole.count("<article") == 100
    assert len(whole.encode()) < 200_000
    assert took < 5, "of a machine that is many times slower than any"


@pytest.mark.parametrize(
    ("changes", "badge", "said"),
    [
        ({}, "guarded", ""),
        ({"mode": "observing"}, "observing: it orders nothing", ""),
        ({"mode": "dormant"}, "guarded, no migration runs", ""),
        ({"trouble": "no route"}, "cannot signal", "It cannot signal: no route. Migrations hold when the lease ends."),
        ({"leading": False}, "cannot signal", ""),
        ({"judged_age": 30.0}, "does not judge", "It has not judged for 30 s."),
        (
            {"ended_because": "fenced: x"},
            "NOT GUARDED",
            "fenced: x. Migrations hold by themselves; start the guard again.",
        ),
        ({"report": {"cannot_see": "no answer"}}, "guarded", "It cannot see who migrates: no answer."),
    ],
)
def test_how_a_database_is_guarded_is_told_by_a_word_and_what_is_wrong_by_a_sentence(
    changes: dict[str, object], badge: str, said: str
) -> None:
    seen = a_database("main", a_run(), **changes)
    assert words.of_database(seen).word == badge
    assert " ".join(words.troubles_of(seen)) == said


def test_who_holds_a_run_that_an_operator_has_paused_and_how_it_is_taken_back() -> None:
    seen = a_database("main", a_run(1, "paused"), orders=(an_order(), an_order("pause", "other")))
    (run,) = seen.report["runs"]
    assert words.next_step(run, seen) == "It stays paused until 2026-09-21 14:43:20 UTC (ada), whatever the rules say."
    assert words.commands(run, seen, several=False)[0] == "migration-guard resume '*'"
    stays = a_run(1, "paused", stays="paused 6 times in 30 min")
    assert "until a person resumes it, since it was paused 6 times" in words.next_step(stays, a_database("main", stays))
    assert words.commands(stays, a_database("main", stays), several=False)[0] == "migration-guard resume backfill-email"


def test_a_guard_that_only_observes_says_what_would_be() -> None:
    said = text(first(a_database("main", a_run(1, "paused"), mode="observing"))["db-main"])
    assert "‖ would be: paused" in said


def test_the_summary_changes_with_states_and_not_with_numbers() -> None:
    def said(because: str, phase: str) -> str:
        return words.summary([a_database("main", a_run(1, phase, because=because)), a_database("b")])

    assert said("7 s", "paused") == said("9 s", "paused") == "2 databases, all watched. 1 migration: 1 paused."
    assert said("7 s", "running") == "2 databases, all watched. 1 migration: 1 running."
    assert words.summary([a_database("main")]) == "1 database, all watched. No migration runs."
    dead = words.summary([a_database("main", ended_because="fenced")])
    assert dead == "1 database; not guarded as it must be: main. No migration runs."


def test_what_a_follower_is_sent_holds_no_ages_so_that_nothing_is_sent_for_time_alone() -> None:
    seen = a_database("main", a_run(1, "paused"))
    followed = [overview.parts(Glance([seen], (), Recent(())), Now(WALL + n, live=True)) for n in (0, 60)]
    assert followed[0] == followed[1]
    glance = Glance([seen], (), Recent(()))
    assert overview.parts(glance, Now(WALL)) != overview.parts(glance, Now(WALL + 60))


def test_a_run_that_is_over_says_how_it_ended_and_a_recorder_that_cannot_be_read_why() -> None:
    past = Past("main", "m", 4, WALL, WALL + 90, "done", "the migration ended: done")
    said = text(runpage.parts(runpage.RunSeen("main", 4, a_database(), False, past), NOW)["state"])
    assert said == "✓ ended 2026-09-21 14:14:50 UTC the migration ended: done migration-guard report 4"
    assert text(first(a_database(), recent=(past,))["recent"]).endswith(
        "m (4) main 2026-09-21 14:13:20 UTC 90 s ✓ ended the migration ended: done"
    )
    assert first(a_database(), recent=None)["recent"] == "<p>The flight recorder: the disk is gone</p>"


def test_addresses_of_runs_hold_whatever_a_database_is_called() -> None:
    assert (address_of("a/b", 3), address_of("main", None)) == ("/run/a%2Fb/3", "/run/main/unregistered")


def test_what_holds_a_run_comes_before_what_does_not_and_a_paused_run_before_one_that_goes_on_or_has_ended() -> None:
    taking_its_time = a_verdict("a", well=False, resume="errors < 1%: well for 9 s")
    paused = a_run(
        7, "paused", because="as it was", verdicts=[a_verdict("b"), taking_its_time, a_verdict("c", "pause")]
    )
    seen = a_database("main", a_run(5, "soaking", "ended"), a_run(6, "running", "at-work"), paused)
    said = text(first(seen)["db-main"])
    assert re.findall(r"run (\d)", said) == ["7", "6", "5"]
    assert re.search(r"as it was Now: c: .* a: .* time: replication.lag &lt; 2s for 15s; errors", said)
    rules = runpage.parts(runpage.RunSeen("main", 7, seen, several=False), NOW)["rules"]
    assert re.findall('data-rule="(.)"', rules) == ["c", "a", "b"]


@pytest.mark.parametrize(("dead", "said"), [(1, "pager: 1 notice was given up"), (2, "pager: 2 notices were given up")])
def test_notices_that_were_given_up_are_counted_in_words(dead: int, said: str) -> None:
    assert said in text(first(a_database(), channels=(Channel("pager", 0, dead, None, ""),))["troubles"])
