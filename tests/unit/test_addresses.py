"""The hosts of a connection string are those that libpq would try, paired as it pairs them."""

from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from guard.errors import WorldError
from guard.postgres.address import addresses

WHERE = ("host", "hostaddr", "port")


def found(conninfo: str) -> list[tuple[str, ...]]:
    """Name, host, hostaddr and port of each."""
    return [
        (each.name, *(str(conninfo_to_dict(each.conninfo).get(key) or "") for key in WHERE))
        for each in addresses(conninfo)
    ]


@pytest.mark.parametrize(
    ("conninfo", "expected"),
    [
        ("host=a,b", [("a", "a", "", "5432"), ("b", "b", "", "5432")]),
        ("host=a,b port=1", [("a", "a", "", "1"), ("b", "b", "", "1")]),
        ("host=a,b port=1,", [("a", "a", "", "1"), ("b", "b", "", "")]),
        ("host=a,a port=1,2", [("a:1", "a", "", "1"), ("a:2", "a", "", "2")]),
        ("hostaddr=1.2.3.4,::1", [("1.2.3.4", "", "1.2.3.4", "5432"), ("::1", "", "::1", "5432")]),
        ("host=a,b hostaddr=1.2.3.4,", [("a", "a", "1.2.3.4", "5432"), ("b", "b", "", "5432")]),
        ("host=/run/a,b", [("/run/a", "/run/a", "", "5432"), ("b", "b", "", "5432")]),
        ("postgresql://u@a:1,b:2/d", [("a", "a", "", "1"), ("b", "b", "", "2")]),
        ("host=a", [("a", "a", "", "")]),
        ("dbname=d", [("local", "", "", "")]),
    ],
)
def test_lists_are_paired_as_libpq_pairs_them(conninfo: str, expected: list[tuple[str, ...]]) -> None:
    assert found(conninfo) == expected


def test_one_host_keeps_its_connection_string_to_the_letter() -> None:
    given = "host=a target_session_attrs=read-write  connect_timeout=1"
    assert [each.conninfo for each in addresses(given)] == [given]


def test_what_the_environment_and_a_service_file_list_counts_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOST", "e,f")
    assert [name for name, *_ in found("dbname=d")] == ["e", "f"]
    services = tmp_path / "services"
    services.write_text("[shop]\nhost=s,t\nport=7,8\nuser=u\n")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    assert found("service=shop") == [("s", "s", "", "7"), ("t", "t", "", "8")]
    assert found("service=shop host=a,b") == [("a", "a", "", "7"), ("b", "b", "", "8")]
    assert all("service=shop" in each.conninfo for each in addresses("service=shop"))  # the rest of it


def test_each_host_is_asked_whatever_it_is_and_with_the_same_password() -> None:
    for each in addresses("host=a,b password=canary target_session_attrs=read-write load_balance_hosts=random"):
        known = conninfo_to_dict(each.conninfo)
        assert (known["password"], known["target_session_attrs"]) == ("canary", "any")
        assert "canary" not in repr(each)


@pytest.mark.parametrize(
    ("conninfo", "words"),
    [
        ("host=a,b port=1,2,3", "2 hosts and 3 ports"),
        ("host=a,b,c hostaddr=1.2.3.4,1.2.3.5", "3 hosts and 2 addresses"),
        ("host=a,b nonsense password=canary", "cannot be parsed"),
    ],
)
def test_lists_that_do_not_fit_are_refused_in_words_without_a_secret(conninfo: str, words: str) -> None:
    with pytest.raises(WorldError, match=words) as refused:
        addresses(conninfo)
    assert "canary" not in str(refused.value)
