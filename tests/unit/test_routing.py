"""What a channel is told: what it asks for, and the end of whatever it was told of before."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from guard.journal import Journal
from guard.model import Notice, Severity
from guard.tell import routing
from guard.tell.routing import Route, key, standing

GUARD = Path(routing.__file__).parents[1]

INFO, WARNING, CRITICAL = Severity.INFO, Severity.WARNING, Severity.CRITICAL

About = dict[str, str | int | None]
NOBODY: About = {"migration": "*", "run_id": None}
GRAVE = Route(least=CRITICAL)
WARNED = Route(least=WARNING)


class Told:
    """A journal with one channel for each route; notices are numbered as they come."""

    def __init__(self, path: Path, **routes: Route) -> None:
        self.path, self.routes, self.count = path, routes, 0
        self.journal = self.open()

    def open(self, **routes: Route) -> Journal:
        self.routes |= routes
        return Journal(self.path, channels=["log", *self.routes], routes=self.routes)

    def again(self, **routes: Route) -> None:
        """The daemon is started anew, with other routes where given."""
        self.journal.close()
        self.journal = self.open(**routes)

    def tell(self, kind: str, severity: Severity = INFO, about: About | None = None) -> Notice:
        self.count += 1
        values: dict[str, object] = {"database": "main", "migration": "m", "run_id": 1, **(about or {})}
        values |= {"notice_id": str(self.count), "at_wall": 1.0, "headline": "", "because": ""}
        notice = Notice(kind=kind, severity=severity, **values)  # type: ignore[arg-type]
        self.journal.save("main", [], [notice], self.count)
        return notice

    def on(self, channel: str) -> list[str]:
        """The kinds that are queued for a channel, in order."""
        return [entry.notice.kind for entry in self.journal.pending(channel, 100)]


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    told = Told(tmp_path / "journal.sqlite", all=Route(), warned=WARNED, grave=GRAVE)
    yield told
    told.journal.close()


def test_a_channel_is_told_what_is_grave_enough_for_it(told: Told) -> None:
    for kind, severity in (("started", INFO), ("cancelled", WARNING), ("aborted", CRITICAL), ("operator", INFO)):
        told.tell(kind, severity)
    assert told.on("log") == told.on("all") == ["started", "cancelled", "aborted", "operator"]
    assert told.on("warned") == ["cancelled", "aborted"]
    assert told.on("grave") == ["aborted"]


@pytest.mark.parametrize("end", ["resumed", "started", "warned", "ended", "soaking", "gone"])
def test_who_was_told_of_a_pause_is_told_of_its_end_once_and_who_was_not_is_not(told: Told, end: str) -> None:
    told.tell("paused", WARNING)
    told.tell(end)
    told.tell("ended")
    assert told.on("warned") == ["paused", end]
    assert told.on("grave") == []


def test_a_pause_that_became_an_alarm_only_by_lasting_ends_for_whom_that_alarm_reached(told: Told) -> None:
    told.tell("paused", WARNING)
    told.tell("pause_lasts", CRITICAL)
    told.tell("resumed")
    assert told.on("grave") == ["pause_lasts", "resumed"]


def test_the_end_of_one_run_is_not_that_of_another(told: Told) -> None:
    told.tell("paused", WARNING)
    others: tuple[About, ...] = ({"run_id": 2}, {"migration": "n"}, {"database": "other"})
    for about in others:
        told.tell("resumed", INFO, about)
    assert told.on("warned") == ["paused"]
    told.tell("resumed")
    assert told.on("warned") == ["paused", "resumed"]


@pytest.mark.parametrize(
    ("begins", "ends", "elsewhere"),
    [
        ("cannot_signal", "can_signal", "can_see"),
        ("cannot_see", "can_see", "can_signal"),
        ("journal", "journal", "can_see"),
        ("starved", "fed", "resumed"),
    ],
)
def test_a_trouble_of_the_guard_ends_by_its_own_end_alone(told: Told, begins: str, ends: str, elsewhere: str) -> None:
    nobody: About = {} if begins == "starved" else NOBODY
    told.tell(begins, WARNING, nobody)
    told.tell(elsewhere, INFO, nobody)
    assert told.on("warned") == [begins]
    told.tell(ends, INFO, nobody)
    assert told.on("warned") == [begins, ends]


def test_what_befalls_the_daemon_ends_also_where_another_of_its_guards_tells_the_end(told: Told) -> None:
    began = told.tell("journal", WARNING, {**NOBODY, "database": "one"})
    ended = told.tell("journal", INFO, {**NOBODY, "database": "other"})
    assert told.on("warned") == ["journal", "journal"]
    assert key(began) == key(ended) == "/*//journal"


def test_an_alarm_that_stands_is_remembered_across_a_kill_and_a_change_of_what_the_channel_is_for(told: Told) -> None:
    told.tell("paused", WARNING)
    told.again(warned=GRAVE, all=Route(databases=("other",)))
    told.tell("cancelled", WARNING)
    told.tell("resumed")
    assert told.on("warned") == ["paused", "resumed"]
    assert told.on("all") == ["paused", "resumed"]


def test_what_is_offered_again_after_a_restart_opens_no_alarm_anew(told: Told) -> None:
    paused = told.tell("paused", WARNING)
    told.tell("resumed")
    told.again()
    told.journal.add_missing([paused])
    told.tell("ended")
    assert told.on("warned") == ["paused", "resumed"]


@pytest.mark.parametrize(
    ("route", "about", "wanted"),
    [
        (Route(databases=("main",)), {}, True),
        (Route(databases=("other",)), {}, False),
        (Route(migrations=("m",)), {}, True),
        (Route(migrations=("billing-*", "m*")), {"migration": "more"}, True),
        (Route(migrations=("billing-*",)), {}, False),
        (Route(migrations=("billing-*",)), {"migration": "*", "run_id": None}, True),
        (Route(databases=("other",)), {"migration": "*", "run_id": None}, False),
    ],
)
def test_a_channel_is_told_of_its_databases_and_migrations_and_of_what_has_no_name(
    told: Told, route: Route, about: About, wanted: bool
) -> None:
    assert route.wants(told.tell("paused", WARNING, about)) is wanted


@pytest.mark.parametrize("kind", ["journal", "reload_refused", "guard_died", "test"])
def test_what_concerns_the_whole_daemon_is_told_whichever_database_it_is_told_through(told: Told, kind: str) -> None:
    notice = told.tell(kind, WARNING, NOBODY)
    assert Route(databases=("other",)).wants(notice)


def test_an_alarm_and_its_end_bear_the_same_name_for_systems_that_close_what_they_opened(told: Told) -> None:
    paused, resumed = told.tell("paused", WARNING), told.tell("resumed")
    assert key(paused) == key(resumed) == "main/m/1/run"
    assert (standing(paused), standing(resumed)) == ("firing", "over")
    signal = told.tell("cannot_signal", CRITICAL, NOBODY)
    assert (key(signal), standing(signal)) == ("main/*//signal", "firing")
    assert standing(told.tell("operator")) == "news"
    assert standing(told.tell("gone", WARNING)) == "over"
    assert key(told.tell("moved", WARNING, NOBODY)) == "main/*//moved"


def test_alarms_without_an_end_do_not_pile_up(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guard.journal.routes.KEPT", 3)
    for run in range(10):
        told.tell("aborted", CRITICAL, about={"run_id": run})
    for run in (6, 7, 9):
        told.tell("ended", about={"run_id": run})
    assert told.on("grave").count("ended") == 2


def test_every_kind_that_a_route_knows_is_one_that_people_are_told_of() -> None:
    told = "".join(path.read_text() for name in ("decide", "cycle", "cli") for path in (GUARD / name).glob("*.py"))
    known = {*routing._TOPICS, *routing._ENDS, *routing._OF_THE_DAEMON}
    assert {kind for kind in known if f'"{kind}"' not in told} == set()
