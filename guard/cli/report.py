"""report: the record of one run, from the guarded database's own audit trail; any machine that reaches it may ask."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guard.cli.record import EventSeen, OrderOfRun, Stretch, baselines, cancels, pauses, stretches, verification
from guard.cli.recorded import Span, drawn_of, readings_of, signal_words
from guard.cli.seen import RunSeen, runs
from guard.cli.where import AsJson, Config, Database, Dsn, ask, target
from guard.cli.words import at, one_line, print_json, table_with_reasons
from guard.cli.writing import OUT, write
from guard.errors import WorldError
from guard.judge.quantities import say_seconds
from guard.sql import get

if TYPE_CHECKING:
    from guard.cli.recorded import Readings
    from guard.postgres import Door

Html = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Write it as one HTML file that needs no network; - is stdout."),
]
Markdown = Annotated[
    Path | None, typer.Option("--markdown", metavar="FILE", help="Write it as Markdown; - is standard output.")
]
Journal = Annotated[
    Path | None,
    typer.Option(
        "--journal",
        show_default="that of [guard] state_directory",
        help="The flight recorder's file, or the directory that it is in.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace a file that is not a report of this run.")]


def report(
    run: Annotated[str, typer.Argument(help="The id of a run, or the name of a migration: then its newest run.")],
    config: Config = None,
    database: Database = None,
    dsn: Dsn = None,
    json: AsJson = False,
    html: Html = None,
    markdown: Markdown = None,
    journal: Journal = None,
    force: Force = False,
) -> None:
    """The record of a run: when, its pauses and their reasons, orders, cancels, checks, soak, rollback.

    On the machine of the guard also what was read before, during and after it, by the flight recorder. --html and
    --markdown write it as a file to be attached to a ticket; an older report of the same run is replaced.

    --json: {"run": as in `runs --json`, "database", "now", "pauses": [{"since", "until", "seconds", "because",
    "effective_after"}], "paused_seconds", "orders": [{"kind", "owner", "reason", "since", "until", "seconds"}],
    "cancels": [{"at", "because"}], "baselines": [...], "checks_before": [{"check", "holds", "said", "offending"}],
    "checks_after": [...], "phases": like "pauses", "events": [{"at", "kind", "phase", "because"}],
    "readings": {"recorder", "missing", "lost_seconds", "progress": {"at", "rows", "batches"}, "signals": [{"sensor",
    "metric", "rules", "unit", "baseline", "limits", "past", "readings", "silences", "worst": {"at", "value"},
    "stages": [{"stage", "count", "median", "worst"}]}]}};
    times are Unix seconds, values in base units, and what a run is in still has no "until".
    """
    if json + (html == Path(OUT)) + (markdown == Path(OUT)) > 1:
        raise typer.BadParameter("only one of --json, --html - and --markdown - can have standard output")
    where = target(config, database, dsn)
    seen = ask(where, lambda door: _read(door, run))
    if seen is None:
        raise WorldError(f"{where.name}: there is no run {run}; `migration-guard runs` lists those that there are.")
    span = _span_of(seen)
    readings = readings_of(where, span, journal)
    told = {"database": where.name, **_as_json(seen), "readings": readings.as_json()}
    for path, kind in ((html, "html"), (markdown, "markdown")):
        if path is not None:
            _write(path, kind, told, (seen, readings, span), force=force)
    if json:
        print_json(told)
    elif html is None and markdown is None:
        _show(where.name, seen, readings)


def _span_of(seen: _Record) -> Span:
    run = seen.run
    ended = run.ended_wall if run.ended_wall is not None else seen.now if run.here else run.last_seen_wall
    follows = [each for each in stretches(seen.events) if each.phase in {"soaking", "rolling back"}]
    later = [seen.now if each.until is None else each.until for each in follows]
    return Span(run.migration, run.run_id, run.registered_wall, max([ended, *later]))


def _write(path: Path, kind: str, told: Mapping[str, Any], of: tuple[_Record, Readings, Span], *, force: bool) -> None:
    from guard.show import record_html, record_markdown

    seen, readings, span = of
    page = record_html.page if kind == "html" else record_markdown.page
    mark = record_html.mark_of(told)
    write(path, page(told, _facts(seen), drawn_of(told, readings, span)), mark=mark, force=force)
    if str(path) != OUT:
        missing = f" Without readings: {readings.missing}" if readings.missing else ""
        typer.echo(f"Wrote {path}: {seen.run.migration} (run {seen.run.run_id}).{missing}", err=True)


@dataclasses.dataclass(frozen=True, slots=True)
class _Record:
    run: RunSeen
    events: tuple[EventSeen, ...]
    orders: tuple[OrderOfRun, ...]
    now: float


async def _read(door: Door, wanted: str) -> _Record | None:
    (now,) = (await door.fetch("select extract(epoch from clock_timestamp())::float8"))[0]
    found: tuple[RunSeen, ...] = ()
    if wanted.isascii() and wanted.isdigit() and len(wanted) < 19:
        found = await runs(door, None, most=1, only_open=False, run_id=int(wanted))
    found = found or await runs(door, wanted, most=1, only_open=False)
    if not found:
        return None
    about = {"migration": found[0].migration, "run_id": found[0].run_id}
    events = await door.fetch_as(EventSeen, get("cli_events"), about)
    orders = await door.fetch_as(OrderOfRun, get("cli_run_orders"), about)
    return _Record(found[0], tuple(events), tuple(orders), now)


def _as_json(seen: _Record) -> dict[str, object]:
    events, now = seen.events, seen.now
    return {
        "now": now,
        "run": dataclasses.asdict(seen.run),
        "pauses": [_stretch(each, now) for each in pauses(events)],
        "paused_seconds": round(sum(each.seconds(now) for each in pauses(events)), 3),
        "orders": [_stretch(each, now) for each in seen.orders],
        "cancels": [{"at": event.at, "because": event.because} for event in cancels(events)],
        "baselines": baselines(events),
        "checks_before": verification(events, "before"),
        "checks_after": verification(events, "after"),
        "phases": [_stretch(each, now) for each in stretches(events)],
        "events": [{key: getattr(event, key) for key in ("at", "kind", "phase", "because")} for event in events],
    }


def _stretch(each: Stretch | OrderOfRun, now: float) -> dict[str, object]:
    return {**dataclasses.asdict(each), "seconds": round(each.seconds(now), 3)}


def _show(database: str, seen: _Record, readings: Readings) -> None:
    typer.echo(f"{seen.run.migration} (run {seen.run.run_id}) in database {database}")
    for head, words in _facts(seen):
        typer.echo(f"  {head:<14} {one_line(words)}")
    for signal in readings.timeline.signals if readings.timeline else ():
        typer.echo(f"  {'signal':<14} {one_line(signal_words(signal))}")
    if not seen.events:
        typer.echo("No guard has written anything of it, or that was pruned since.")
        return
    typer.echo("")
    table_with_reasons(("AT", "PHASE", "FOR"), [_line(each, seen.now) for each in stretches(seen.events)])


def _line(each: Stretch, now: float) -> tuple[tuple[str, ...], str]:
    effective = f"; effective after {say_seconds(round(each.effective_after, 2))}" if each.effective_after else ""
    lasted = say_seconds(round(each.seconds(now), 1)) + (" so far" if each.until is None else "")
    return (at(each.since), each.phase, lasted), one_line(each.because) + effective


def _facts(seen: _Record) -> list[tuple[str, str]]:
    run, events, now = seen.run, seen.events, seen.now
    ended = run.ended_wall if run.ended_wall is not None else run.last_seen_wall
    took = say_seconds(round(ended - run.registered_wall, 1))
    end = run.outcome or ("still running" if run.here else "gone, without a word")
    detail = f": {run.outcome_detail.rstrip('.')}" if run.outcome_detail else ""
    held = pauses(events)
    longest = say_seconds(round(sum(each.seconds(now) for each in held), 1))
    times = f"{len(held)} {'time' if len(held) == 1 else 'times'} by the guard's rules, {longest} in all"
    if run.observed:
        times = f"would have been {times} (observe mode: nothing was ordered)"
    facts = [
        ("began", f"{at(run.registered_wall)} by {run.usename} (pid {run.pid}, {run.application_name or 'no name'})"),
        ("end", f"{end}{detail}, after {took}"),
        ("did", f"{run.rows_done:,} rows in {run.batches_done:,} batches"),
        ("paused", times if held else "never by the guard's rules"),
    ]
    facts += [("ordered", _order(each, now)) for each in seen.orders]
    facts += [("cancelled", f"{at(event.at)}: {event.because}") for event in cancels(events)]
    facts += [("baseline", _baseline(each)) for each in baselines(events)]
    for when in ("before", "after"):
        facts += [(f"check {when}", _check(each)) for each in verification(events, when)]
    facts += [("rollback", words) for words in _rollback(run, events)]
    facts += [("barred", run.barred_because)] if run.barred_because else []
    return facts


def _order(each: OrderOfRun, now: float) -> str:
    lasted = say_seconds(round(each.seconds(now), 1)) + (" so far" if each.until is None else "")
    return f"{each.kind} by {each.owner}: {each.reason} ({at(each.since)}, for {lasted} of the run)"


def _baseline(each: Mapping[str, Any]) -> str:
    signal, _, _ = str(each["of"]).rpartition("#")
    over = say_seconds(round(each["until_wall"] - each["since_wall"]))
    values = (
        f"{each['value']:.4g} in its base unit (median of {each['count']} over {over}, spread {each['spread']:.4g})"
    )
    return f"{signal}: {values}"


def _check(each: Mapping[str, Any]) -> str:
    word = {True: "holds", False: "FAILS"}.get(each["holds"], "UNKNOWN")
    rows = each.get("offending") or ()
    more = f" (of these: {'; '.join(rows[3:])})" if len(rows) > 3 else ""
    return f"{word}: {each['said']}{more}"


def _rollback(run: RunSeen, events: Sequence[EventSeen]) -> list[str]:
    if not run.rollback_claimed:
        return [event.because for event in events if event.kind in {"rollback_due", "rollback_withheld"}]
    said = [event.told.get("hook", "") for event in events if event.kind.startswith(("rolled_back", "rollback_"))]
    words = "; ".join(dict.fromkeys(each for each in said if each))
    return [": ".join(part for part in (run.rollback_outcome or "begun, its end is unknown", words) if part)]


COMMANDS: dict[str, Callable[..., Any]] = {"report": report}
