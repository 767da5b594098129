"""Tests of monitor.loop."""

import contextlib
import io
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from groundwork.clock import FakeClock
from groundwork.logs import Log
from monitor import metrics
from monitor.evidence_out import EvidenceOut
from monitor.loop import Loop, following
from monitor.pipeline import Pipeline
from monitor.store import open_store
from monitor.suspects import IN_A_ROW, KNOWN, TRIES
from prediction_log.errors import FrameError
from prediction_log.memory import MemoryLog
from prediction_log.segment_source import SegmentSource
from prediction_log.transport import Offset
from tests.monitor import worlds
from tests.monitor.test_streams import Quiet
from tests.monitor.worlds import retention

REGISTRY = worlds.registry("1", "2")
POISON = retention(f"{2**70}:1", 3)
"""A loss of a segment whose number the state has no room for: the round fails at its very end."""


def test_a_first_round_that_fails_keeps_nobody_waiting(tmp_path: Path) -> None:
    """A monitor before a segment that nobody can read has gone round: it is there, and says what is wrong."""
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "000001.seg").write_bytes(bytes(range(256)) * 64)
    clock, told, seen = FakeClock(worlds.START), io.StringIO(), []
    with (
        contextlib.closing(open_store(tmp_path)) as db,
        contextlib.closing(SegmentSource(tmp_path / "log")) as source,
    ):
        pipeline = Pipeline(db, worlds.settings(), worlds.registry("1"), worlds.IDS)
        loop = Loop(pipeline, source, Quiet(), EvidenceOut(Quiet(), clock), clock, Log(told, clock))

        def enough(_waited: float) -> bool:
            seen.append(loop.went_round.is_set())
            return True

        assert not loop.run(poll=0.1, catch_up=0.0, enough=enough)
    assert seen == [True]
    assert sum(loop.errors.values()) == 1
    assert "round-failed" in told.getvalue()


def test_a_round_that_fails_is_begun_again_after_a_growing_pause() -> None:
    """Twice as long each time, 10 s at most; at once while there is more, as set where there is none."""
    assert following(3.0, 0.2, busy=True) == 0.0
    assert following(3.0, 0.2, busy=False) == 0.2
    pauses = [0.0]
    for _ in range(9):
        pauses.append(following(pauses[-1], 0.2, busy=None))
    assert pauses[1:] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0, 10.0]


class Choking(Pipeline):
    """A pipeline that fails as told at frames it is told of, half way through them."""

    def choke(self, error: Exception, *places: Offset) -> None:
        """From now on raise this after the frames at these places were taken in."""
        self.error, self.places = error, set(places)

    def _take(self, offset: Offset, content: bytes, enough: Callable[[], bool]) -> bool:
        whole = super()._take(offset, content, enough)
        if offset in self.places:
            raise self.error
        return whole


class World:
    """A log in memory, a pipeline that may choke, and the loop over both."""

    def __init__(self, folder: Path) -> None:
        self.log, self.told, self.clock = MemoryLog(), io.StringIO(), FakeClock(worlds.START)
        self.db = open_store(folder)
        self.traffic = worlds.Traffic()
        self.other = worlds.Traffic(stream=2, version="2")
        self.start()

    def start(self) -> None:
        """A pipeline and a loop as a new process would make them."""
        self.pipeline = Choking(self.db, worlds.settings(), REGISTRY, worlds.IDS)
        self.pipeline.choke(ValueError("nothing"))
        out = EvidenceOut(Quiet(), self.clock)
        told = Log(self.told, self.clock)
        self.loop = Loop(self.pipeline, self.log, Quiet(), out, self.clock, told)

    def write(self, frames: int) -> None:
        """So many frames of a row in the log."""
        self.log.write([self.traffic.predictions(1)[0] for _ in range(frames)])

    def write_both(self, pairs: int) -> list[Offset]:
        """So many frames of version 1, each followed by one of version 2; the places of the latter."""
        begins = self.log.end().row
        for _ in range(pairs):
            self.log.write([self.traffic.predictions(1)[0], self.other.predictions(1)[0]])
        return [Offset(1, begins + 2 * place) for place in range(1, pairs + 1)]

    def rounds(self, most: int = 200) -> int:
        """Go round until the log is read; how many rounds failed."""
        left = most

        def enough(_waited: float) -> bool:
            nonlocal left
            left -= 1
            return left == 0 or self.pipeline.offset == self.log.end()

        self.loop.run(poll=0.0, catch_up=0.0, enough=enough)
        return sum(self.loop.errors.values())

    def taken(self) -> list[bytes]:
        """The ids of the predictions that were taken in, in order."""
        return [found for (found,) in self.db.execute("SELECT id FROM predictions ORDER BY seq")]

    def count(self, name: str, **labels: str) -> int:
        """What was counted of it."""
        return self.pipeline.tally.counts.get(metrics.key(name, **labels), 0)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[], World]]:
    """A maker of worlds, each in a folder of its own."""
    made: list[World] = []

    def one() -> World:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(World(folder))
        return made[-1]

    yield one
    for world in made:
        world.db.close()


