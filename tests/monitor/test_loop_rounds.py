"""Tests of monitor.loop: what a round does besides the frames, and how the loop begins and ends."""

import io
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from groundwork.clock import FakeClock
from groundwork.errors import StoreError
from groundwork.logs import Log
from monitor.evidence_out import EvidenceOut
from monitor.loop import FEWEST, FRAMES, LONG_S, Loop
from monitor.store import open_store
from prediction_log.memory import MemoryLog
from prediction_log.transport import Offset
from rollouts.evidence import PairTotals
from rollouts.history import Entry
from tests.monitor import worlds
from tests.monitor.test_loop import Choking

REGISTRY = worlds.registry("1")


class Rollouts:
    """A rollouts store with a history; what it is told is refused where a fault is set."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.fault: Exception | None = None

    def history(self, _model: str | None = None, after: int = 0, limit: int = 1000) -> list[Entry]:
        """Rows above a sequence, ascending."""
        return [entry for entry in self.entries if entry.sequence > after][:limit]

    def put_pairs(self, *_totals: PairTotals) -> None:
        """Nobody asks."""

    def beat(self, _name: str) -> None:
        """Note that the monitor is alive."""
        if self.fault is not None:
            raise self.fault


class Slow(Choking):
    """A pipeline whose frames take their time; notes how many it is fed at once."""

    clock: FakeClock
    cost = 0.0

    def feed(self, frames: Sequence[tuple[Offset, bytes]], entries: Sequence[Entry] = ()) -> None:
        """Take in frames, and let so much time pass."""
        self.clock.advance(self.cost * len(frames))
        self.fed = [*getattr(self, "fed", []), len(frames)]
        super().feed(frames, entries)


class World:
    """A log in memory, a history, and the loop over both."""

    def __init__(self, folder: Path) -> None:
        self.db, self.log, self.rollouts = open_store(folder), MemoryLog(), Rollouts()
        self.clock, self.told, self.traffic = FakeClock(worlds.START), io.StringIO(), worlds.Traffic()
        self.pipeline = Slow(self.db, worlds.settings(), REGISTRY, worlds.IDS)
        self.pipeline.clock = self.clock
        self.pipeline.choke(ValueError("nothing"))
        self.begin(self.log)

    def begin(self, log: MemoryLog) -> None:
        """A loop over this log."""
        self.log = log
        out = EvidenceOut(self.rollouts, self.clock)
        self.loop = Loop(self.pipeline, log, self.rollouts, out, self.clock, Log(self.told, self.clock))

    def write(self, frames: int) -> None:
        """So many frames of a row in the log."""
        self.log.write([self.traffic.predictions(1)[0] for _ in range(frames)])

    def rounds(self, most: int) -> None:
        """Go round so often, or until the log is read."""
        left = most

        def enough(_waited: float) -> bool:
            nonlocal left
            left -= 1
            return left == 0 or self.pipeline.offset == self.log.end()

        self.loop.run(poll=0.0, catch_up=0.0, enough=enough)

    def count(self, table: str) -> int:
        """Rows of a table."""
        number: int = self.db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608  our tables
        return number


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A world in a folder of its own."""
    made = World(tmp_path)
    yield made
    made.db.close()


def entry(sequence: int) -> Entry:
    """A row of history."""
    return Entry(actor="pilot", verb="advance", sequence=sequence, model="m", at=worlds.START, chain="c")


def test_rows_of_history_become_events_once(world: World) -> None:
    """Each of them, in order, whatever frames fail beside them, and also where no frame is there."""
    world.rollouts.entries = [entry(1), entry(2)]
    assert world.loop.round() is True
    assert (world.count("events"), world.pipeline.history) == (2, 2)
    assert world.loop.round() is False
    world.rollouts.entries.append(entry(3))
    world.write(3)
    world.pipeline.choke(ValueError("a bug"), Offset(1, 2))
    world.rounds(20)
    assert (world.count("events"), world.count("predictions")) == (3, 2)


