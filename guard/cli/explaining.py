"""Why a migration is told what it is told, line by line, and the commands that would change it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import typer

from guard.cli.seen import OrderSeen, RunSeen, View
from guard.cli.where import Target, ask
from guard.cli.words import ago, at
from guard.cycle.words import ailing
from guard.judge.quantities import say_seconds
from guard.model import EVERYONE
from guard.sql import get


def without_guard(name: str) -> None:
    """What a person can do by hand while there is no guard."""
    quoted = name.replace("'", "''")
    typer.echo("  Start it (migration-guard serve), or by hand, in psql:")
    typer.echo(f"  go on:   select migration_guard.order_override('{quoted}', 'YOUR NAME', 'REASON');")
    typer.echo(f"  hold:    select migration_guard.order_pause('{quoted}', 'YOUR NAME', 'REASON');")
    typer.echo(f"  abort:   select migration_guard.order_abort('{quoted}', 'YOUR NAME', 'REASON');")


def channel_troubles(found: View) -> None:
    """What does not work of the guard itself, a line each: whoever waits for it waits in vain."""
    for line in troubles(found):
        typer.echo(f"  {line}")


def troubles(found: View) -> Iterator[str]:
    """What does not work of the guard itself, as it last reported."""
    report = found.guard.report or {}
    if blind := report.get("cannot_see"):
        yield f"cannot see who migrates ({reported_ago(found)}): {blind}"
    for name, trouble in report.get("troubles", {}).items():
        yield f"{ailing(name)} ({reported_ago(found)}): {trouble}"


def standing_orders(orders: Iterable[OrderSeen], now: float) -> None:
    """One line an order that stands."""
    for order in orders:
        typer.echo(f"  {order_words(order, now)}")


def order_words(order: OrderSeen, now: float) -> str:
    """What an operator ordered, when, and until when. *now* is a Unix time."""
    rule = f' of rule "{order.rule}"' if order.rule else ""
    until = f", until {at(order.until_wall)}" if order.until_wall is not None else ""
    reason = f": {order.reason}" if order.reason else ""
    target = "every migration" if order.migration == "*" else order.migration
    return (
        f"order {order.order_id}: {order.kind}{rule} for {target} by {order.owner}{reason} "
        f"(given {ago(order.since_wall, now)} ago{until})"
    )


def standing(found: View, reported: Mapping[str, Any]) -> str:
    """How the rules stand by the newest report: the breached ones, or that all are well. Empty without a report."""
    verdicts = list(reported.get("verdicts", []))
    breached = [verdict for verdict in verdicts if verdict.get("level") != "fine" or not verdict.get("well")]
    words = "; ".join(str(verdict.get("because")) for verdict in breached or verdicts)
    return f"now ({reported_ago(found)}): {'' if breached else 'all is well: '}{words}" if words else ""


def reported_ago(found: View) -> str:
    """How old the report is that the rules' words are from."""
    return f"reported {say_seconds(round(max(0.0, found.guard.report_age or 0.0), 1))} ago"


def explain_run(where: Target, found: View, run: RunSeen) -> None:
    """All that is known of why this run is told what it is told."""
    reported = found.reported(run)
    typer.echo(f"\n{run.migration} (run {run.run_id}, pid {run.pid}, {run.usename}): told to {_told(run)}")
    if run.because:
        # What the server finds out by itself, such as that the guard is silent, nobody says.
        since = f", {ago(reported['since'], found.guard.now_wall)} ago" if "since" in reported else ""
        by = {"operator": " (says an operator)", "guard": f" (says the guard{since})"}.get(run.source or "", "")
        typer.echo(f"  because {run.because}{'' if run.told == 'lost' else by}")
    if reported:
        _reported(found, reported, paused=run.told == "pause")
    _blocked(where, run)
    for line in ways(found, run):
        typer.echo(f"  {line}")


def explain_other(found: View, reported: Mapping[str, Any], *, with_rules: bool) -> None:
    """What the guard reported of a target that has no open run."""
    typer.echo(f"\n{named(reported)}: {reported.get('because')}")
    _reported(found, reported, with_rules=with_rules)
    if reported.get("phase") == "aborted":
        typer.echo(f"  to let it run again: migration-guard forget {shlex.quote(str(reported.get('migration')))}")


