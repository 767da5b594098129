"""Bringing row files into the log."""

import asyncio
import io
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from gateway.flusher import Flusher
from gateway.metrics import FLUSH, LOG_ACCEPTED, LOG_FLUSH_FAILURES, LOG_SPOOLED, LOG_WAITING
from groundwork.clock import FakeClock
from groundwork.counters import Counters
from groundwork.logs import Log
from prediction_log.errors import SegmentError
from prediction_log.frame import decode
from prediction_log.memory import MemoryLog
from prediction_log.record import Kind, reject_schema
from prediction_log.rows import RowFile
from prediction_log.transport import START
from tests.facts import until


class Bench:
    """One row file, a log in memory that can be made to fail, and the flusher between them."""

    def __init__(self, folder: Path) -> None:
        self.rows = RowFile.create(
            folder / "1.rows",
            kind=Kind.REJECT,
            incarnation=1,
            stream=1,
            schema=reject_schema("m"),
            row_capacity=64,
            arena_bytes=4096,
        )
        self.log = MemoryLog()
        self.counters = Counters.create(folder / "counters")
        self.lines = io.StringIO()
        self.full = False
        self._sink = self.log.sink()
        self.flusher = Flusher(lambda: [self.rows], self, self.counters, 0.01, Log(self.lines, FakeClock()))

    def write(self, frames: Sequence[bytes]) -> int:
        """Write, unless the disk is full."""
        if self.full:
            raise SegmentError("000001.seg: no room; free disk space")
        return self._sink.write(frames)

    def reached(self, incarnation: int, stream: int) -> int:
        """As the log's own."""
        return self._sink.reached(incarnation, stream)

    def sync(self) -> None:
        """Nothing more to do."""

    def close(self) -> None:
        """Nothing to give back."""

    def sequences(self) -> list[int]:
        """The sequence numbers that are in the log, in its order."""
        frames = [decode(body) for _, body in self.log.source().read(START, 1000)]
        return [number for frame in frames for number in range(frame.first, frame.first + frame.rows)]

    def spooled(self) -> int:
        """What the counter says."""
        return self.counters.values[self.counters.series(LOG_SPOOLED, {"kind": "reject"})]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """An empty bench."""
    made = Bench(tmp_path)
    yield made
    made.full = False
    await made.flusher.close()


async def test_rows_reach_the_log_in_order(bench: Bench) -> None:
    """What was appended before a flush is in the log after it, once, and counted."""
    for _ in range(10):
        bench.rows.append({})
    assert await bench.flusher.flush()
    bench.rows.append({})
    assert await bench.flusher.flush()
    assert await bench.flusher.flush()
    assert bench.sequences() == list(range(11))
    assert bench.spooled() == 11


async def test_a_log_that_cannot_be_written_keeps_the_rows(bench: Bench) -> None:
    """While the disk is full nothing is lost before both buffers are, and all of it comes later, once."""
    bench.full = True
    for _ in range(3):
        bench.rows.append({})
        assert not await bench.flusher.flush()
    assert bench.sequences() == []
    bench.full = False
    assert await bench.flusher.close()
    assert bench.sequences() == [0, 1, 2]
    assert (bench.rows.lost, bench.spooled()) == (0, 3)


async def test_a_disk_that_was_full_for_days_is_tried_again(bench: Bench) -> None:
    """However often a flush has failed, that is told now and then, and the next may succeed."""
    bench.full = True
    bench.rows.append({})
    for _ in range(1100):
        assert not await bench.flusher.flush()
    assert bench.lines.getvalue().count("log-not-written") == 11
    bench.full = False
    running = asyncio.create_task(bench.flusher.run())
    waiter = asyncio.create_task(bench.flusher.committed())
    await until(lambda: bench.sequences() == [0], "the row is in the log")
    assert await waiter
    await bench.flusher.close()
    await running


async def test_full_buffers_hurry_no_disk(bench: Bench) -> None:
    """While the log cannot be written a look wakes nothing: the next flush waits for its time."""
    begun: list[object] = []

    def files() -> list[RowFile]:
        begun.append(None)
        return [bench.rows]

    slow = Flusher(files, bench, bench.counters, 3600.0, Log(bench.lines, FakeClock()))
    bench.full = True
    while not bench.rows.full_enough:
        bench.rows.append({})
    assert not await slow.flush()
    running = asyncio.create_task(slow.run())
    for _ in range(20):
        slow.look()
        slow.hurry()
        await asyncio.sleep(0)
    assert len(begun) == 1
    bench.full = False
    await slow.close()
    await running
    assert bench.sequences() == list(range(bench.rows.next_sequence))


async def test_close_flushes_both_buffers(bench: Bench) -> None:
    """At the end the filled buffer and the one being filled are written."""
    bench.rows.append({})
    bench.rows.swap()
    bench.rows.append({})
    assert await bench.flusher.close()
    assert bench.sequences() == [0, 1]


async def test_close_says_when_the_log_could_not_be_written(bench: Bench) -> None:
    """A stop with a full disk ends, and tells that rows stayed in the slot."""
    bench.full = True
    bench.rows.append({})
    assert not await bench.flusher.close()


