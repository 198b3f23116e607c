"""[verify], the phases of [migration.NAME], and patterns of names."""

from pathlib import Path

import pytest

from guard.errors import ConfigError
from guard.model import Check
from guard.settings import Settings, load
from guard.wiring import options_of

BASE = '[database.main]\ndsn = "dbname=x"\nstandbys = []\n'
HOOK = '[rollback]\ncommand = ["/bin/true"]\n'


def read(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "guard.toml"
    file.write_text(BASE + text)
    return load(file)


def test_a_migration_has_its_own_checks_and_those_of_all_that_it_does_not_replace(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        HOOK
        + """
[database.other]
dsn = "dbname=y"
standbys = []
[verify.totals]
no_rows = "select 1"
[verify.sum]
same = "select 2"
on_failure = "rollback"
databases = ["other"]
[migration.m.verify.totals]
no_rows = "select 3"
[migration.m.phase."switch reads".parity]
no_rows = "select 4"
""",
    )
    everybody = Check("totals", "select 1")
    total = Check("sum", "select 2", same=True, rollback=True)
    assert settings.migration("any").checks_of("other") == (everybody, total)
    assert settings.migration("any").checks_of("main") == (everybody,)
    assert settings.migration("m").checks_of("other") == (total, Check("totals", "select 3"))
    assert settings.migration("m").gate("switch reads", "main") == (Check("parity", "select 4"),)
    assert settings.migration("any").phases == {}


def test_a_pattern_serves_those_that_have_no_section_of_their_own(tmp_path: Path) -> None:
    settings = read(
        tmp_path, f'{HOOK}[migration."region-*"]\nsoak = "1m"\n[migration.region-eu]\nsoak = "2m"\n[migration.x]\n'
    )
    assert [settings.migration(name).soak for name in ("region-us", "region-eu", "other")] == [60.0, 120.0, 600.0]
    rollback = settings.migration("region-us").rollback
    assert rollback is not None
    assert rollback.command == ("/bin/true",)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("[verify.a]\n", 4, "needs exactly one of no_rows and same"),
        ('[verify.a]\nno_rows = "select 1"\nsame = "select 1"\n', 4, "needs exactly one of no_rows and same"),
        ("[verify.a]\nno_rows = 1\n", 5, "must be a string in quotes"),
        ('[verify.a]\nno_row = "x"\nno_rows = "select 1"\n', 5, 'did you mean "no_rows"'),
        ('[verify.a]\nno_rows = "select 1"\non_failure = "abort"\n', 6, "'tell' or 'rollback'"),
        ('[verify.a]\nno_rows = "select 1"\non_failure = "rollback"\n', 6, "there is no [rollback]"),
        ('[verify.a]\nno_rows = "select 1"\ndatabases = ["mian"]\n', 6, 'did you mean "main"'),
        ("[[verify]]\n", 4, "must be tables such as [verify.NAME]"),
        ("[verify]\na = 1\n", 5, "must be a table: [verify.a]"),
        ('[verify."a\\nb"]\nno_rows = "select 1"\n', 4, "needs a name for people"),
        ("[migration.m.phase.p]\n", 4, "has no check, so it would always hold"),
        ("[migration.m.phase.p.c]\nsame = 'select 1'\n", 4, "is required"),
        ("[migration.m.phase]\np = 1\n", 5, "must be tables such as [migration.m.phase.p.NAME]"),
        ('[migration.m.verify.a]\nno_rows = "select 1"\non_failure = "rollback"\n', 6, "there is no [rollback]"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        read(tmp_path, text)
    found = [str(each) for each in wrong.value.problems if f"guard.toml:{line}: " in str(each)]
    assert any(said in each for each in found), wrong.value


def test_one_hook_of_any_migration_is_enough_for_a_check_of_all_to_ask_for_it(tmp_path: Path) -> None:
    text = (
        '[verify.a]\nno_rows = "select 1"\non_failure = "rollback"\n[migration.m.rollback]\ncommand = ["/bin/true"]\n'
    )
    assert read(tmp_path, text).checks[0].check.rollback


def test_the_options_of_a_guard_say_of_each_migration_what_its_section_says(tmp_path: Path) -> None:
    file = tmp_path / "guard.toml"
    file.write_text(
        """
[database.main]
dsn = "dbname=x"
standbys = []
[rollback]
command = ["/bin/true"]
auto_rollback = true
[verify.a]
no_rows = "select 1"
[migration."region-*"]
soak = "0s"
[migration."region-*".rollback]
command = ["/bin/own"]
[migration."region-*".verify.b]
no_rows = "select 2"
[migration.other]
"""
    )
    options = options_of(load(file), "main")
    names = ("region-eu", "other", "any")
    assert [options.soak_of(name) for name in names] == [0.0, 600.0, 600.0]
    assert [options.fires_in_soak(name) for name in names] == [False, True, True]
    assert [[check.name for check in options.checks_of(name)] for name in names] == [["a", "b"], ["a"], ["a"]]
