"""suggest: which limits the past suggests, by the flight recorder or by what Prometheus remembers."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from guard.cli.history import Journal, tape_of
from guard.cli.where import Config, Database, settings_of
from guard.errors import WorldError
from guard.model import NoData

if TYPE_CHECKING:
    from guard.cli.suggesting import Suggestion
    from guard.model import Rule
    from guard.settings import Settings


def suggest(
    rules: Annotated[list[str] | None, typer.Argument(show_default="all", help="Names of rules.")] = None,
    prometheus: Annotated[
        bool, typer.Option("--prometheus", help="Ask Prometheus for the past of the rules that ask it.")
    ] = False,
    since: Annotated[
        str | None, typer.Option("--since", show_default="7d", help="How far back Prometheus is asked: 12h, 7d, 4w.")
    ] = None,
    config: Config = None,
    journal: Journal = None,
    database: Database = None,
) -> None:
    """Limits for the rules of this configuration, from what was seen of them before, as TOML to paste.

    From all that the flight recorder has kept, offline; or, before there is a record, from Prometheus (--prometheus).
    A pause is set at twice what 99 of 100 readings keep to; the reasons stand beside each rule as comments,
    and what cannot be suggested is printed as it is. Take a time in which all was well, best with migrations at work.
    """
    from guard.cli.suggesting import readings, suggestion
    from guard.wiring import options_of

    settings = settings_of(config)
    if prometheus:
        _from_prometheus(settings, rules or [], "7d" if since is None else since)
        return
    if since is not None:
        raise typer.BadParameter("--since goes with --prometheus; of the record all is taken")
    tape, name = tape_of(settings, journal, database)
    chosen = _chosen(options_of(settings, name).rules, rules or [])
    seen = readings(tape.frames(name))
    typer.echo(f"# Suggested from {tape.path} for database {name}; compare with: migration-guard replay -c FILE\n")
    _print(settings, chosen, lambda rule, keys: suggestion(rule, keys, seen.get(rule.sensor, [])))


def _from_prometheus(settings: Settings, names: list[str], since: str) -> None:
    from guard.cli.past import ask, step_of
    from guard.cli.suggesting import suggestion
    from guard.judge.quantities import QuantityError, parse_duration, say_seconds

    try:
        seconds = parse_duration(since)
    except QuantityError as wrong:
        raise typer.BadParameter(f"--since: {wrong}") from None
    if not 60 <= seconds <= 366 * 86_400:
        raise typer.BadParameter("--since must be between 1m and 366d")
    chosen = [rule for rule in _chosen(settings.rules, names) if rule.metric == "prometheus"]
    if settings.prometheus is None or not chosen:
        raise WorldError("None of these rules asks Prometheus.")
    host, every = urlsplit(settings.prometheus.url).netloc, step_of(seconds)
    pasts = ask(settings, chosen, seconds)
    typer.echo(f"# Suggested from Prometheus at {host}: {say_seconds(seconds)}, a reading each {say_seconds(every)}\n")

    def of(rule: Rule, keys: Mapping[str, Any]) -> Suggestion:
        past = pasts[rule.name]
        missing = f"Prometheus: {past.missing or 'it had no finite value'}"
        return suggestion(rule, keys, past.points, every=every, missing=missing)

    _print(settings, chosen, of)
    if all(past.missing for past in pasts.values()):
        raise WorldError("Prometheus has told nothing of any of these rules; beside each stands why.")


def _chosen(rules: Sequence[Rule], names: list[str]) -> list[Rule]:
    known = {rule.name: rule for rule in rules}
    for name in names:
        if name not in known:
            raise typer.BadParameter(f'there is no rule "{name}"; there is: {", ".join(known)}')
    return [rule for rule in rules if not names or rule.name in names]


def _print(settings: Settings, rules: Sequence[Rule], of: Callable[[Rule, Mapping[str, Any]], Suggestion]) -> None:
    from guard.cli.suggesting import as_toml

    written = {rule["name"]: rule for rule in tomllib.loads(settings.path.read_text()).get("rule", [])}
    for rule in rules:
        typer.echo(as_toml(of(rule, written.get(rule.name) or _keys(rule))))


def _keys(rule: Rule) -> dict[str, Any]:
    """A rule that stands in no file, such as one by default, as it would stand there."""
    rungs = {name: getattr(rule, name) for name in ("warn", "pause", "cancel", "rollback")}
    texts = {name: condition.text for name, condition in rungs.items() if condition is not None}
    policy = {} if rule.no_data is NoData.PAUSE else {"no_data": rule.no_data.value}
    scope = {"databases": list(rule.databases)} if rule.databases else {}
    select = {"select": dict(rule.select)} if rule.select else {}
    return {"name": rule.name, "metric": rule.metric, **select, **texts, "resume": rule.resume.text, **policy, **scope}


COMMANDS: dict[str, Callable[..., Any]] = {"suggest": suggest}
