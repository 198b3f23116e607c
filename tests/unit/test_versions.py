"""What ./dev test --postgres does with versions that cannot be had."""

import pytest

from tests.versions import SUPPORTED, WHEELS, main


def test_a_version_that_cannot_be_had_fails_and_is_told_with_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--postgres", "9"]) == 1
    told = capsys.readouterr()
    assert "no server programs of PostgreSQL 9: the versions are 15, 16, 17, 18" in told.err
    assert "FAILED" in told.out


@pytest.mark.parametrize("arguments", [[], ["--postgres"], ["--postgres", "newest"]])
def test_what_is_no_version_is_a_mistake_of_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "15|16|17|18|all" in capsys.readouterr().err


def test_wheels_are_pinned() -> None:
    assert all("==" in wheel.package for wheel in WHEELS.values())
    assert set(WHEELS) < set(SUPPORTED)
