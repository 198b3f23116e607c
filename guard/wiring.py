"""Settings to ready guards: the only file that knows every adapter. No decision is made here."""

from __future__ import annotations

import fcntl
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from guard.act.advisory_lock import AdvisoryGate
from guard.act.cancel import QueueCanceller
from guard.act.checks import Checks
from guard.act.control_table import ControlTable
from guard.act.own_term import OwnTerm
from guard.channels import messenger, names, routes_of
from guard.cycle import Guard, Options
from guard.errors import HeldByAnother, WorldError
from guard.journal import Journal, Recorder
from guard.model import EVERYONE, Rule
from guard.pictures import Gallery
from guard.poll.families import family_probes
from guard.poll.hosts import HostsProbe
from guard.poll.listen import Listener
from guard.poll.locks import LocksProbe
from guard.poll.rated import RatedProbe
from guard.poll.roster import RosterProbe
from guard.poll.samples import Recognition
from guard.ports import Hands, Probe
from guard.postgres import WAITING, Door, Hosts
from guard.rollbacks import hooks_of, verifiers_of
from guard.settings import ONE_PRIMARY_METRIC, DatabaseSettings, Settings, one_primary
from guard.show.page import Page, Wish
from guard.sources import application_probe, histories_of
from guard.standbys import probe_of_replication
from guard.tell.log import LogLines
from guard.tell.outbox import Messenger, Outbox
from guard.tell.slack_bot import SlackBot
from guard.watch import Pace, Watch

TAPE = "recorder.sqlite"
"""The flight recorder's file in the state directory."""
_GUARD_FIXED = ("id", "lease", "state_directory")
_DATABASE_FIXED = ("dsn", "password", "batch_limit")


@dataclass(frozen=True, slots=True)
class Household:
    """Everything that one daemon runs."""

    watches: tuple[Watch, ...]
    outbox: Outbox
    journal: Journal
    recorder: Recorder
    page: Page
    listeners: dict[str, Listener]
    cancellers: dict[str, QueueCanceller]
    hosts: dict[str, Hosts]
    lock: TextIO
    """Held open while the daemon lives."""

    async def listen(self, watch: Watch) -> None:
        """Hear of registrations of one database at once, until cancelled."""
        await self.listeners[watch.name].run()


def _waking(watch: Watch) -> Callable[[str], None]:
    return lambda _: watch.wake()


Exchange = Callable[[], Coroutine[object, object, None]]


def build(settings: Settings) -> Household:
    """Wire everything; nothing is connected yet. Raises WorldError where a credential or directory cannot be had."""
    messengers: list[Messenger] = [LogLines(), *(messenger(settings, name) for name in names(settings))]
    directory = settings.guard.state_directory
    for each in messengers:
        if isinstance(each, SlackBot):
            each.illustrate(Gallery(directory / TAPE).draw)
    lock = _own(directory)
    known = [each.name for each in messengers]
    journal = Journal(directory / "journal.sqlite", channels=known, routes=routes_of(settings))
    outbox = Outbox(journal, *messengers)
    recorder, page = Recorder(directory / TAPE), Page(directory / TAPE)
    page.want(wish_of(settings))
    watches, listeners, cancellers, hosts = [], {}, {}, _hosts(settings)
    for database in settings.databases:
        door = _doors(settings, hosts[database.name])
        cancellers[database.name] = _canceller(settings, door("cancel"))
        signal = _signal(settings, hosts[database.name], database.name)
        hosts[database.name].before_leaving.append(signal.leave)
        hands = Hands(
            signal=signal,
            canceller=cancellers[database.name],
            gate=AdvisoryGate(door("gate"), database.batch_limit),
            journal=journal.of(database.name),
            hooks=hooks_of(settings, database.name),
            verifiers=verifiers_of(settings, database),
            checker=Checks(database.conninfo()),
            troubles=lambda: {**outbox.troubles, **recorder.troubles, **page.troubles},
            histories=histories_of(settings, settings.rules_of(database.name)),
            keep=journal.of(database.name).keep,
            kept=journal.of(database.name).kept,
            told_last=journal.of(database.name).told_last,
            record=recorder.of(database.name),
        )
        guard = Guard(_options(settings, hosts, database.name), hands, lambda: uuid.uuid4().hex)
        watch = Watch(guard, _probes(settings, hosts, database), _pace(settings), outbox.wake)
        watches.append(watch)
        listeners[database.name] = Listener(door("listen"), _waking(watch))
    return Household(tuple(watches), outbox, journal, recorder, page, listeners, cancellers, hosts, lock)


