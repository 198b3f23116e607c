"""What all tests share: the plugins with the fixtures, the choice of PostgreSQL, a clean environment."""

import os

import hypothesis
import pytest

from tests.choice import CHOICE, choose_binaries

# How long an example takes says something of the machine, and nothing of the code.
hypothesis.settings.register_profile("guard", deadline=None)
hypothesis.settings.load_profile("guard")

pytest_plugins = [
    "tests.fix_postgres",
    "tests.fix_sessions",
    "tests.fix_proxy",
    "tests.fix_http",
    "tests.fix_hooks",
    "tests.fix_notify",
    "tests.fix_matrix",
    "tests.fix_network",
    "tests.fix_node",
    "tests.fix_recipes",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """--postgres: which server programs to test against. --shots: where to keep pictures of the status page."""
    parser.addoption(
        "--postgres",
        metavar="PATH|MAJOR",
        help="directory with initdb and postgres, or a major version such as 15 or 18 "
        "(default: $MIGRATION_GUARD_PG_BIN, then the embedded wheel, then the system's)",
    )
    parser.addoption("--shots", metavar="DIRECTORY", help="where the browser tests keep pictures of what they saw")


def pytest_configure(config: pytest.Config) -> None:
    """No setting of the person who runs the tests may steer them."""
    config.stash[CHOICE] = choose_binaries(config.getoption("--postgres"))
    for name in list(os.environ):
        if name.startswith(("PG", "MIGRATION_GUARD")) and name != "MIGRATION_GUARD_PG_BIN":
            del os.environ[name]


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Bytes never name a test: an HTTP answer holds a clock, and every worker has to find the same names."""
    return argname if isinstance(val, bytes) else None


def pytest_report_header(config: pytest.Config) -> str:
    """Name the servers that the tests run against."""
    return f"postgres: {config.stash[CHOICE]}"