OF_PREDICTIONS = {"model": worlds.MODEL, "version": "1", "kind": "prediction"}


@pytest.mark.parametrize(
    "error", [OverflowError("too large"), sqlite3.IntegrityError("no"), FrameError("has no column x")]
)
def test_a_frame_that_fails_every_round_is_left_out(make: Callable[[], World], error: Exception) -> None:
    """It is tried by itself a few times, then told and counted, and every other frame is taken in once."""
    choked, spared = make(), make()
    for world in (choked, spared):
        world.write(10)
    choked.pipeline.choke(error, Offset(1, 4))
    assert choked.rounds() == 1 + TRIES
    assert choked.count(metrics.BAD_FRAMES, reason="cannot be taken in") == 1
    assert choked.count(metrics.ROWS, **OF_PREDICTIONS) == 9
    assert choked.told.getvalue().count("frame-left-out model=loans version=1 offset=000001:4") == 1
    assert str(error) in choked.told.getvalue()
    spared.rounds()
    whole = spared.taken()
    assert choked.taken() == whole[:3] + whole[4:]
    choked.pipeline.choke(error)
    choked.write(1)
    assert choked.rounds() == 1 + TRIES


def test_a_frame_that_no_state_can_hold_does_not_outlive_a_restart(make: Callable[[], World]) -> None:
    """What fails as the round is written is found as well; a monitor that starts afterwards reads on."""
    world = make()
    world.write(3)
    world.log.write([POISON])
    world.write(3)
    assert world.rounds() == 1 + TRIES
    world.start()
    assert world.pipeline.offset == world.log.end()
    assert world.count(metrics.ROWS, **OF_PREDICTIONS) == 6
    world.write(1)
    assert world.rounds() == 0


@pytest.mark.parametrize("error", [sqlite3.OperationalError("disk is full"), OSError("gone")])
def test_what_is_no_frames_fault_leaves_none_out(make: Callable[[], World], error: Exception) -> None:
    """However long a disk is full, the round waits for it, and nothing is lost."""
    world = make()
    world.write(3)
    world.pipeline.choke(error, Offset(1, 2))
    assert world.rounds(20) == 20
    world.pipeline.choke(error)
    world.rounds()
    assert world.count(metrics.ROWS, **OF_PREDICTIONS) == 3


def test_where_every_frame_fails_the_program_ends(make: Callable[[], World]) -> None:
    """A few frames in a row may be at fault; more are not, and the log waits, however often it is started."""
    world = make()
    world.write(4 * IN_A_ROW)
    for _ in range(3):
        world.pipeline.choke(RuntimeError("a bug"), *(Offset(1, row) for row in range(1, 4 * IN_A_ROW)))
        with pytest.raises(RuntimeError, match="a bug"):
            world.rounds(10 * IN_A_ROW)
        assert world.count(metrics.BAD_FRAMES, reason="cannot be taken in") == IN_A_ROW
        world.start()
    world.rounds()
    assert world.count(metrics.ROWS, **OF_PREDICTIONS) == 3 * IN_A_ROW
    assert world.pipeline.left_out == 0


