"""What is said of known vulnerabilities; above all that nothing looked up is not "none found"."""

import json

import pytest

from tests.advisories import Found, read, verdict

UNKNOWN = {"name": "a", "skip_reason": "Dependency not found on PyPI and could not be audited: a (1.0)"}
WELL = {"name": "b", "version": "2.0", "vulns": []}
FLAWED = {"name": "c", "version": "3.0", "vulns": [{"id": "GHSA-1", "fix_versions": ["3.1"], "aliases": ["CVE-1"]}]}


def judged(*packages: object, excused: dict[str, str] | None = None, require: bool = False) -> tuple[int, str]:
    found = read(json.dumps({"dependencies": packages, "fixes": []}))
    code, said = verdict(found, excused or {}, require=require)
    return code, "\n".join(said)


@pytest.mark.parametrize("answer", ["", "Traceback", "[]", "{}", "null"])
def test_an_answer_that_is_none_is_not_taken_for_a_good_one(answer: str) -> None:
    assert read(answer) is None
    for require, code in ((False, 0), (True, 3)):
        got, said = verdict(read(answer), {}, require=require)
        assert got == code
        assert "NOT CHECKED" in said[0]


def test_packages_that_the_database_does_not_know_are_not_checked() -> None:
    assert judged(UNKNOWN)[0] == 0
    assert judged(UNKNOWN, require=True)[0] == 3
    assert "NOT CHECKED" in judged(UNKNOWN)[1]
    code, said = judged(UNKNOWN, WELL, require=True)
    assert code == 0
    assert "does not know them: a" in said
    assert "1 packages checked" in said


def test_a_vulnerability_fails_unless_it_is_excused_and_an_excuse_that_is_not_needed_is_told() -> None:
    code, said = judged(WELL, FLAWED)
    assert code == 1
    assert "c 3.0: GHSA-1, CVE-1 (mended in: 3.1)" in said
    code, said = judged(WELL, FLAWED, excused={"CVE-1": "not reachable", "GHSA-2": "old"})
    assert code == 0
    assert "excused: CVE-1: not reachable" in said
    assert "GHSA-2 need no longer be excused" in said


def test_what_is_found_is_counted() -> None:
    assert read(json.dumps({"dependencies": [UNKNOWN, WELL, FLAWED]})) == Found(
        2, ("a",), (("c 3.0", ("GHSA-1", "CVE-1"), "3.1"),)
    )
