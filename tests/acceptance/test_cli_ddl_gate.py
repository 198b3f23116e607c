"""install --ddl-gate and what check says of the gate, as people run them."""

from pathlib import Path

import psycopg
import pytest

from guard.act.ddl_gate import OFF
from tests.command import command
from tests.fix_postgres import Database, MakeRole

pytestmark = pytest.mark.acceptance

FILE = """
[guard]
state_directory = "{path}"
[database.main]
dsn = "{dsn}"
standbys = []
[migrations]
roles = ["migrator"]
application_names = ["{names}"]
"""


def write(path: Path, database: Database, names: str) -> str:
    file = path / "guard.toml"
    file.touch(mode=0o600)
    file.write_text(FILE.format(path=path, dsn=database.dsn("guard_login"), names=names))
    return str(file)


def gate_of(config: str) -> list[str]:
    """The lines of `check` on the gate."""
    lines = command("check", "-c", config).out.splitlines()
    at = next(n for n, line in enumerate(lines) if "DDL gate" in line)
    return [line.strip() for line in lines[at : at + 2]]


def test_the_gate_is_made_by_the_file_checked_against_it_and_removed(
    database: Database, make_role: MakeRole, tmp_path: Path
) -> None:
    for role in ("guard_login", "migrator"):
        make_role(role)
    config, admin = write(tmp_path, database, "migration:*"), ("--dsn", database.dsn())
    made = command("install", "--ddl-gate", "-c", config, *admin)  # the schema too, since it is not there yet
    assert made.code == 0, made.said
    assert "the DDL gate holds migrator named migration:*; it is closed while no guard can say anything." in made.out
    assert f"{OFF};" in made.out
    database.execute(b"grant migration_guard_guard to guard_login")
    assert "fine" in gate_of(config)[0]
    with database.connect("migrator", application_name="migration:m") as session:
        with pytest.raises(psycopg.errors.LockNotAvailable, match="there is no lease"):
            session.execute("create temp table x ()")
        assert command("install", "--ddl-gate", "-c", config, "--when-lost", "open", *admin).code == 0
        session.execute("create temp table x ()")
    config = write(tmp_path, database, "tool")
    what, todo = gate_of(config)
    assert "holds migrator named migration:*, and [migrations] names migrator named tool" in what
    assert "install --ddl-gate -c FILE" in todo
    assert "there is no role" not in made.said
    assert "there is no role migratr here" in command("install", "--ddl-gate", "--role", "migratr", *admin).err
    assert command("uninstall", "--ddl-gate", *admin).out.endswith("DDL gate removed.\n")
    assert "there is no DDL gate" in gate_of(config)[0]