async def test_runs_by_itself_and_hurries_when_half_full(bench: Bench) -> None:
    """The running flusher writes within its interval, and at once when a look finds a buffer half full."""
    slow = Flusher(lambda: [bench.rows], bench, bench.counters, 3600.0, Log(bench.lines, FakeClock()))
    running = asyncio.create_task(slow.run())
    await asyncio.sleep(0)
    bench.rows.append({})
    slow.look()
    assert bench.sequences() == []
    while not bench.rows.full_enough:
        bench.rows.append({})
    slow.look()
    await until(lambda: bool(bench.sequences()), "the rows are in the log")
    await slow.close()
    await running


async def test_a_buffer_that_was_full_before_anybody_looked_is_flushed_at_once(bench: Bench) -> None:
    """Who appends says that only the other buffer is left."""
    slow = Flusher(lambda: [bench.rows], bench, bench.counters, 3600.0, Log(bench.lines, FakeClock()))
    running = asyncio.create_task(slow.run())
    await asyncio.sleep(0)
    while not bench.rows.handed_over:
        bench.rows.append({})
    handed_over = bench.rows.next_sequence - 1
    slow.hurry()
    await until(lambda: bool(bench.sequences()), "the rows are in the log")
    assert bench.sequences()[:handed_over] == list(range(handed_over))
    await slow.close()
    await running


async def test_rows_appended_while_flushing_are_not_lost(bench: Bench) -> None:
    """Appends go on during flushes; every sequence number is in the log exactly once."""
    running = asyncio.create_task(bench.flusher.run())
    for _ in range(40):
        for _ in range(20):
            bench.rows.append({})
        await bench.flusher.flush()
    await bench.flusher.close()
    await running
    assert bench.sequences() == list(range(800))
    assert bench.rows.lost == 0


async def test_who_follows_the_log_has_each_frame_once(bench: Bench) -> None:
    """Frames are handed on after the flush that wrote them, and not while the log cannot be written."""
    seen: list[list[int]] = []
    bench.flusher.after = lambda frames: seen.append([decode(body).first for body in frames])
    bench.rows.append({})
    bench.full = True
    assert not await bench.flusher.flush()
    bench.full = False
    assert await bench.flusher.flush()
    assert await bench.flusher.flush()
    bench.rows.append({})
    assert await bench.flusher.flush()
    assert seen == [[], [0], [], [1]]


async def test_a_flush_that_was_cut_is_handed_on_by_the_next(bench: Bench) -> None:
    """What the thread wrote after nobody waited for it any more comes with the following flush, once."""
    seen: list[int] = []
    bench.flusher.after = lambda frames: seen.extend(decode(body).first for body in frames)
    bench.rows.append({})
    cut = asyncio.create_task(bench.flusher.flush())
    await asyncio.sleep(0)
    cut.cancel()
    await asyncio.gather(cut, return_exceptions=True)
    bench.rows.append({})
    assert await bench.flusher.flush()
    assert await bench.flusher.flush()
    assert seen == bench.sequences() == [0, 1]


async def test_who_follows_the_log_harms_no_flush(bench: Bench) -> None:
    """What it raises is told; who waits for the log is told too that the rows are there."""

    def fail(_frames: Sequence[bytes]) -> None:
        raise ValueError("nobody foresaw this")

    bench.flusher.after = fail
    bench.rows.append({})
    waiting = asyncio.create_task(bench.flusher.committed())
    await asyncio.sleep(0)
    assert await bench.flusher.flush()
    assert await waiting
    assert bench.lines.getvalue().count("log-not-followed") == 1
    assert bench.sequences() == [0]


async def test_what_waits_and_what_fails_is_measured(bench: Bench) -> None:
    """Rows that cannot be written are shown as waiting, the failure is counted, and a flush is timed."""
    accepted = bench.counters.series(LOG_ACCEPTED, {"kind": "reject"})
    bench.counters.values[accepted] += 1
    bench.rows.append({})
    bench.full = True
    assert not await bench.flusher.flush()
    found = {(key.name, key.labels): value for key, value in bench.counters.read().items()}
    assert found[LOG_WAITING, (("kind", "reject"),)] == 1
    assert found[LOG_FLUSH_FAILURES, ()] == 1
    bench.full = False
    assert await bench.flusher.flush()
    read = bench.counters.read()
    assert {value for key, value in read.items() if key.name == LOG_WAITING} == {0}
    assert sum(value for key, value in read.items() if key.name == FLUSH.name) >= 1


async def test_silence_costs_no_thread(tmp_path: Path) -> None:
    """A flush that finds nothing hands nothing to the thread, and says that the worker is idle."""
    bench = Bench(tmp_path)
    before = threading.active_count()
    assert await bench.flusher.flush()
    assert bench.flusher.idle
    assert threading.active_count() == before
    await bench.flusher.close()


async def test_the_first_row_after_a_silence_is_seen(bench: Bench) -> None:
    """A look at an idle flusher's files begins the next flush as soon as there is a row."""
    running = asyncio.create_task(bench.flusher.run())
    await until(lambda: bench.flusher.idle, "nothing is there to flush")
    bench.rows.append({"id": bytes(16)})
    bench.flusher.look()
    assert not bench.flusher.idle
    await until(lambda: bench.sequences() == [0], "the row is in the log")
    running.cancel()
