"""The picture at the end of a run: in its thread, once, and nobody misses a notice for it."""

import asyncio
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard.journal import Journal, Recorder
from guard.model import Dimension, Notice
from guard.pictures import Gallery
from guard.show.png import HEIGHT, WIDTH, chart, described
from guard.show.timeline import Band, LimitLine, Point, Signal, Timeline
from guard.tell.outbox import Outbox
from guard.tell.slack_bot import SlackBot
from guard.tell.slack_picture import Picture
from tests.outboxes import deliver, ids, nothing_waits, until
from tests.slack_server import Answer, SlackServer, slack_server
from tests.threads import a_bot, a_notice, in_thread

SIGNAL = Signal(
    "lag", "replication.lag", ("replica lag",), Dimension.SECONDS,
    (Point(0.0, 0.1), Point(40.0, 7.4), Point(60.0, None), Point(80.0, 0.2), Point(100.0, 0.1)),
    (
        LimitLine("replica lag", "pause", ">", 5.0, "pause > 5 s"),
        LimitLine("replica lag", "resume", "<", 2.0, "resume < 2 s"),
    ),
    None, (), 4, 1, None, (),
)  # fmt: skip
TIMELINE = Timeline("main", "add-email", 4, 0.0, 100.0, (SIGNAL,), (Band("paused", 42.0, 90.0),))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal.sqlite", channels=("slack",))
    yield journal
    journal.close()


def pixels(png: bytes) -> list[bytes]:
    """The rows of a PNG of one byte a pixel, read without what has written it."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, content, size = 8, b"", (0, 0)
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + body)
        size = struct.unpack(">II", body[:8]) if kind == b"IHDR" else size
        content += body if kind == b"IDAT" else b""
        at += 12 + length
    assert size == (WIDTH, HEIGHT)
    raw = zlib.decompress(content)
    return [raw[row * (WIDTH + 1) + 1 : (row + 1) * (WIDTH + 1)] for row in range(HEIGHT)]


def test_a_picture_shows_the_signal_its_limits_and_where_it_was_held() -> None:
    rows = pixels(chart(SIGNAL, TIMELINE))
    everything = b"".join(rows)
    assert {colour for colour in range(4) if everything.count(colour)} == {0, 1, 2, 3}
    top = rows[0]
    held = [column for column in range(WIDTH) if top[column] == 1]
    assert WIDTH * 0.4 < held[0] < WIDTH * 0.45
    assert WIDTH * 0.85 < held[-1] < WIDTH * 0.92
    # The highest point of the line is where the signal was at its worst.
    peak = next(row for row in rows if 3 in row)
    assert abs(peak.index(3) - WIDTH * 0.4) < 20
    # Of the limits those that act are drawn, not the one by which it goes on.
    assert len([row for row in rows if 2 in row]) == 1
    # A silence is no line: of the time between nothing is drawn.
    assert not any(3 in row[int(WIDTH * 0.5) : int(WIDTH * 0.7)] for row in rows)
    assert described(SIGNAL) == "replica lag: 100 ms to 7.4 s (dashed: pause > 5 s); grey: held"
    assert len(chart(SIGNAL, TIMELINE)) < 20_000


async def _draw(notice: Notice) -> Picture | None:
    return Picture(chart(SIGNAL, TIMELINE), f"{notice.migration} (run {notice.run_id})", described(SIGNAL))


def ended(journal: Journal, slack: SlackServer, *, bot: SlackBot | None = None) -> None:
    """A run begins, ends and has soaked; told by one bot or another."""
    bot = bot or a_bot(slack)
    bot.illustrate(_draw)
    told = [a_notice(1, "started"), a_notice(2, "soaking", fields={"took": "92 s"}), a_notice(3, "ended")]
    journal.save("main", [], told, 3)

    async def settled(outbox: Outbox) -> None:
        await nothing_waits(journal)(outbox)
        await until(lambda: not [task for task in asyncio.all_tasks() if task.get_name() == "picture for slack"])

    deliver(journal, bot, until_=settled)


def test_a_run_that_has_ended_has_one_picture_in_its_thread(journal: Journal) -> None:
    with slack_server() as slack:
        ended(journal, slack)
        [parent] = slack.workspace.parents
        [picture] = slack.workspace.shown
        assert (picture["thread"], picture["channel"]) == (parent.ts, parent.channel)
        assert picture["title"] == "add-email (run 4)"
        assert picture["alt"] == described(SIGNAL)
        assert pixels(slack.workspace.files[picture["file"]])
        assert in_thread(slack, parent) == ids(1, 2, 3)


def test_without_the_scope_there_is_no_picture_and_all_is_told(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    with slack_server() as slack:
        slack.workspace.scopes.remove("files:write")
        ended(journal, slack)
        [parent] = slack.workspace.parents
        assert in_thread(slack, parent) == ids(1, 2, 3)
        assert slack.workspace.shown == []
        assert "add the scope files:write" in caplog.text
        assert slack.requests
        assert Answer(404) not in {request.answer for request in slack.requests}


def test_of_a_run_that_was_not_recorded_there_is_no_picture_and_of_one_that_was_there_is(tmp_path: Path) -> None:
    gallery, notice = Gallery(tmp_path / "recorder.sqlite"), a_notice(1, "ended")
    assert asyncio.run(gallery.draw(notice)) is None
    recorder = Recorder(tmp_path / "recorder.sqlite")
    recorder.of("main")
    recorder.close()
    assert asyncio.run(gallery.draw(notice)) is None
