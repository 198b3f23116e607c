"""A primary, a standby and a table to try the guard on, as docs/quickstart.md does. Nothing is left when it ends.

python examples/playground.py [DIRECTORY] [--rows N]

It takes words on its input: `lag` stops the standby's replay, `well` lets it go on. It starts no guard.
"""

import argparse
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg import sql

from guard.act.install import install
from guard.demo.embedded import Cluster

ROLES = """
create role guard login; create role migrator login; create role anna login;
grant migration_guard_guard, pg_monitor, pg_signal_backend to guard;   -- the daemon
grant migration_guard_client to migrator;                              -- whoever runs migrations
grant migration_guard_operator to anna;                                -- people
create table accounts (id int primary key, email text not null, email_lower text);
grant select, update on accounts to migrator;
"""
ROWS = "insert into accounts select n, 'User' || n || '@Example.com' from generate_series(1, {}) as n"


def furnish(cluster: Cluster, rows: int) -> None:
    """Make database shop: the guard's schema, a role for each part, and a table to be filled."""
    primary = cluster.primary
    primary.execute("create database shop")
    install(primary.dsn(dbname="shop"))
    with primary.connect(dbname="shop") as connection:
        connection.execute(ROLES)
        for role in ("guard", "migrator", "anna"):
            statement = sql.SQL("alter role {} password {}")
            connection.execute(statement.format(sql.Identifier(role), sql.Literal(primary.password)))
        connection.execute(sql.SQL(ROWS).format(rows))
    cluster.wait_replayed()


def write_env(cluster: Cluster, directory: Path) -> None:
    """Write what a shell reads to find the server: libpq's own variables, and a file with the password."""
    passwords = directory / "pgpass"
    passwords.touch(mode=0o600)
    passwords.write_text(f"127.0.0.1:{cluster.primary.port}:*:*:{cluster.password}\n")
    variables = {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(cluster.primary.port),
        "PGDATABASE": "shop",
        "PGPASSFILE": str(passwords),
        "MIGRATION_GUARD_DSN": "dbname=shop user=anna",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }
    lines = (f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    (directory / "env").write_text("".join(lines))


@contextmanager
def playground(directory: Path, rows: int) -> Iterator[Cluster]:
    """All of it, for the length of a with block. Raises FileExistsError where *directory* is there already."""
    directory.mkdir(mode=0o700)
    try:
        with Cluster.start(standbys=1) as cluster:
            furnish(cluster, rows)
            write_env(cluster, directory)
            yield cluster
    finally:
        shutil.rmtree(directory)


def interrupt(_number: int, _frame: object) -> None:
    """End as Ctrl-C does, with everything cleaned up."""
    raise KeyboardInterrupt


def main() -> None:
    """Make it, and do what is typed until the input or the patience ends."""
    parser = argparse.ArgumentParser(description="A primary, a standby and a table to try the guard on.")
    parser.add_argument("directory", nargs="?", type=Path, default=Path("playground"))
    parser.add_argument("--rows", type=int, default=300_000)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, interrupt)
    directory = given.directory.absolute()
    try:
        with playground(directory, given.rows) as cluster:
            print(f"A primary and a standby are there. In another terminal: cd {directory} && . ./env", flush=True)
            print("Type lag, well, or Ctrl-C to end it all.", flush=True)
            for word in map(str.strip, sys.stdin):
                if word == "lag":
                    cluster.lag_on()
                    print("replica1 has stopped replaying.", flush=True)
                elif word == "well":
                    cluster.lag_off()
                    print("replica1 replays again.", flush=True)
    except KeyboardInterrupt:
        print("All gone.")
    except FileExistsError:
        sys.exit(f"{directory} is there already: give another directory")


if __name__ == "__main__":
    main()
