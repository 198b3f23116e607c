"""What the log masks: every secret that was looked at, in any spelling, in tracebacks too."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import make_conninfo

from guard import masking
from guard.daemon import logs
from guard.masking import forms_of, mask, remember, without
from guard.settings import Secret


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """The register is the process's; other tests have theirs."""
    known, forms = set(masking._known), masking._forms
    yield
    masking._known.clear()
    masking._known.update(known)
    masking._forms = forms


@given(st.text(min_size=6).filter(lambda text: "\0" not in text and text.strip()))
def test_a_secret_is_found_however_it_is_written(secret: str) -> None:
    for written in (
        f"password {secret} here",
        f"postgresql://u:{quote(secret.encode('utf-8', 'replace'), safe='')}@db1/app",
        make_conninfo(password=secret.encode("utf-8", "replace").decode()),
        repr({"password": secret}),
        " ".join(f"line {secret} line".split()),
    ):
        hidden = without(written, forms_of(secret) | forms_of(secret.encode("utf-8", "replace").decode()))
        assert secret not in hidden or secret in "***"
        assert "***" in hidden


def test_words_too_short_to_be_secrets_are_left_alone() -> None:
    remember("")
    remember("app")
    assert mask("database app") == "database app"


def test_of_an_address_its_path_is_masked_too() -> None:
    remember("https://hooks.example/services/T0/B0/xyz")
    assert mask("POST /services/T0/B0/xyz of hooks.example") == "POST *** of hooks.example"


def test_a_traceback_in_the_log_holds_no_secret_that_was_looked_at(capfd: pytest.CaptureFixture[str]) -> None:
    secret = Secret("a test", value="s3cr3t canary%/").reveal()
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    lines = logs.begin()
    try:
        try:
            _fail(f"GET https://db1/{quote(secret, safe='')} failed: {secret!r}")
        except RuntimeError:
            logging.getLogger("guard").exception("unforeseen, with %s", secret)
    finally:
        lines.finish(5)
        root.handlers[:] = before
        root.setLevel(level)
    said = capfd.readouterr().err
    assert "RuntimeError: GET https://db1/*** failed: '***'" in said
    assert "unforeseen, with ***" in said
    assert "canary" not in said


def _fail(words: str) -> None:
    raise RuntimeError(words)
