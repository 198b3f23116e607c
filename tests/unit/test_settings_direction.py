"""A limit that looks the wrong way is pointed out, with what was probably meant; it is no mistake by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard.judge.conditions import Answer, truth
from guard.settings import Settings, load

HEAD = '[database.main]\ndsn = "host=db1"\nstandbys = ["a", "b"]\n[[rule]]\nname = "x"\n'


def read(tmp_path: Path, rule: str) -> Settings:
    path = tmp_path / "guard.toml"
    path.write_text(HEAD + rule)
    return load(path)


@pytest.mark.parametrize(
    ("rule", "key", "meant"),
    [
        ('metric = "replication.lag"\npause = "< 5s for 3s"', "pause", "more is worse"),
        ('metric = "replication.lag"\npause = "< 5s for 3s"', "pause", 'was "> 5s" meant?'),
        ('metric = "replication.lag"\npause = "> 5s"\nwarn = "<= 2s and < 3s"', "warn", 'was ">= 2s and > 3s" meant?'),
        ('metric = "replication.standbys"\npause = "> 2"', "pause", "of replication.standbys less is worse"),
        ('metric = "replication.safe_wal_size"\npause = ">= 1GB"', "pause", 'was "<= 1GB" meant?'),
        ('metric = "locks.longest_wait"\ncancel = "< 1s"', "cancel", "holds while all is well"),
    ],
)
def test_a_limit_that_only_what_is_good_is_past_is_pointed_out(tmp_path: Path, rule: str, key: str, meant: str) -> None:
    (warning,) = read(tmp_path, rule).warnings
    assert warning.key == f'rule "x".{key}'
    assert meant in warning.message


@pytest.mark.parametrize(
    "rule",
    [
        'metric = "replication.lag"\npause = "> 5s"\nresume = "< 2s for 5s"',
        'metric = "replication.standbys"\npause = "< 2"\nresume = ">= 2 for 5s"',
        # Out of a band: one of its terms looks the right way.
        'metric = "activity.connections"\nwarn = "> 10 and < 50"',
        # Nobody knows what of a query's answer is good.
        'sql = "select 1"\npause = "< 5"',
    ],
)
def test_no_other_limit_is(tmp_path: Path, rule: str) -> None:
    assert read(tmp_path, rule).warnings == ()


@pytest.mark.parametrize(
    ("rule", "well"),
    [
        ('metric = "replication.standbys"\npause = "< 2"', 2),
        ('metric = "replication.standbys"\npause = "<= 1"', 2),
        ('metric = "database.primaries"\npause = "> 1"', 1),
        ('metric = "locks.queued_behind_migration"\npause = ">= 1"', 0),
    ],
)
def test_a_rule_without_resume_goes_on_at_the_count_that_is_well(tmp_path: Path, rule: str, well: int) -> None:
    (found,) = read(tmp_path, rule).rules
    assert found.pause is not None
    assert truth(found.pause, well).answer is Answer.NO
    assert truth(found.resume, well).answer is Answer.YES