def named(reported: Mapping[str, Any], *, run: bool = True) -> str:
    """Whom a report is about; with the run where wanted."""
    if reported.get("migration") == EVERYONE:
        return "sessions that registered nothing"
    run_id = reported.get("run_id") if run else None
    return str(reported.get("migration")) + (f" (run {run_id})" if run_id is not None else "")


def rules(found: View) -> None:
    """What the rules say while nothing runs, as far as the guard has reported it."""
    for each in (found.guard.report or {}).get("rules", []):
        for verdict in each.get("verdicts", []):
            _verdict(verdict, found)


def _reported(found: View, reported: Mapping[str, Any], *, paused: bool = False, with_rules: bool = True) -> None:
    now = found.guard.now_wall
    effect = effect_words(reported)
    # An override lets a migration go on that the guard has paused.
    effect = effect if paused and reported.get("phase") == "paused" else ""
    age = reported_ago(found)
    phase = "the guard's phase" if found.guard.mode != "observing" else "the guard only observes; else its phase were"
    typer.echo(f"  {phase}: {reported.get('phase')} for {ago(reported.get('since'), now)}{effect} ({age})")
    if fence := (found.guard.report or {}).get("fences", {}).get(str(reported.get("run_id"))):
        typer.echo(f"  fenced, so it was not to be cancelled ({age}): {fence}")
    if paused and (busy := (found.guard.report or {}).get("in_flight", {}).get(str(reported.get("run_id")))):
        typer.echo(f"  still at work ({age}): {busy}")
    for verdict in reported.get("verdicts", []) if with_rules else ():
        _verdict(verdict, found)


def effect_words(reported: Mapping[str, Any]) -> str:
    """How a pause was taken: asked for, acknowledged, effective."""
    asked = float(reported.get("since") or 0.0)
    heard, held = (
        f"{word} after {say_seconds(round(max(0.0, float(seen) - asked), 1))}" if seen is not None else ""
        for word, seen in (
            ("acknowledged", reported.get("acknowledged_since")),
            ("effective", reported.get("effective_since")),
        )
    )
    if reported.get("effective"):
        return f", {' and '.join(filter(None, (heard, held)))}" if held else ", and it holds"
    return f", {heard} and not effective yet" if heard else ", not acknowledged yet"


def _told(run: RunSeen) -> str:
    if run.told == "lost":
        return (
            "go on all the same (on_guard_lost)" if run.on_guard_lost == "proceed" else "hold, since there is no guard"
        )
    return run.told or "nothing"


def _verdict(verdict: Mapping[str, Any], found: View) -> None:
    now, limits = found.guard.now_wall, (found.guard.report or {}).get("limits", {})
    since = f", for {ago(verdict['since'], now)}" if verdict.get("since") is not None else ""
    typer.echo(f'  rule "{verdict.get("rule")}": {verdict.get("level")}{since}: {verdict.get("because")}')
    if limit := limits.get(verdict.get("rule")):
        typer.echo(f"    limits: {limit}")
    if verdict.get("baseline"):
        typer.echo(f"    {verdict['baseline']}")
    if verdict.get("resume"):
        typer.echo(f"    goes on when: {verdict['resume']}")


def _blocked(where: Target, run: RunSeen) -> None:
    waiters = ask(where, lambda door: door.fetch(get("cli_blocked"), {"pids": [run.pid]}))
    for pid, user, application, waited, _ in waiters:
        typer.echo(f"  blocked: pid {pid} ({user}, {application or 'no application_name'}) for {say_seconds(waited)}")


def ways(found: View, run: RunSeen) -> Iterable[str]:
    """The commands that would change it."""
    name = shlex.quote(run.migration)
    if run.told in {"pause", "lost"}:
        for order in found.orders:
            if order.kind == "pause":
                yield f"to take back order {order.order_id}: migration-guard resume {shlex.quote(order.migration)}"
        if found.reported(run).get("stays"):
            yield f"to let it go on once every rule is well: migration-guard resume {name}"
        yield f"to go on all the same: migration-guard override {name} --reason WHY --for 30m"
    if run.told == "abort" and run.source == "guard":
        yield f"to let it run again: migration-guard forget {name}"
    if run.told == "proceed":
        yield f"to hold it: migration-guard pause {name} --reason WHY"
