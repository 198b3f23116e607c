"""backfill: one UPDATE in batches under guard. It connects, comes back after a broken line, and says how it ended."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guard.cli.backfilling import Teller, teller
from guard.cli.where import AsJson, Config, Database, Dsn, Target, target
from guard.cli.words import duration
from guard.errors import GuardError, WorldError
from guard.exits import Exit

if TYPE_CHECKING:
    import psycopg

    from guard.client.backfill import Definition, Ended, Manner

LASTED = 30.0
"""Seconds after which an attempt that fails was one that had gone well, such as a long pause before a failover."""
PREDECESSOR = 15.0
"""Seconds in which the session of one that was killed has to be gone."""


def backfill(
    name: Annotated[str, typer.Argument(help="Its name: who comes with it again goes on where it stopped.")],
    table: Annotated[str, typer.Option("--table", help="The table, such as public.customers.")],
    set_: Annotated[str, typer.Option("--set", metavar="SQL", help="What is set: \"region = 'eu'\".")],
    where: Annotated[str, typer.Option("--where", metavar="SQL", help="Which rows: 'region is null'.")] = "true",
    key: Annotated[
        str | None, typer.Option("--key", show_default="the primary key", help="The unique column to go by.")
    ] = None,
    batch_time: Annotated[
        str, typer.Option("--batch-time", metavar="DURATION", help="What a batch is to take; 2s at most.")
    ] = "500ms",
    max_batch: Annotated[int, typer.Option("--max-batch", min=1, help="Keys that a batch looks at, at most.")] = 10_000,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan of a batch, and change nothing.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Begin anew, also with another definition.")] = False,
    patience: Annotated[
        str, typer.Option("--patience", metavar="DURATION", help="How long it tries where nothing succeeds.")
    ] = "5m",
    window: Annotated[
        str,
        typer.Option("--window", metavar="auto|off|SIZE", help="WAL that standbys may have still to replay, as 8MB."),
    ] = "auto",
    on_guard_lost: Annotated[str, typer.Option("--on-guard-lost", help="wait, proceed or fail.")] = "wait",
    as_json: AsJson = False,
    config: Config = None,
    database: Database = None,
    dsn: Dsn = None,
) -> None:
    """Change the rows of a table in batches, each only while the guard lets it; resumable at any moment.

    A batch is a range of the key; where it stands is committed with it. SET and WHERE are SQL of your own. Give --dsn
    with the role that migrates. --json prints an object a line. Exits 5 where rows were left, 75 where it can go on
    later.
    """
    from guard.client.backfill import BackfillRefused, Definition, Manner

    definition = Definition(table, set_=set_, where=where, key=key)
    if on_guard_lost not in {"wait", "proceed", "fail"}:
        raise typer.BadParameter("--on-guard-lost is wait, proceed or fail")
    try:
        manner = Manner(
            batch_time=duration(batch_time),
            max_batch=max_batch,
            anew=restart,
            patience=duration(patience),
            window=_window(window),
            on_guard_lost=on_guard_lost,  # type: ignore[arg-type]
        )
    except BackfillRefused as wrong:
        raise typer.BadParameter(f"--batch-time: {wrong}") from None
    aim = target(config, database, dsn)
    if dry_run:
        _preview(aim, definition, manner, as_json=as_json)
        return
    with teller(name, table, as_json=as_json) as said:
        code = _Attempts(aim, name, definition, said).run(manner)
    raise typer.Exit(code)


def _window(text: str) -> int | bool:
    from guard.judge.quantities import QuantityError, parse_quantity
    from guard.model import Dimension

    if text in {"auto", "off"}:
        return text == "auto"
    try:
        size, dimension = parse_quantity(text)
    except QuantityError as wrong:
        raise typer.BadParameter(f"--window: {wrong}") from None
    if dimension is not Dimension.BYTES or size < 1:
        raise typer.BadParameter("--window is auto, off, or a size such as 8MB")
    return int(size)


class _Attempts:
    """Runs until it has ended: a connection that breaks, as in a failover, is no end."""

    def __init__(self, aim: Target, name: str, definition: Definition, said: Teller) -> None:
        self._aim, self._name, self._definition, self._said = aim, name, definition, said
        self._stopped = self._moved = False
        self._failing_since: float | None = None

    def run(self, manner: Manner) -> Exit:
        from guard.client import Aborted, AlreadyRunning, GuardLost, Paused
        from guard.client.backfill import Hindered, Stopped

        try:
            with self._signals():
                ended = self._until_ended(manner)
        except Aborted as wrong:
            return self._said.failed("aborted", str(wrong), Exit.ABORTED)
        except Stopped:
            return self._said.failed("stopped", "It stopped as it was asked to.", Exit.LATER)
        except (Hindered, AlreadyRunning, GuardLost, Paused) as wrong:
            return self._said.failed("later", str(wrong), Exit.LATER)
        except GuardError as wrong:
            return self._said.failed("refused", str(wrong), Exit.WORLD)
        return self._said.ended(ended, Exit.DONE if ended.well else Exit.UNVERIFIED)

    def _until_ended(self, manner: Manner) -> Ended:
        import dataclasses

        import psycopg

        from guard.client import AlreadyRunning
        from guard.client.backfill import Hindered, Stopped

        while True:
            began = time.monotonic()
            try:
                return self._attempt(manner)
            except AlreadyRunning:
                if self._failed_for(began) > PREDECESSOR:
                    raise
            except psycopg.OperationalError as error:
                words = _said_by(error)
                if self._failing_since is None or self._moved:
                    self._said.waits(f"{words}; it connects anew and goes on where it stopped")
                if self._failed_for(began) > manner.patience:
                    raise Hindered(f"{self._aim.name}: {words}, for {manner.patience:g} s.") from None
            except psycopg.Error as error:
                raise WorldError(f"{self._aim.name}: PostgreSQL refuses it: {_said_by(error)}.") from None
            if self._moved:  # begun anew by now: the next attempt goes on
                manner = dataclasses.replace(manner, anew=False)
            time.sleep(0.5)
            if self._stopped:
                raise Stopped

    def _failed_for(self, began: float) -> float:
        """Seconds since the first failure in a row; an attempt that lasted was none."""
        now = time.monotonic()
        if self._failing_since is None or self._moved or now - began > LASTED:
            self._failing_since = now
        return now - self._failing_since

    def _attempt(self, manner: Manner) -> Ended:
        from guard.client.backfill import Hooks, Progress, run

        def moved(progress: Progress) -> None:
            self._moved = True
            self._said.moved(progress)

        self._moved = False
        hooks = Hooks(on_progress=moved, on_wait=self._said.waits, stop=lambda: self._stopped)
        with _connected(self._aim, self._name) as connection:
            return run(connection, self._name, self._definition, manner=manner, hooks=hooks)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """The first SIGINT or SIGTERM ends it after the batch in hand; a second one ends it at once."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.getsignal(number) for number in numbers}

        def stop(number: int, _: object) -> None:
            self._stopped = True
            signal.signal(number, before[signal.Signals(number)])

        for number in numbers:
            signal.signal(number, stop)
        try:
            yield
        finally:
            for number in numbers:
                signal.signal(number, before[number])