OF_OTHER = {**OF_PREDICTIONS, "version": "2"}


def test_a_version_whose_every_frame_fails_does_not_slow_the_others(make: Callable[[], World]) -> None:
    """After a few in a row its frames are tried once, each alone; every other is taken in, once, in order."""
    choked, spared = make(), make()
    for world in (choked, spared):
        bad = world.write_both(100)
    choked.pipeline.choke(ValueError("a bug"), *bad)
    assert choked.rounds() == 1 + KNOWN * TRIES
    assert choked.count(metrics.BAD_FRAMES, reason="cannot be taken in") == 100
    assert choked.count(metrics.ROWS, **OF_PREDICTIONS) == 100
    assert choked.count(metrics.ROWS, **OF_OTHER) == 0
    spared.rounds()
    assert choked.taken() == spared.taken()[::2]
    assert choked.told.getvalue().count("frame-left-out") == len([1, 2, 4, 8, 16, 32, 64])
    assert "in_a_row=64" in choked.told.getvalue()


def test_a_version_that_can_be_taken_in_again_is(make: Callable[[], World]) -> None:
    """Its first good frame clears it: the next one that fails has all its tries, and the log no gap else."""
    world = make()
    world.pipeline.choke(ValueError("a bug"), *world.write_both(10))
    failed = world.rounds()
    world.pipeline.choke(ValueError("none"))
    places = world.write_both(10)
    world.pipeline.choke(ValueError("another"), places[5])
    assert world.rounds() == failed + TRIES
    assert world.count(metrics.ROWS, **OF_OTHER) == 9
    assert world.count(metrics.ROWS, **OF_PREDICTIONS) == 20


def test_frames_of_a_version_that_is_known_to_fail_end_no_program(make: Callable[[], World]) -> None:
    """However many of them come with none between, for others were taken in; where all fail it does end."""
    world = make()
    bad = world.write_both(KNOWN + 1)
    row = world.log.end().row
    world.log.write([world.other.predictions(1)[0] for _ in range(3 * IN_A_ROW)])
    world.pipeline.choke(ValueError("a bug"), *bad, *(Offset(1, row + 1 + one) for one in range(99)))
    failed = world.rounds()
    assert failed == 1 + KNOWN * TRIES
    assert world.count(metrics.BAD_FRAMES, reason="cannot be taken in") == KNOWN + 1 + 3 * IN_A_ROW
    world.write(2 * IN_A_ROW)
    with pytest.raises(ValueError, match="a bug"):
        world.rounds()
    assert world.count(metrics.BAD_FRAMES, reason="cannot be taken in") == KNOWN + 1 + 4 * IN_A_ROW


def test_a_restart_amid_frames_that_fail_takes_every_other_in_once(make: Callable[[], World]) -> None:
    """Who fails is found anew, and nothing is read twice or left out but what fails."""
    world = make()
    bad = world.write_both(60)
    for most in (5, 14, 15, 40, 200):
        world.pipeline.choke(ValueError("a bug"), *bad)
        world.rounds(most)
        world.start()
    assert world.count(metrics.ROWS, **OF_PREDICTIONS) == 60
    assert world.count(metrics.BAD_FRAMES, reason="cannot be taken in") == 60


def test_a_full_disk_leaves_nothing_out_of_a_version_that_failed(make: Callable[[], World]) -> None:
    """A version that is known to fail is tried once, but what fails must be its frame, and not the disk."""
    world = make()
    world.pipeline.choke(ValueError("a bug"), *world.write_both(10))
    failed = world.rounds()
    more = world.write_both(1)
    world.pipeline.choke(sqlite3.OperationalError("disk is full"), *more)
    assert world.rounds(5) == failed + 5
    world.pipeline.choke(ValueError("none"))
    world.rounds()
    assert world.count(metrics.ROWS, **OF_OTHER) == 1
