"""Many verdicts as one: their order is of no account, and nothing graver ever makes it milder."""

from __future__ import annotations

import dataclasses
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from guard.judge.findings import concerns, find, what_would_resume
from guard.model import EVERYONE, Ask, Finding, Level, Verdict
from tests.fakes import make_rule

VERDICTS = st.lists(
    st.builds(
        Verdict,
        rule=st.text("abcdef", min_size=1, max_size=3),
        level=st.sampled_from(Level),
        ask=st.sampled_from(Ask),
        because=st.text("xyz", max_size=3),
        well=st.booleans(),
        settled=st.booleans(),
        due=st.none() | st.floats(0, 100),
    ),
    unique_by=lambda verdict: verdict.rule,
    max_size=6,
)


def verdict(rule: str, ask: Ask, because: str, *, well: bool = True, resume: str = "") -> Verdict:
    return Verdict(rule, Level.FINE, ask, because, well, settled=True, resume=resume)


@settings(max_examples=100, deadline=None)
@given(VERDICTS, st.randoms(use_true_random=False))
def test_the_order_of_rules_makes_no_difference(verdicts: list[Verdict], chance: random.Random) -> None:
    shuffled = list(verdicts)
    chance.shuffle(shuffled)
    assert find(shuffled) == find(verdicts)


@settings(max_examples=100, deadline=None)
@given(VERDICTS, st.integers(0, 5), st.sampled_from(Ask))
def test_a_worse_verdict_never_makes_the_finding_milder(verdicts: list[Verdict], index: int, ask: Ask) -> None:
    if not verdicts:
        return
    worse = list(verdicts)
    chosen = worse[index % len(worse)]
    worse[index % len(worse)] = dataclasses.replace(chosen, ask=max(ask, chosen.ask), well=False, settled=False)
    before, after = find(verdicts), find(worse)
    assert after.ask >= before.ask
    assert after.well <= before.well
    assert after.settled <= before.settled


def test_the_gravest_wish_holds_and_only_those_who_wish_it_are_named() -> None:
    finding = find(
        [
            verdict("b", Ask.PAUSE, "lag 7 s > 5 s"),
            verdict("c", Ask.PAUSE, "errors 2 % > 1 %"),
            verdict("a", Ask.WARN, "a bit slow"),
        ]
    )
    assert (finding.ask, finding.because) == (Ask.PAUSE, "lag 7 s > 5 s; errors 2 % > 1 %")
    assert [asking.rule for asking in finding.asking(Ask.PAUSE)] == ["b", "c"]


def test_without_a_rule_and_with_good_news_the_finding_says_so() -> None:
    assert (find([]).ask, find([]).because, find([]).well) == (Ask.PROCEED, "no rule concerns it", True)
    assert find([verdict("a", Ask.PROCEED, "lag 1 s")]).because == "all is well: lag 1 s"


def test_what_would_resume_names_only_what_is_missing() -> None:
    finding = find(
        [
            verdict("a", Ask.HOLD, "", well=False, resume="lag < 2s"),
            verdict("b", Ask.PROCEED, "", resume="errors < 1%"),
            verdict("c", Ask.HOLD, "", well=False),
            verdict("d", Ask.HOLD, "", well=False, resume="queue <= 0"),
        ]
    )
    assert what_would_resume(finding) == "lag < 2s; queue <= 0"


def test_what_only_takes_its_time_is_named_after_what_is_breached() -> None:
    taking_its_time = verdict("a", Ask.HOLD, "", well=False, resume="errors < 1% for 10s: well for 9 s")
    breached = verdict("b", Ask.PAUSE, "", well=False, resume="lag < 2s")
    calm, bad = dataclasses.replace(taking_its_time, level=Level.FINE), dataclasses.replace(breached, level=Level.PAUSE)
    assert what_would_resume(find([calm, bad])) == "lag < 2s; errors < 1% for 10s: well for 9 s"


def test_a_finding_is_well_and_settled_where_each_verdict_is_and_due_when_the_first_is() -> None:
    calm, late = verdict("b", Ask.PROCEED, "lag 1 s"), verdict("a", Ask.PROCEED, "queue 0")
    late = dataclasses.replace(late, due=7.0)
    assert find([calm, late]) == Finding(
        Ask.PROCEED, "all is well: queue 0; lag 1 s", (late, calm), well=True, settled=True, due=7.0
    )
    sooner, unsettled = dataclasses.replace(calm, due=5.0, well=False), dataclasses.replace(late, settled=False)
    assert find([sooner, unsettled]) == Finding(
        Ask.PROCEED, "all is well: queue 0; lag 1 s", (unsettled, sooner), well=False, settled=False, due=5.0
    )
    assert find([]) == Finding(Ask.PROCEED, "no rule concerns it", (), well=True, settled=True, due=None)


def test_a_rule_concerns_all_migrations_or_those_it_names() -> None:
    assert concerns(make_rule(), "m")
    assert concerns(make_rule(migrations=("m",)), "m")
    assert not concerns(make_rule(migrations=("other",)), "m")
    assert not concerns(make_rule(migrations=("m",)), EVERYONE)
