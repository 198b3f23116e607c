"""install --ddl-gate and uninstall --ddl-gate: whom the gate holds, by the file or by options."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from guard.cli.where import Target, settings_of
from guard.errors import NotInstalled

if TYPE_CHECKING:
    from guard.act.ddl_gate import DdlGate


class WhenLost(enum.StrEnum):
    CLOSED = "closed"
    OPEN = "open"


Wanted = Annotated[
    bool, typer.Option("--ddl-gate", help="Make the DDL gate, for which it takes a superuser: see docs/ddl-gate.md.")
]
Roles = Annotated[
    list[str] | None,
    typer.Option("--role", show_default="[migrations] roles", help="With --ddl-gate: whose DDL it holds."),
]
Names = Annotated[
    list[str] | None,
    typer.Option(
        "--application-name", help="With --ddl-gate and --role: only of sessions so named, such as 'migration:*'."
    ),
]
Lost = Annotated[
    WhenLost | None,
    typer.Option("--when-lost", show_default="closed", help="With --ddl-gate: what it does while no guard speaks."),
]


def gate_of(
    config: Path | None, roles: list[str] | None, names: list[str] | None, lost: WhenLost | None, *, wanted: bool
) -> DdlGate | None:
    """The gate that the options ask for, else by [migrations] of the file; None where none is wanted.

    Raises ConfigError.
    """
    from guard.act.ddl_gate import DdlGate

    if not wanted:
        if roles or names or lost:
            raise typer.BadParameter("--role, --application-name and --when-lost go with --ddl-gate")
        return None
    when_lost: Literal["closed", "open"] = "open" if lost is WhenLost.OPEN else "closed"
    if roles:
        return DdlGate(tuple(roles), tuple(names or ()), when_lost)
    if names:
        raise typer.BadParameter("--application-name needs --role: any session can take any name")
    known = settings_of(config).recognition
    if not known.roles:
        raise typer.BadParameter("say whose DDL the gate is to hold: [migrations] roles in the file, or --role")
    return DdlGate(known.roles, known.application_names, when_lost)


def made(where: Target, gate: DdlGate) -> bool:
    """Make the gate and say so; False where the schema is not there yet. Raises WorldError, ServerError."""
    from guard.act.ddl_gate import OFF, install_gate

    try:
        missing = install_gate(where.conninfo, gate)
    except NotInstalled:
        return False
    typer.echo(f"{where.name}: the DDL gate holds {gate}; it is {gate.when_lost} while no guard can say anything.")
    for role in missing:
        typer.echo(f"{where.name}: there is no role {role} here: is it misspelt?", err=True)
    typer.echo(f"To switch it off, as a superuser: {OFF};")
    return True


def removed(where: Target) -> None:
    """Remove the gate and say so. Raises ServerError."""
    from guard.act.ddl_gate import remove_gate

    gone = remove_gate(where.conninfo)
    typer.echo(f"{where.name}: " + ("DDL gate removed." if gone else "there was no DDL gate."))