def _preview(aim: Target, definition: Definition, manner: Manner, *, as_json: bool) -> None:
    import psycopg

    from guard.cli.backfilling import show_preview
    from guard.client.backfill import preview

    try:
        with _connected(aim, "preview") as connection:
            found = preview(connection, definition, manner)
    except psycopg.Error as error:
        raise WorldError(f"{aim.name}: {_said_by(error)}.") from None
    show_preview(found, manner, as_json=as_json)


@contextmanager
def _connected(aim: Target, name: str) -> Iterator[psycopg.Connection[Any]]:
    import psycopg
    from psycopg.conninfo import make_conninfo

    from guard.postgres.address import addresses, parse
    from guard.postgres.line import LINE

    own = {"application_name": f"migration:{name}"}
    if len(addresses(aim.conninfo)) > 1:  # after a failover the first that answers may be a standby
        own["target_session_attrs"] = "read-write"
    conninfo = make_conninfo("", **{**LINE, **parse(aim.conninfo, "backfill"), **own})
    with psycopg.connect(conninfo, autocommit=True) as connection:
        yield connection


def _said_by(error: psycopg.Error) -> str:
    # The driver's words on a failed connection may hold the connection string.
    return error.diag.message_primary or "no connection to PostgreSQL, or it broke"


COMMANDS: dict[str, Callable[..., Any]] = {"backfill": backfill}