def _hosts(settings: Settings) -> dict[str, Hosts]:
    deadline = settings.guard.probe_deadline
    return {database.name: Hosts(database.conninfo(), deadline=deadline) for database in settings.databases}


def _signal(settings: Settings, hosts: Hosts, database: str) -> ControlTable:
    guard = settings.guard
    own = OwnTerm(guard.state_directory / f"term-{database}")
    leading = hosts.door("signal", leads=True, deadline=guard.probe_deadline)
    waiting = hosts.door("claim", deadline=guard.probe_deadline, settings=WAITING)
    return ControlTable(leading, waiting, guard_id=guard.id, lease_seconds=guard.lease, own=own)


def _own(directory: Path) -> TextIO:
    """Make the state directory and lock it: a second daemon with the same identity would fence the first."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (directory / "lock").open("a")
    except OSError as error:
        raise WorldError(f"The state directory {directory} cannot be used: {error.strerror}.") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise HeldByAnother(f"Another daemon is using the state directory {directory}.") from None
    return lock


def rewire(household: Household, old: Settings, settings: Settings) -> list[tuple[Watch, Exchange]]:
    """Put new settings into a running household. Raises WorldError for what only a restart can change."""
    if changed := _fixed_at_start(old, settings):
        raise WorldError(f"{', '.join(changed)} changed: that takes a restart.")
    watches = {watch.name: watch for watch in household.watches}
    hosts = household.hosts
    # Everything that may be refused comes before the first change.
    ready = [
        (watches[d.name], _options(settings, hosts, d.name), _probes(settings, hosts, d), verifiers_of(settings, d))
        for d in settings.databases
    ]
    steps: list[tuple[Watch, Exchange]] = []
    for watch, options, probes, verifiers in ready:
        past = histories_of(settings, options.rules)
        watch.guard.reconfigure(options, hooks_of(settings, watch.name), verifiers, histories=past)
        # Whom the probes no longer take for a migration must not be cancelled as one.
        known = settings.recognition
        canceller = household.cancellers[watch.name]
        canceller.recognise(known.roles, known.application_names)
        canceller.let_finish = known.let_finish
        steps.append((watch, _exchange(watch, probes, _pace(settings))))
    household.page.want(wish_of(settings))
    return steps


def wish_of(settings: Settings) -> Wish | None:
    """What [page] asks for; None: nobody is to look."""
    page = settings.page
    if page is None:
        return None
    token = None if page.token is None else page.token.reveal
    return Wish(page.host, page.port, page.path, hosts=page.hosts, token=token, tls=page.tls)


def _fixed_at_start(old: Settings, new: Settings) -> list[str]:
    """What differs of that which is wired once: half of a new address would watch one database and guard another."""
    before, after = ({database.name: database for database in each.databases} for each in (old, new))
    if before.keys() != after.keys():
        return ["the list of databases"]
    fixed = [(f"[guard] {key}", getattr(old.guard, key), getattr(new.guard, key)) for key in _GUARD_FIXED]
    for name in before:
        ours = ((f"[database.{name}] {key}", key) for key in _DATABASE_FIXED)
        fixed += [(words, getattr(before[name], key), getattr(after[name], key)) for words, key in ours]
    fixed += [("[slack]", old.slack, new.slack), ("[[channel]]", old.channels, new.channels)]
    return [words for words, was, wanted in fixed if was != wanted]


def _exchange(watch: Watch, probes: list[Probe], pace: Pace) -> Exchange:
    return lambda: watch.exchange(probes, pace)


def _rules(settings: Settings, hosts: dict[str, Hosts], database: str) -> tuple[Rule, ...]:
    """The rules of the file, and where there are several hosts one that pauses while two say they are the primary."""
    rules = settings.rules_of(database)
    if not hosts[database].several or any(rule.metric == ONE_PRIMARY_METRIC for rule in rules):
        return rules
    return (*rules, one_primary(settings.guard, taken={rule.name for rule in rules}))


def _options(settings: Settings, hosts: dict[str, Hosts], database: str) -> Options:
    soak = {name: migration.soak for name, migration in settings.migrations.items()}
    named = {EVERYONE: settings.migration(EVERYONE), **settings.migrations}
    found = next(each for each in settings.databases if each.name == database)
    return Options(
        database=database,
        standbys=found.standbys,
        aside=tuple(found.standby_dsns),
        rules=_rules(settings, hosts, database),
        observing=settings.guard.observe,
        soak={EVERYONE: settings.migration(EVERYONE).soak, **soak},
        auto_rollback=settings.rollback is not None and settings.rollback.auto_rollback,
        own_auto_rollback={
            name: migration.rollback.auto_rollback
            for name, migration in settings.migrations.items()
            if migration.rollback is not None and migration.rollback != settings.rollback
        },
        checks={name: migration.checks_of(database) for name, migration in named.items()},
        bounds=replace(settings.guard.bounds, ignored=settings.recognition.ignored),
        grace=settings.recognition.grace,
        let_finish=settings.recognition.let_finish,
        gathering=settings.guard.gathering,
    )


def options_of(settings: Settings, database: str) -> Options:
    """What the guard of a database would go by; asks nobody, and does without the credentials of another machine."""
    found = next(each for each in settings.databases if each.name == database)
    try:
        hosts = Hosts(found.conninfo())
    except WorldError:
        hosts = Hosts("host=localhost")
    return _options(settings, {database: hosts}, database)


def _pace(settings: Settings) -> Pace:
    return Pace(settings.guard.poll_interval, settings.guard.idle_interval, settings.guard.probe_deadline)


def _doors(settings: Settings, hosts: Hosts, *, prepared: bool = False) -> Callable[[str], Door]:
    return lambda purpose: hosts.door(purpose, deadline=settings.guard.probe_deadline, prepared=prepared)


def _canceller(settings: Settings, door: Door) -> QueueCanceller:
    known = settings.recognition
    return QueueCanceller(
        door, roles=known.roles, application_names=known.application_names, let_finish=known.let_finish
    )


def _probes(settings: Settings, hosts: dict[str, Hosts], database: DatabaseSettings) -> list[Probe]:
    """Probes for the sensors that some rule uses, and always for who is here."""
    mine = hosts[database.name]
    # Probes ask the same each second: to plan it anew would cost more than to run it.
    door, rules = _doors(settings, mine, prepared=True), _rules(settings, hosts, database.name)
    known = Recognition(settings.recognition.roles, settings.recognition.application_names)
    probes: list[Probe] = [RosterProbe(door("roster"), known)]
    if any(rule.metric == ONE_PRIMARY_METRIC for rule in rules):
        probes.append(HostsProbe(mine))
    if any(rule.sensor.startswith("replication.") for rule in rules):
        deadline = settings.guard.probe_deadline
        probes.append(probe_of_replication(database, rules, door("replication"), deadline))
    locks = [rule for rule in rules if rule.metric.startswith("locks.")]
    if locks:
        metrics = {rule.metric for rule in locks}
        probes.append(LocksProbe(door("locks"), known, [rule.waited for rule in locks], metrics=metrics))
    rest = settings.guard.idle_interval
    probes += family_probes(door, rules, known, rest=rest)
    for rule in rules:
        if rule.metric in ("prometheus", "http"):
            probe = application_probe(settings, rule)
            probes.append(RatedProbe(probe, rule, rest=rest) if rule.rate else probe)
    return probes
