"""A guard that cannot see who is here says so once; one that cannot lead for long tries more seldom."""

from guard.errors import Unreachable
from guard.model import Silence
from guard.ports import Observation
from tests.fakes import World, a_run, make_rule

WHY = "roster: no connection to PostgreSQL: remaining connection slots are reserved"


def blinded(world: World, seconds: float) -> None:
    """The roster cannot be read for so long; everything else can."""
    end = world.now + seconds
    while world.now < end:
        world.now += 0.5
        world.look()
        world.guard.put(Observation((Silence("roster", WHY, world.now),)))
        world.step()


def migrating() -> World:
    world = World(make_rule())
    world.runs = [a_run()]
    world.tick(2)
    return world


def test_who_cannot_be_seen_is_told_once_with_the_reason_and_again_when_it_is_over() -> None:
    world = migrating()
    blinded(world, 2.5)
    assert world.told() == ["started"]
    blinded(world, 60)
    assert world.told() == ["started", "cannot_see"]
    notice = world.journal.notices[-1]
    assert (notice.headline, notice.because) == ("migration-guard cannot see who migrates", WHY)
    assert world.word() == "proceed"
    assert {p.report["cannot_see"] for p in world.signal.published[-15:] if p.report} == {WHY}
    world.tick(1)
    assert world.told() == ["started", "cannot_see", "can_see"]


def test_a_server_that_cannot_be_reached_is_one_piece_of_news_and_not_two() -> None:
    world = migrating()
    world.signal.fails = world.signal.lead_fails = Unreachable("gone")
    blinded(world, 30)
    world.signal.fails = world.signal.lead_fails = None
    world.tick(2)
    assert world.told() == ["started", "cannot_signal", "can_signal"]
    cannot, can = world.journal.notices[-2:]
    assert cannot.commands == ("migration-guard status", "migration-guard override NAME --reason WHY --for 30m")
    assert can.fields == {"it lasted": "30 s"}


def test_where_nobody_is_known_to_migrate_blindness_is_told_after_a_minute_only() -> None:
    world = World(make_rule())
    world.tick(2)
    blinded(world, 59)
    assert world.told() == []
    blinded(world, 3)
    assert world.told() == ["cannot_see"]


def test_a_lead_that_cannot_be_taken_for_long_is_tried_each_five_seconds_and_had_soon_after_it_can_be() -> None:
    world = migrating()
    tried = 0

    def again(seconds: float) -> int:
        nonlocal tried
        before = tried
        world.signal.lead_fails = Unreachable("password authentication failed")
        world.tick(seconds, by=0.5)
        return tried - before

    world.signal.fails = Unreachable("gone")
    lead = world.signal.lead

    async def counted() -> object:
        nonlocal tried
        tried += 1
        return await lead()

    world.signal.lead = counted  # type: ignore[method-assign, assignment]
    assert 28 <= again(30) <= 32
    assert 11 <= again(60) <= 13
    world.signal.fails = world.signal.lead_fails = None
    world.tick(5.5, by=0.5)
    assert world.guard.publisher.leading
    assert world.word() == "proceed"


def test_a_guard_that_is_started_anew_takes_back_what_the_one_before_told_of_its_trouble() -> None:
    world = migrating()
    world.signal.fails = world.signal.lead_fails = Unreachable("gone")
    world.tick(30)
    world.new_guard()
    world.tick(10)
    assert world.told() == ["started", "cannot_signal"]
    world.signal.fails = world.signal.lead_fails = None
    world.tick(10)
    assert world.told() == ["started", "cannot_signal", "can_signal"]
    world.new_guard()
    world.tick(10)
    assert world.told() == ["started", "cannot_signal", "can_signal"]


def test_a_guard_that_is_started_anew_says_that_it_can_see_again_only_once_it_has_seen() -> None:
    world = migrating()
    blinded(world, 10)
    world.new_guard()
    world.step()
    assert world.told() == ["started", "cannot_see"]
    world.tick(1)
    assert world.told() == ["started", "cannot_see", "can_see"]
    assert world.journal.notices[-1].fields == {"it lasted": "10.5 s"}
