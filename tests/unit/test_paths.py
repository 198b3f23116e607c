"""Paths into a JSON answer: what they lead through, and what is no path."""

import pytest

from guard.judge.paths import PathError, parse_path


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("", ()),
        ("p99", ("p99",)),
        ("stats.p99", ("stats", "p99")),
        ("stats.errors.0", ("stats", "errors", "0")),
        ("checks[0].p99", ("checks", 0, "p99")),
        ("[2]", (2,)),
        ("a[-1][1]", ("a", -1, 1)),
        ('stats["http.p99"].last', ("stats", "http.p99", "last")),
        ('["a b"]', ("a b",)),
        ("a b.c-d", ("a b", "c-d")),
        pytest.param("a" * 500, ("a" * 500,), id="five hundred letters"),
    ],
)
def test_a_path_is_steps_from_the_top(text: str, steps: tuple[str | int, ...]) -> None:
    assert parse_path(text) == steps


@pytest.mark.parametrize(
    "text", [".", "a.", ".a", "a..b", "a[", "a[]", "a[x]", "a[1", "a[0]b", "$.a", '["a]', "a['b']", "[1.5]", "a" * 501]
)
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(PathError) as refused:
        parse_path(text)
    assert str(refused.value) == 'must be a path such as stats.p99, checks[0].p99 or stats["http.p99"], from the top'
