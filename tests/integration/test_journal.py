"""The journal on a real disk: what survives a kill, and what happens when the disk does not do its part."""

import contextlib
import dataclasses
import logging
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard import ports
from guard.journal import Journal, Ledger
from guard.model import Kept, Notice, Phase, Severity, State

CHANNELS = ("slack",)


def a_state(migration: str = "m", because: str = "lag", run_id: int | None = 1) -> State:
    return State(migration, run_id, Phase.PAUSED, because, 12.5, well_before=("lag",))


def a_notice(number: int, kind: str = "paused", severity: Severity = Severity.WARNING) -> Notice:
    return Notice(f"main:{number}", 1.0 + number, "main", "m", 1, kind, severity, f"headline {number}", "because")


def ids(journal: Journal, channel: str = "slack") -> list[str]:
    return [entry.notice.notice_id for entry in journal.pending(channel, limit=1000)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.sqlite"


@pytest.fixture
def opened(path: Path) -> Iterator[Journal]:
    journal = Journal(path, channels=CHANNELS)
    yield journal
    journal.close()


def again(path: Path, journal: Journal) -> Journal:
    journal.close()
    return Journal(path, channels=CHANNELS)


# -- what is kept ------------------------------------------------------------------------------------------------------


def test_states_notices_and_position_are_there_after_a_restart(path: Path, opened: Journal) -> None:
    port: ports.Journal = opened.of("main")
    port.save([a_state()], [], 1)
    assert port.states() == (a_state(),)
    main, other = opened.of("main"), opened.of("other")
    main.save([a_state("gone")], [], 3)
    main.save([a_state("a"), a_state("b", run_id=None)], [a_notice(1), a_notice(2)], 7)
    other.save([a_state("c")], [], 4)
    reopened = again(path, opened)
    try:
        assert set(reopened.of("main").states()) == {a_state("b", run_id=None), a_state("a")}
        assert reopened.of("other").states() == (a_state("c"),)
        assert (reopened.of("main").last_event_id(), reopened.of("other").last_event_id()) == (7, 4)
        assert reopened.of("third").last_event_id() == 0
        assert [entry.notice for entry in reopened.pending("slack")] == [a_notice(1), a_notice(2)]
        assert reopened.trouble is None
    finally:
        reopened.close()


def test_readings_of_before_a_run_are_there_after_a_restart_and_no_bad_record_of_them_hurts(
    path: Path, opened: Journal
) -> None:
    main = opened.of("main")
    assert main.kept() == Kept()
    main.keep(Kept("a", {"p99#1": ((1.5, 0.2),)}))
    main.keep(Kept("a", {"p99#1": ((1.5, 0.2), (2.5, 0.3)), "lag#2": ()}))
    opened.of("other").keep(Kept("b", {}))
    reopened = again(path, opened)
    assert reopened.of("main").kept() == Kept("a", {"p99#1": ((1.5, 0.2), (2.5, 0.3)), "lag#2": ()})
    short, none = '{"home": "a", "readings": {"q": [[1]]}}', '{"home": "a", "readings": {"q": 1}}'
    for bad in ("[]", "no json", '{"home": 1}', short, none):
        reopened._ledger._db.execute("UPDATE kept SET record = ?", (bad,))
        assert reopened.of("main").kept() == Kept()
    reopened.close()


def test_what_was_told_last_of_the_guard_itself_is_there_after_a_restart(path: Path, opened: Journal) -> None:
    told = [
        dataclasses.replace(a_notice(n, kind), migration="*", run_id=None) for n, kind in enumerate(("a", "b", "c"))
    ]
    opened.save("main", [], [*told, a_notice(3, "a")], 1)
    opened.save("other", [], [dataclasses.replace(told[0], notice_id="x", database="other")], 1)
    journal = again(path, opened).of("main")
    assert journal.told_last({"a", "b"}) == told[1]
    assert journal.told_last({"d"}) is None


def test_a_save_without_events_does_not_move_the_position_back(opened: Journal) -> None:
    opened.save("main", [], [], 7)
    opened.save("main", [], [], 0)
    assert opened.last_event_id("main") == 7


def test_a_notice_is_queued_once_on_each_channel_even_after_it_was_sent(path: Path) -> None:
    journal = Journal(path, channels=("slack", "log"))
    journal.save("main", [], [a_notice(1)], 1)
    journal.mark_sent(journal.pending("slack")[0], 5.0)
    journal.of("main").add_missing([a_notice(1), a_notice(2)])
    assert (ids(journal, "slack"), ids(journal, "log")) == (["main:2"], ["main:1", "main:2"])
    journal.close()


def test_failures_and_refusals_are_remembered(path: Path, opened: Journal) -> None:
    opened.save("main", [], [a_notice(1), a_notice(2), a_notice(3)], 1)
    first, second, third = opened.pending("slack")
    opened.mark_failed(first, 99.0)
    opened.mark_dead(second, "HTTP 410")
    opened.mark_sent(third, 50.0)
    reopened = again(path, opened)
    (entry,) = reopened.pending("slack")
    assert (entry.notice.notice_id, entry.tries, entry.next_try_wall) == ("main:1", 1, 99.0)
    backlog = reopened.backlog("slack")
    assert (backlog.waiting, backlog.dead, backlog.oldest_wall, backlog.last_sent_wall) == (1, 1, 2.0, 50.0)
    reopened.close()


def test_too_many_waiting_drops_the_oldest_news_and_never_a_pause_or_an_end(path: Path) -> None:
    journal = Journal(path, channels=CHANNELS, bound=5)
    journal.save("main", [], [a_notice(n, "warned", Severity.INFO) for n in range(4)], 1)
    journal.save("main", [], [a_notice(n) for n in range(4, 7)], 2)
    assert ids(journal) == ["main:2", "main:3", "main:4", "main:5", "main:6"]
    journal.save("main", [], [a_notice(n, "ended", Severity.INFO) for n in range(7, 12)], 3)
    assert ids(journal) == [f"main:{n}" for n in range(4, 12)]
    assert journal.backlog("slack").dead == 4
    journal.close()


def test_however_much_waits_the_end_of_a_trouble_that_is_told_is_told_too(path: Path) -> None:
    journal = Journal(path, channels=CHANNELS, bound=3)
    told = [("cannot_signal", Severity.CRITICAL), ("can_signal", Severity.INFO), *[("news", Severity.INFO)] * 5]
    notices = [a_notice(number, kind, severity) for number, (kind, severity) in enumerate(told)]
    journal.save("main", [], [dataclasses.replace(each, migration="*", run_id=None) for each in notices], 1)
    assert [entry.notice.kind for entry in journal.pending("slack")] == ["cannot_signal", "can_signal", "news"]
    journal.close()


def test_only_the_owner_can_read_the_file(path: Path, opened: Journal) -> None:
    opened.save("main", [a_state()], [], 1)
    modes = {name.name: stat.S_IMODE(name.stat().st_mode) for name in path.parent.iterdir()}
    assert modes.keys() >= {"journal.sqlite", "journal.sqlite-wal"}
    assert set(modes.values()) == {0o600}


# -- a kill ------------------------------------------------------------------------------------------------------------

_WRITER = """
import sys
from pathlib import Path
from guard.journal import Journal
from guard.model import Notice, Phase, Severity, State
journal = Journal(Path(sys.argv[1]), channels=("slack",))
number = journal.last_event_id("main")
while True:
    number += 1
    states = [State(f"m{k}", k, Phase.PAUSED, str(number), 1.0) for k in range(1, 6)]
    notice = Notice(f"main:{number}", 1.0, "main", "m", 1, "paused", Severity.WARNING, "h", "b")
    journal.save("main", states, [notice], number)
    print(number, flush=True)
"""


@pytest.mark.fault(8)
def test_a_kill_in_the_middle_of_saving_leaves_all_that_was_saved_and_nothing_by_halves(path: Path) -> None:
    saved = 0
    for round_ in range(10):
        writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        with writer:
            assert writer.stdout
            for _ in range(1 + 7 * round_):
                saved = int(writer.stdout.readline())
            os.kill(writer.pid, signal.SIGKILL)
            saved = max([saved, *map(int, writer.stdout.read().splitlines(keepends=False)[:-1])])
        journal = Journal(path, channels=CHANNELS)
        last = journal.last_event_id("main")
        assert last >= saved
        assert [state.because for state in journal.states("main")] == [str(last)] * 5
        assert ids(journal) == [f"main:{number}" for number in range(1, last + 1)]
        assert journal.trouble is None
        journal.close()


# -- a disk that does not do its part ----------------------------------------------------------------------------------


def save_and_check(journal: Journal, number: int) -> None:
    journal.save("main", [a_state(because=str(number))], [a_notice(number)], number)
    assert journal.states("main") == (a_state(because=str(number)),)
    assert ids(journal)[-1] == f"main:{number}"


def in_memory(journal: Journal) -> bool:
    return journal._ledger.in_memory


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("junk", [b"not a database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_broken_file_is_put_aside_and_a_new_one_begun(
    path: Path, junk: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir()
    path.write_bytes(junk)
    journal = Journal(path, channels=CHANNELS)
    save_and_check(journal, 1)
    assert len(errors(caplog)) == 1
    assert journal.trouble
    assert "kept as" in journal.trouble
    assert path.with_name("journal.sqlite.unreadable").read_bytes() == junk
    reopened = again(path, journal)
    assert reopened.last_event_id("main") == 1
    assert reopened.trouble is None
    reopened.close()


def test_a_file_of_a_newer_version_is_put_aside(path: Path, opened: Journal) -> None:
    opened.close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    journal = Journal(path, channels=CHANNELS)
    assert "version 99" in (journal.trouble or "")
    save_and_check(journal, 1)
    journal.close()


def test_a_file_that_breaks_under_way_costs_neither_the_guard_nor_what_comes_next(path: Path, opened: Journal) -> None:
    opened.save("main", [], [a_notice(number) for number in range(400)], 400)
    opened._ledger._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    opened._ledger._db.execute("PRAGMA cache_size = 1")
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.write(b"\xff" * size)
    save_and_check(opened, 500)
    assert opened.trouble
    reopened = again(path, opened)
    assert ids(reopened)[-1] == "main:500"
    reopened.close()


@pytest.mark.fault(15)
def test_a_full_file_system_is_said_once_and_nothing_is_lost_when_there_is_room_again(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(path, channels=CHANNELS)
    save_and_check(journal, 1)
    ledger = journal._ledger
    pages = ledger._db.execute("PRAGMA page_count").fetchone()[0]
    ledger._db.execute(f"PRAGMA max_page_count = {pages}")
    journal.save("main", [a_state()], [a_notice(n) for n in range(2, 150)], 2)
    save_and_check(journal, 150)
    assert in_memory(journal)
    assert len(errors(caplog)) == 1
    assert "full" in (journal.trouble or "")
    journal.mark_sent(journal.pending("slack")[0], 9.0)
    journal.keep("main", Kept("a", {"q": ((1.5, 0.2),)}))
    ledger._retry_at = 0.0
    save_and_check(journal, 151)
    assert not in_memory(journal)
    assert journal.trouble is None
    reopened = again(path, journal)
    assert ids(reopened) == [f"main:{n}" for n in range(2, 152)]
    assert reopened.backlog("slack").last_sent_wall == 9.0
    assert reopened.kept("main") == Kept("a", {"q": ((1.5, 0.2),)})
    reopened.close()


@pytest.mark.fault(15)
@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="needs root to mount a small file system")
def test_a_really_full_disk_stops_nothing(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = [shutil.which("mount") or "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)]
    mounted = subprocess.run(mount, check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount: {mounted.stderr.decode()}")
    try:
        journal = Journal(small / "journal.sqlite", channels=CHANNELS)
        save_and_check(journal, 1)
        filler = small / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"x" * 4096)
        assert shutil.disk_usage(small).free == 0
        for number in range(2, 400):
            save_and_check(journal, number)
        assert in_memory(journal)
        filler.unlink()
        reopened = again(small / "journal.sqlite", journal)
        assert ids(reopened) == [f"main:{number}" for number in range(1, 400)]
        assert reopened.trouble is None
        reopened.close()
    finally:
        subprocess.run([shutil.which("umount") or "umount", "-l", str(small)], check=True)


def test_a_directory_that_cannot_be_written_is_lived_with_and_used_as_soon_as_it_can_be(tmp_path: Path) -> None:
    tmp_path.joinpath("state").write_text("a file where the directory should be")
    journal = Journal(tmp_path / "state" / "journal.sqlite", channels=CHANNELS)
    save_and_check(journal, 1)
    assert "cannot be used" in (journal.trouble or "")
    tmp_path.joinpath("state").unlink()
    journal._ledger._retry_at = 0.0
    save_and_check(journal, 2)
    assert journal.trouble is None
    journal.close()


def test_what_a_file_held_that_could_not_be_opened_is_still_there_when_it_can_be(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    before = Journal(path, channels=CHANNELS)
    before.save("main", [a_state("old")], [a_notice(1), a_notice(2)], 2)
    before.close()
    path.rename(tmp_path / "away")
    path.mkdir()
    journal = Journal(path, channels=CHANNELS)
    save_and_check(journal, 3)
    path.rmdir()
    (tmp_path / "away").rename(path)
    journal._ledger._retry_at = 0.0
    assert ids(journal) == ["main:1", "main:2", "main:3"]
    assert journal.states("main") == (a_state(because="3"),)
    journal.close()


def test_somebody_who_holds_the_file_locked_stops_nothing(path: Path, opened: Journal) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    save_and_check(opened, 1)
    assert "locked" in (opened.trouble or "")
    other.execute("ROLLBACK")
    other.close()
    opened._ledger._retry_at = 0.0
    save_and_check(opened, 2)
    assert opened.trouble is None
    assert ids(opened) == ["main:1", "main:2"]


def test_a_record_that_cannot_be_written_is_told_and_stops_nothing(
    opened: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    opened.save("main", [a_state("\udcff")], [], 1)
    assert "cannot write" in errors(caplog)[0]
    save_and_check(opened, 2)
    assert opened.trouble is None


def test_a_row_that_cannot_be_read_does_not_block_the_rest(opened: Journal) -> None:
    opened.save("main", [a_state("a"), a_state("b")], [a_notice(1), a_notice(2)], 1)
    opened._ledger._db.execute("UPDATE outbox SET record = '{\"notice_id\": 3}' WHERE notice_id = 'main:1'")
    opened._ledger._db.execute("UPDATE state SET record = 'no json' WHERE target LIKE '%a'")
    assert ids(opened) == ["main:2"]
    assert opened.backlog("slack").dead == 1
    assert opened.states("main") == (a_state("b"),)


def test_work_that_even_memory_cannot_do_has_a_stated_answer(path: Path) -> None:
    ledger = Ledger(path)
    assert ledger.transact(lambda db: db.execute("SELECT no_such_column").fetchone(), "otherwise") == "otherwise"
    ledger.close()