def test_a_round_says_whether_there_is_more(world: World) -> None:
    """It was behind when it read as much as it may at once; it was idle when nothing was there."""
    assert world.loop.behind
    world.write(FEWEST + 1)
    assert (world.loop.round(), world.loop.behind) == (True, True)
    assert (world.loop.round(), world.loop.behind) == (True, False)
    assert (world.loop.round(), world.loop.behind) == (False, False)


def test_what_the_rollouts_refuse_is_counted(world: World) -> None:
    """By its code; what was read is read all the same."""
    world.rollouts.fault = StoreError("no room")
    world.write(1)
    assert world.loop.round()
    assert world.loop.errors == {StoreError.code: 1}
    assert world.count("predictions") == 1


def test_a_stopped_loop_reads_what_is_there(world: World) -> None:
    """To the end where there is time, and no further than one round where there is none."""
    world.write(3 * FRAMES)
    world.loop.stop()
    assert world.loop.run(poll=0.0, catch_up=0.0, enough=lambda _: False)
    assert world.count("predictions") == FEWEST
    assert world.loop.run(poll=0.0, catch_up=60.0, enough=lambda _: False)
    assert world.count("predictions") == 3 * FRAMES


def test_a_loop_that_another_thread_goes_on_with_has_not_ended(world: World) -> None:
    """It returns after the round, and the next call reads on."""
    world.write(2 * FRAMES)
    assert not world.loop.run(poll=0.0, catch_up=0.0, enough=lambda _: True)
    assert world.count("predictions") == FEWEST
    assert world.loop.went_round.is_set()


def test_the_beat_is_that_of_rounds_that_succeed(world: World) -> None:
    """Where it stands still the monitor says that it is not healthy."""
    began = world.clock.monotonic()
    assert world.loop.beat == began
    world.write(1)
    world.pipeline.choke(sqlite3.OperationalError("disk is full"), Offset(1, 1))
    world.clock.advance(5.0)
    world.rounds(3)
    assert world.loop.beat == began
    world.pipeline.choke(ValueError("nothing"))
    world.rounds(1)
    assert world.loop.beat == began + 5.0


def test_the_first_round_is_small_and_quick_ones_become_large(world: World) -> None:
    """Whoever starts a monitor waits for its first round, whatever a frame costs."""
    world.write(2 * FRAMES)
    world.rounds(9)
    assert world.pipeline.fed == [FEWEST, 16, 32, FRAMES, FEWEST]


def test_slow_rounds_become_small_and_a_frame_alone_makes_none_larger(world: World) -> None:
    """What is read by itself is quick because it is little, which says nothing of the next round."""
    world.loop._frames = FRAMES
    world.pipeline.cost = 0.3
    assert FEWEST * world.pipeline.cost > LONG_S
    world.write(FRAMES + 32 + 16 + 2 * FEWEST)
    world.rounds(4)
    assert world.pipeline.fed == [FRAMES, 32, 16, FEWEST]
    world.pipeline.fed = []
    world.pipeline.choke(ValueError("a bug"), Offset(1, FRAMES + 48 + FEWEST + 2))
    world.write(3 * FEWEST)
    world.rounds(60)
    alone = FEWEST + 2
    assert world.pipeline.fed == [FEWEST, *[1] * alone, *[FEWEST] * 3]


def test_a_log_that_was_cut_is_found_again_after_a_round_that_failed(world: World) -> None:
    """The pipeline stands at its last commit then, which the log does not reach."""
    world.write(3)
    world.rounds(3)
    world.begin(MemoryLog())
    world.traffic = worlds.Traffic(stream=2)
    world.write(2)
    world.pipeline.choke(sqlite3.OperationalError("locked"), Offset(1, 1))
    world.rounds(2)
    assert world.told.getvalue().count("log-cut-short reached=000001:3 read_on=000001:0") == 2
    world.pipeline.choke(ValueError("nothing"))
    world.rounds(3)
    assert world.count("predictions") == 5
