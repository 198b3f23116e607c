"""[page]: where it listens and who may look, and each mistake in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from guard.errors import ConfigError
from guard.settings import PageSettings, Settings, load

HEAD = '[database.main]\ndsn = "host=db1 dbname=app user=guard"\nstandbys = []\n'


@pytest.fixture
def settings(tmp_path: Path) -> Callable[[str], Settings]:
    def read(text: str) -> Settings:
        path = tmp_path / "guard.toml"
        path.touch(0o600)
        path.write_text(HEAD + text)
        return load(path)

    return read


def page_of(settings: Settings) -> PageSettings:
    assert settings.page is not None
    return settings.page


def test_without_the_section_nobody_listens_and_an_empty_one_is_for_this_machine(
    settings: Callable[[str], Settings],
) -> None:
    assert settings("").page is None
    page = page_of(settings("[page]\n"))
    assert (page.host, page.port, page.path, page.hosts, page.token, page.tls) == (
        "127.0.0.1",
        8788,
        None,
        (),
        None,
        None,
    )
    assert settings("[page]\n").warnings == ()


@pytest.mark.parametrize(
    ("listen", "where"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80, None)),
        ("localhost:8788", ("127.0.0.1", 8788, None)),
        ("[::1]:8788", ("::1", 8788, None)),
        ("127.8.9.10:65535", ("127.8.9.10", 65535, None)),
        ("/run/migration-guard/page.sock", ("", 0, Path("/run/migration-guard/page.sock"))),
    ],
)
def test_it_listens_at_an_address_or_a_socket(
    settings: Callable[[str], Settings], listen: str, where: tuple[str, int, Path | None]
) -> None:
    page = page_of(settings(f'[page]\nlisten = "{listen}"\n'))
    assert (page.host, page.port, page.path) == where


@pytest.mark.fault(66)
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('listen = "db1:8788"', "a name may lead anywhere"),
        ('listen = "8788"', "an address and a port"),
        ('listen = "::1:8788"', "an address and a port"),
        ('listen = "[127.0.0.1]:1"', "an address and a port"),
        ('listen = "127.0.0.1:0"', "an address and a port"),
        ('listen = "127.0.0.1:65536"', "an address and a port"),
        ("listen = 8788", "an address and a port"),
        (f'listen = "/{"x" * 120}"', "at most 100 bytes"),
        ('listen = "/run/"', "the path of a Unix socket"),
        ('hosts = ["https://guard.example"]', "without a scheme"),
        ('hosts = ["guard.example:443"]', "without a scheme"),
        ('hosts = ["*"]', "without a scheme"),
        ('hosts = "guard.example"', "must be a list of names"),
        ('tls_key = "k"', "needs tls_certificate as well"),
        ('tls_certificate = "c"', "needs tls_key as well"),
        ('token = "x"', "unknown key"),
        ('listen = "0.0.0.0:8788"', "other machines can reach 0.0.0.0, so it needs a token"),
        ('listen = "[::]:8788"', "other machines can reach ::, so it needs a token"),
        ('listen = "192.168.1.2:8788"', "other machines can reach 192.168.1.2, so it needs a token"),
    ],
)
def test_each_mistake_is_told_with_its_line(settings: Callable[[str], Settings], line: str, said: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        settings(f"[page]\n{line}\n")
    (problem,) = wrong.value.problems
    assert said in problem.message
    assert (problem.line, problem.key.split(".")[0]) == (5, "page")


@pytest.mark.fault(66)
def test_beyond_this_machine_it_wants_a_token_and_warns_of_what_can_be_read_on_the_way(
    settings: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wide = '[page]\nlisten = "0.0.0.0:8788"\nhosts = ["Guard.Example"]\n'
    read = settings(wide + 'token_file = "token"\n')
    assert page_of(read).token is not None
    assert page_of(read).hosts == ("guard.example",)
    assert ["can be read on the way" in each.message for each in read.warnings] == [True]
    assert settings(wide + 'token_file = "token"\ntls_certificate = "c"\ntls_key = "k"\n').warnings == ()

    monkeypatch.setenv("MIGRATION_GUARD_PAGE_TOKEN", "by the environment")
    token = page_of(settings(wide)).token
    assert token is not None
    assert token.reveal() == "by the environment"
    monkeypatch.delenv("MIGRATION_GUARD_PAGE_TOKEN")

    (tmp_path / "page-token").write_text("by systemd")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    token = page_of(settings(wide)).token
    assert token is not None
    assert token.reveal() == "by systemd"


@pytest.mark.parametrize(("key", "rest"), [("token_file", ""), ("tls_key", 'tls_certificate = "c"\n')])
def test_a_secret_that_other_accounts_can_read_is_warned_of(
    settings: Callable[[str], Settings], tmp_path: Path, key: str, rest: str
) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "secret").touch()
    (tmp_path / "secret").chmod(0o644)
    (warning,) = settings(f'[page]\n{key} = "secret"\n{rest}').warnings
    assert (warning.key, "has mode 0644" in warning.message) == (f"page.{key}", True)
