"""How sources are asked by HTTP, as the file and the environment say it: what is right, and each mistake in words."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from guard.errors import ConfigError, WorldError
from guard.masking import mask
from guard.settings import Settings, load
from guard.sources import credentials_of

HEAD = '[database.main]\ndsn = "host=db1 dbname=app user=guard"\nstandbys = []\n'
RULE = '[[rule]]\nname = "p99"\nhttp = "https://app/health"\npause = "> 1s"\n'
PROMETHEUS = '[prometheus]\nurl = "https://prometheus"\n'
RATIO = '[[rule]]\nname = "errors"\nprometheus = "ratio"\npause = "> 1%"\n'
BASIC = 'username = "guard"\npassword_file = "secret"\n'
PASSWORD = "hünter2:CANARY"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Settings]:
    for name in ("PASSWORD", "BEARER_TOKEN"):
        monkeypatch.delenv(f"MIGRATION_GUARD_PROMETHEUS_{name}", raising=False)
    (tmp_path / "secret").touch(0o600)
    (tmp_path / "secret").write_text(PASSWORD + "\n")

    def read(text: str) -> Settings:
        path = tmp_path / "guard.toml"
        path.touch(0o600)
        path.write_text(HEAD + text)
        return load(path)

    return read


def basic(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"guard:{password}".encode()).decode()}


def test_a_rule_and_prometheus_name_who_asks_each_for_itself(
    settings: Callable[[str], Settings], tmp_path: Path
) -> None:
    other = tmp_path / "token"
    other.touch(0o600)
    other.write_text("token-1")
    read = settings(RULE + BASIC + 'ca_file = "ca.pem"\n' + PROMETHEUS + f'bearer_token_file = "{other}"\n')
    assert read.prometheus is not None
    mine, theirs = read.access["p99"], read.prometheus.access
    assert credentials_of(mine)() == basic(PASSWORD)
    assert (mine.ca_file, theirs.ca_file) == (tmp_path / "ca.pem", None)
    credentials = credentials_of(theirs)
    assert credentials() == {"Authorization": "Bearer token-1"}
    other.write_text("token-2")  # rotated
    assert credentials() == {"Authorization": "Bearer token-2"}
    assert "CANARY" not in repr(read)
    assert mask(basic(PASSWORD)["Authorization"]) == "Basic ***"


def test_the_environment_wins_for_prometheus(
    settings: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGRATION_GUARD_PROMETHEUS_PASSWORD", "of the environment")
    read = settings(PROMETHEUS + BASIC)
    assert read.prometheus is not None
    assert credentials_of(read.prometheus.access)() == basic("of the environment")
    monkeypatch.delenv("MIGRATION_GUARD_PROMETHEUS_PASSWORD")
    monkeypatch.setenv("MIGRATION_GUARD_PROMETHEUS_BEARER_TOKEN", "t")
    read = settings(PROMETHEUS)
    assert read.prometheus is not None
    assert credentials_of(read.prometheus.access)() == {"Authorization": "Bearer t"}


def test_nobody_is_named_where_nobody_is_said(settings: Callable[[str], Settings]) -> None:
    assert credentials_of(settings(RULE).access["p99"])() == {}


def test_a_credential_that_is_missing_or_no_header_is_told_when_it_is_needed(
    settings: Callable[[str], Settings], tmp_path: Path
) -> None:
    token = tmp_path / "token"
    credentials = credentials_of(settings(RULE + 'bearer_token_file = "token"\n').access["p99"])
    with pytest.raises(WorldError, match="token cannot be read"):
        credentials()
    token.touch(0o600)
    token.write_text("a\r\nX-Evil: CANARY")
    with pytest.raises(WorldError, match="must not have") as caught:
        credentials()
    assert "CANARY" not in str(caught.value)


def test_a_rule_says_from_which_traffic_on_it_judges(settings: Callable[[str], Settings]) -> None:
    (rule,) = settings(PROMETHEUS + RATIO + 'traffic = "sum(rate(x[1m]))"\nmin_traffic = 0.5\n').rules
    assert (rule.traffic, rule.min_traffic) == ("sum(rate(x[1m]))", 0.5)


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        (RULE + 'username = "guard"\n', 'rule "p99".username', "needs a password"),
        (RULE + 'password_file = "secret"\n', 'rule "p99".password_file', "needs username"),
        (RULE + BASIC + 'bearer_token_file = "t"\n', 'rule "p99".username', "does not go with a bearer token"),
        (RULE + BASIC + 'headers = { authorization = "x" }\n', 'rule "p99".headers', "no Authorization"),
        (RULE + 'username = "a:b"\n', 'rule "p99".username', "no colon"),
        (RULE + 'username = "a\\u0007"\n', 'rule "p99".username', "control character"),
        (RULE + 'password = "x"\n', 'rule "p99".password', "password_file"),
        (RULE + "insecure = true\n", 'rule "p99".insecure', "unknown key"),
        (RULE + 'json = "a..b"\n', 'rule "p99".json', "must be a path"),
        (PROMETHEUS + 'username = "guard"\n', "prometheus.username", "needs a password"),
        (PROMETHEUS + "verify = false\n", "prometheus.verify", "unknown key"),
        (RULE + 'traffic = "up"\n', 'rule "p99".traffic', "prometheus alone"),
        (PROMETHEUS + RATIO + 'traffic = "up"\n', 'rule "errors".traffic', "needs min_traffic"),
        (PROMETHEUS + RATIO + "min_traffic = 1\n", 'rule "errors".min_traffic', "needs traffic"),
        (PROMETHEUS + RATIO + 'traffic = "up"\nmin_traffic = 0\n', 'rule "errors".min_traffic', "above 0"),
        (PROMETHEUS + RATIO + 'traffic = "up"\nmin_traffic = "1"\n', 'rule "errors".min_traffic', "a number above 0"),
        (
            PROMETHEUS + '[[rule]]\nname = "p"\nprometheus = "up"\npause = "> 1"\nca_file = "x"\n',
            'rule "p".ca_file',
            "stands in [prometheus]",
        ),
        (
            '[[rule]]\nname = "l"\nmetric = "locks.longest_wait"\npause = "> 1s"\nheaders = { a = "b" }\n',
            'rule "l".headers',
            "goes with http alone",
        ),
    ],
)
def test_each_mistake_is_told_at_its_key(settings: Callable[[str], Settings], text: str, key: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(text)
    (problem,) = caught.value.problems
    assert problem.key == key
    assert words in problem.message


def test_secrets_that_others_can_read_are_pointed_out_where_they_are_named(
    settings: Callable[[str], Settings], tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "secret").chmod(0o644)
    read = settings(RULE + BASIC + PROMETHEUS + BASIC)
    assert [problem.key for problem in read.warnings] == ["prometheus.password_file", 'rule "p99".password_file']
    assert all("mode 0644" in problem.message for problem in read.warnings)


@pytest.mark.fault(63)
@pytest.mark.parametrize(
    ("more", "key"),
    [
        (RULE.replace("https://app", "http://app:8080") + BASIC, 'rule "p99".http'),
        (RULE.replace("https://app", "http://[2001:db8::1]") + 'bearer_token_file = "secret"\n', 'rule "p99".http'),
        (RULE.replace("health", "health?api_key=CANARY").replace("https", "http"), 'rule "p99".http'),
        (PROMETHEUS.replace("https", "http") + BASIC, "prometheus.url"),
        (PROMETHEUS.replace("https", "http") + 'headers = { "X-Auth" = "CANARY" }\n', "prometheus.url"),
    ],
    ids=["a password", "a token", "a key in the address", "a password for Prometheus", "a header"],
)
def test_a_credential_that_travels_in_clear_is_pointed_out(
    settings: Callable[[str], Settings], more: str, key: str
) -> None:
    (warning,) = settings(more).warnings
    assert (warning.key, warning.message.split("; ")[1]) == (key, "use https")
    assert "CANARY" not in warning.message


@pytest.mark.parametrize(
    "more",
    [
        PROMETHEUS.replace("https://prometheus", "http://10.0.0.1:9090") + 'headers = { "X-Scope-OrgID" = "shop" }\n',
        PROMETHEUS + BASIC,
        *(
            RULE.replace("https://app", f"http://{host}") + BASIC
            for host in ("localhost:80", "127.1.2.3", "[::1]:9000", "app.LOCALHOST")
        ),
    ],
    ids=["no secret", "https", "localhost", "127.1.2.3", "::1", "a name of this machine"],
)
def test_what_stays_on_this_machine_goes_by_https_or_is_no_secret_is_no_matter(
    settings: Callable[[str], Settings], more: str
) -> None:
    assert settings(more).warnings == ()
