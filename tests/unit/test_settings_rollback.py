"""[rollback]: who runs the hook, and the query that has the last word."""

from pathlib import Path

import pytest

from guard.errors import ConfigError
from guard.settings import load

BASE = '[database.main]\ndsn = "dbname=x"\nstandbys = []\n[rollback]\ncommand = ["/bin/true"]\n'


def test_the_daemon_runs_it_unless_the_file_says_the_unit(tmp_path: Path) -> None:
    file = tmp_path / "guard.toml"
    file.write_text(BASE)
    rollback = load(file).rollback
    assert rollback is not None
    assert (rollback.by_unit, rollback.verify) == (False, None)
    own = '[migration.m.rollback]\ncommand = ["/bin/own"]\nrunner = "unit"\nverify = "select true"\n'
    file.write_text(BASE + own)
    rollback = load(file).migration("m").rollback
    assert rollback is not None
    assert (rollback.by_unit, rollback.verify) == (True, "select true")


@pytest.mark.parametrize(("line", "said"), [('runner = "systemd"', "'daemon' or 'unit'"), ("verify = true", "string")])
def test_what_they_do_not_allow_is_said_with_its_line(tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "guard.toml"
    file.write_text(BASE + line)
    with pytest.raises(ConfigError) as wrong:
        load(file)
    assert (str(wrong.value).startswith(f"{file}:6: rollback."), said in str(wrong.value)) == (True, True), wrong.value
