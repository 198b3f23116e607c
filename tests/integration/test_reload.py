"""A reload takes up all of a file or nothing of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from guard.errors import WorldError
from guard.settings import Settings, load
from guard.wiring import build, rewire

pytestmark = pytest.mark.integration


def write(directory: Path, limit: str) -> Path:
    file, secret = directory / "guard.toml", directory / "secret"
    databases = "".join(
        f'[database.{name}]\ndsn = "host=127.0.0.1 port=1 dbname={name}"\npassword_file = "{secret}-{name}"\n'
        "standbys = []\n"
        for name in ("one", "two")
    )
    file.write_text(
        f'[guard]\nstate_directory = "{directory}/state"\n{databases}'
        f'[rollback]\ncommand = ["/bin/true"]\nverify = "select true"\n'
        f'[[rule]]\nname = "slots"\nmetric = "replication.retained_bytes"\npause = "> {limit}"\n'
    )
    return file


@pytest.mark.fault(9)
def test_a_credential_that_is_gone_for_one_database_leaves_the_rules_of_every_one_as_they_were(tmp_path: Path) -> None:
    async def work() -> None:
        for name in ("one", "two"):
            (tmp_path / f"secret-{name}").write_text("a secret")
            (tmp_path / f"secret-{name}").chmod(0o600)
        old = load(write(tmp_path, "1GB"))
        household = build(old)
        new = load(write(tmp_path, "2GB"))
        (tmp_path / "secret-two").unlink()
        with pytest.raises(WorldError):
            rewire(household, old, new)
        assert [watch.guard.options.rules for watch in household.watches] == [old.rules_of("one"), old.rules_of("two")]
        household.journal.close()
        household.lock.close()

    asyncio.run(work())


def test_a_rule_that_comes_with_a_reload_can_ask_prometheus_for_the_past_and_one_that_went_cannot(
    tmp_path: Path,
) -> None:
    def load_with(rule: str) -> Settings:
        for name in ("one", "two"):
            (tmp_path / f"secret-{name}").touch(0o600)
            (tmp_path / f"secret-{name}").write_text("a secret")
        file = write(tmp_path, "1GB")
        asks = f'[[rule]]\nname = "{rule}"\nprometheus = "up"\npause = "> 2x baseline and > 1"\ndatabases = ["one"]\n'
        file.write_text(file.read_text() + asks + '[prometheus]\nurl = "http://127.0.0.1:9"\n')
        return load(file)

    async def work() -> None:
        old, new = load_with("before"), load_with("after")
        household = build(old)
        one, two = (watch.guard for watch in household.watches)
        assert (set(one.hands.histories), set(two.hands.histories)) == ({"before"}, set())
        rewire(household, old, new)
        assert (set(one.hands.histories), set(two.hands.histories)) == ({"after"}, set())
        household.journal.close()
        household.lock.close()

    asyncio.run(work())
