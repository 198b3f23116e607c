"""What a command is started with, and where it finds its database."""

import pytest

from guard.exec.marks import conninfo_of, environment, remarks


def test_a_command_gets_its_name_and_its_limits_beside_what_it_had() -> None:
    given = {"PATH": "/bin", "PGOPTIONS": "-c work_mem=5MB"}
    limits = "-c lock_timeout=1500ms -c client_connection_check_interval=500ms"
    assert environment(given, "m", 1.5) == {
        "PATH": "/bin",
        "PGAPPNAME": "migration:m",
        "PGOPTIONS": f"-c work_mem=5MB {limits}",
    }
    assert environment({}, "m", 1.5)["PGOPTIONS"] == limits


def test_a_limit_that_was_chosen_already_stays() -> None:
    options = environment({"PGOPTIONS": "-c lock_timeout=3s"}, "m", 1.0)["PGOPTIONS"]
    assert options == "-c lock_timeout=3s -c client_connection_check_interval=500ms"


@pytest.mark.parametrize(
    "value", ["postgres://u:secret@h/db?application_name=api", "postgresql://h/db?application_name=x"]
)
def test_an_address_that_says_a_name_of_its_own_is_told_of_without_its_value(value: str) -> None:
    [said] = remarks({"DATABASE_URL": value, "OTHER": "application_name=y"}, "m")
    assert said.startswith("DATABASE_URL says an application_name of its own")
    assert "application_name=migration:m" in said
    assert "secret" not in said


@pytest.mark.parametrize(
    "value", ["postgres://h/db", "postgres://h/db?application_name=migration%3Am", "postgres://[::1"]
)
def test_an_address_without_a_name_or_with_the_right_one_is_not(value: str) -> None:
    assert remarks({"DATABASE_URL": value}, "m") == []


@pytest.mark.parametrize(
    ("given", "conninfo"),
    [
        ({}, ""),
        ({"DATABASE_URL": "mysql://h/db"}, ""),
        ({"DATABASE_URL": "postgres://u@h:1/db"}, "postgres://u@h:1/db"),
        # What only other drivers know libpq would refuse, and the name is ours.
        (
            {"DATABASE_URL": "postgresql://h/db?schema=public&sslmode=require&application_name=api"},
            "postgresql://h/db?sslmode=require",
        ),
    ],
)
def test_the_database_is_that_of_the_command(given: dict[str, str], conninfo: str) -> None:
    assert conninfo_of(given) == conninfo
