"""What `exec` can start."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from guard.demo.embedded import Binaries
from tests.executing import Bench, benched
from tests.fix_postgres import Database

pytestmark = pytest.mark.integration


@pytest.fixture
def bench(database: Database, binaries: Binaries, tmp_path: Path) -> Iterator[Bench]:
    """A guard that orders what the test says, and nothing at work yet."""
    with benched(database, binaries, tmp_path) as bench:
        yield bench


def test_a_script_whose_first_line_names_no_program_is_run_by_sh_as_a_shell_does_it(
    bench: Bench, tmp_path: Path
) -> None:
    script = tmp_path / "tool"
    script.write_text('# no program is named here\necho "$1"\nexit 7\n')
    script.chmod(0o755)
    process = bench.execute(["tool", "well said"], PATH=f"{tmp_path}:/usr/bin:/bin")
    assert process.wait() == 7
    assert "well said" in process.text()
    neither = bench.execute([str(tmp_path)])
    assert neither.wait() == 2
    assert "could not be started" in neither.text()


def test_a_table_that_is_not_there_and_is_waited_for_in_vain_is_named(bench: Bench) -> None:
    process = bench.execute(["true"], "--table", "public.t", "--table", "public.typo")
    assert process.wait(40) == 0, process.text()
    assert "there is no table public.typo, so nobody is waited for who holds it" in process.text()
    assert "public.t," not in process.text()
