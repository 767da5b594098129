"""Tests of monitor.loop: what a round does besides the frames, and how the loop begins and ends."""

import io
import itertools
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundwork.clock import FakeClock
from groundwork.errors import StoreError
from groundwork.logs import Log
from monitor.evidence_out import EvidenceOut
from monitor.loop import FRAMES, ROUND_S, Loop
from monitor.store import open_store
from prediction_log.memory import MemoryLog
from prediction_log.transport import Offset, Source
from registry_client.registry import Registry
from rollouts.evidence import PairTotals
from rollouts.history import Entry
from tests.monitor import worlds
from tests.monitor.stories import EXAMPLES, everything, numbered, story, uninterrupted
from tests.monitor.stories import REGISTRY as BOTH
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
    """A pipeline whose frames take their time; notes how many each round took in."""

    clock: FakeClock
    costs: Iterator[float] = itertools.repeat(0.0)

    def __init__(self, *parts: Any) -> None:
        self.fed: list[int] = []
        super().__init__(*parts)

    def feed(
        self,
        frames: Sequence[tuple[Offset, bytes]],
        entries: Sequence[Entry] = (),
        *,
        enough: Callable[[], bool] = lambda: False,
    ) -> int:
        """Take in frames, and note how many there was time for."""
        self.fed.append(super().feed(frames, entries, enough=enough))
        return self.fed[-1]

    def _take(self, offset: Offset, content: bytes, enough: Callable[[], bool]) -> bool:
        self.clock.advance(next(self.costs))
        return super()._take(offset, content, enough)


class World:
    """A log in memory, a history, and the loop over both."""

    def __init__(self, folder: Path, registry: Registry = REGISTRY) -> None:
        self.db, self.log, self.rollouts = open_store(folder), MemoryLog(), Rollouts()
        self.clock, self.told, self.traffic = FakeClock(worlds.START), io.StringIO(), worlds.Traffic()
        self.pipeline = Slow(self.db, worlds.settings(), registry, worlds.IDS)
        self.pipeline.clock = self.clock
        self.pipeline.choke(ValueError("nothing"))
        self.begin(self.log)

    def begin(self, log: Source) -> None:
        """A loop over this log."""
        self.source = log
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
            return left == 0 or self.pipeline.offset == self.source.end()

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
    """It was behind when it read as much as it may or left something; it was idle when nothing was there."""
    assert world.loop.behind
    world.write(FRAMES + 1)
    assert (world.loop.round(), world.loop.behind) == (True, True)
    assert (world.loop.round(), world.loop.behind) == (True, False)
    assert (world.loop.round(), world.loop.behind) == (False, False)
    world.pipeline.costs = itertools.repeat(ROUND_S)
    world.write(2)
    assert (world.loop.round(), world.loop.behind) == (True, True)
    assert (world.loop.round(), world.loop.behind) == (True, False)


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
    assert world.count("predictions") == FRAMES
    assert world.loop.run(poll=0.0, catch_up=60.0, enough=lambda _: False)
    assert world.count("predictions") == 3 * FRAMES


def test_a_loop_that_another_thread_goes_on_with_has_not_ended(world: World) -> None:
    """It returns after the round, and the next call reads on."""
    world.write(2 * FRAMES)
    assert not world.loop.run(poll=0.0, catch_up=0.0, enough=lambda _: True)
    assert world.count("predictions") == FRAMES
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


@pytest.mark.parametrize(("cost", "takes"), [(0.0, FRAMES), (1 / 64, 32), (0.125, 4), (0.375, 2), (9.0, 1)])
def test_a_round_ends_with_the_frame_at_which_its_time_is_over(world: World, cost: float, takes: int) -> None:
    """Whatever a frame costs, others wait for half a second of frames, or for one that lasts longer."""
    world.pipeline.costs = itertools.repeat(cost)
    world.write(2 * FRAMES)
    world.rounds(2 * FRAMES)
    assert world.pipeline.fed[0] == takes == max(world.pipeline.fed)
    assert world.count("predictions") == 2 * FRAMES


class Story:
    """A source of these frames, whatever they are."""

    def __init__(self, frames: Sequence[bytes]) -> None:
        self._frames = numbered([*frames])

    def read(self, after: Offset, limit: int) -> list[tuple[Offset, bytes]]:
        """See Source.read."""
        return [frame for frame in self._frames if frame[0] > after][:limit]

    def first(self) -> Offset:
        """See Source.first."""
        return Offset(1, 0)

    def end(self) -> Offset:
        """See Source.end."""
        return self._frames[-1][0]

    def close(self) -> None:
        """Nothing is held."""


@hypothesis.settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.02, 0.2, ROUND_S]), min_size=1, max_size=40), st.integers(0, 3))
def test_what_is_found_does_not_depend_on_where_rounds_end(costs: list[float], seed: int) -> None:
    """However long each frame took, states, incidents and events are those of one round over all of them."""
    with tempfile.TemporaryDirectory() as name:
        world = World(Path(name), BOTH)
        world.begin(Story(story(seed)))
        world.pipeline.costs = itertools.cycle(costs)
        world.rounds(10_000)
        left = everything(world.pipeline, world.db)
        world.db.close()
    assert left == uninterrupted(seed)


def test_a_log_that_was_cut_is_found_again_after_a_round_that_failed(world: World) -> None:
    """The pipeline stands at its last commit then, which the log does not reach."""
    world.write(3)
    world.rounds(3)
    world.log = MemoryLog()
    world.begin(world.log)
    world.traffic = worlds.Traffic(stream=2)
    world.write(2)
    world.pipeline.choke(sqlite3.OperationalError("locked"), Offset(1, 1))
    world.rounds(2)
    assert world.told.getvalue().count("log-cut-short reached=000001:3 read_on=000001:0") == 2
    world.pipeline.choke(ValueError("nothing"))
    world.rounds(3)
    assert world.count("predictions") == 5
