"""Spills: a request that is larger than its buffers is in the log as every other, in its place and once."""

import itertools
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prediction_log.frame import Frame, decode
from prediction_log.memory import MemoryLog
from prediction_log.recovery import recover_slot
from prediction_log.rows import RowFile
from prediction_log.spill import MOST, Spill
from prediction_log.transport import START
from tests.prediction_log import samples

CAPACITY = 4


def opened(folder: Path) -> RowFile:
    """A row file with room for few rows."""
    return samples.row_file(folder, row_capacity=CAPACITY)


def drain(file: RowFile, log: MemoryLog) -> None:
    """Flush until nothing is left, as the flusher does at the end."""
    file.finish()
    while not file.empty:
        file.swap()
        body = file.take()
        assert body is not None
        assert log.write([body]) == 1
        file.release()


def frames(log: MemoryLog) -> list[Frame]:
    """What is in the log."""
    return [decode(body) for _, body in log.read(START, 1000)]


def times(log: MemoryLog) -> list[int]:
    """The times of all rows in the order of the log; in these tests a row's time is its sequence."""
    return [int(time) for frame in frames(log) for time in frame.array("time")]


@pytest.mark.parametrize("before", [0, 3])
def test_a_large_request_is_kept_whole(tmp_path: Path, before: int) -> None:
    """Its rows are one frame with all their values; its file lives until they are in the log."""
    file, log = opened(tmp_path), MemoryLog()
    if before:
        file.append(samples.columns(0, before), before)
    columns = samples.columns(before, 50) | {"city": [b"x" * 100] * 50}
    validity = np.zeros((50, 4), np.uint8)
    validity[7, 1] = 2
    assert file.append(columns, 50, validity) == before
    assert (file.next_sequence, file.lost, file.full_enough) == (before + 50, 0, True)
    assert len(list(tmp_path.iterdir())) == 2
    drain(file, log)
    assert times(log) == list(range(before + 50))
    large = frames(log)[-1]
    assert large.strings("city").tolist() == [b"x" * 100] * 50
    assert large.validity is not None
    assert large.validity.tolist() == validity.tolist()
    assert [path.name for path in tmp_path.iterdir()] == ["1.rows"]


Step = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 3)),
    st.tuples(st.just("append"), st.integers(CAPACITY + 1, 20)),
    st.tuples(st.just("skip"), st.integers(1, 3)),
    st.tuples(st.just("flush"), st.just(0)),
    st.tuples(st.just("begin"), st.integers(1, 20)),
    st.tuples(st.just("end"), st.just(0)),
    st.tuples(st.just("forget"), st.just(0)),
)


@given(steps=st.lists(Step, max_size=30), killed=st.booleans())
def test_nothing_is_lost_doubled_or_moved(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]], killed: Any
) -> None:
    """Whatever sizes come in whatever order, also when the process dies: rows are there once, in order."""
    folder = tmp_path_factory.mktemp("slot")
    file, log, kept = opened(folder), MemoryLog(), []
    begun: tuple[Spill, int, int] | None = None
    for what, rows in steps:
        first = file.next_sequence
        if what == "append":
            before = file.lost
            file.append(samples.columns(first, rows), rows)
            kept += [] if file.lost > before else list(range(first, first + rows))
        elif what == "skip":
            file.skip(rows)
        elif what == "begin":
            made = file.begin_large(samples.columns(first, rows), rows)
            begun = begun if made is None else (made, first, rows)
        elif what in {"end", "forget"} and begun is not None:
            kept += end(file, begun, wanted=what == "end")
            begun = None
        else:
            flush(file, log)
    if killed:
        recover_slot(folder, log, 0)
        assert list(folder.iterdir()) == []
    else:
        kept += end(file, begun, wanted=True) if begun is not None else []
        drain(file, log)
    assert times(log) == sorted(kept)
    told = frames(log)
    assert sum(frame.skipped for frame in told) == file.lost
    assert all(a.end == b.first for a, b in itertools.pairwise(told))


def end(file: RowFile, begun: tuple[Spill, int, int], *, wanted: bool) -> list[int]:
    """Write what was begun and end it; the numbers that are to be in the log."""
    spill, first, rows = begun
    assert spill.write()
    file.end_large(spill, rows, wanted=wanted)
    return list(range(first, first + rows)) if wanted else []


def flush(file: RowFile, log: MemoryLog) -> None:
    """One flush, as the flusher does it now and then."""
    file.swap()
    if (body := file.take()) is not None:
        log.write([body])
        file.release()


def test_a_kill_between_the_file_and_the_buffer_doubles_nothing(tmp_path: Path) -> None:
    """Rows that are in the spilled file and in the buffer still are spooled once."""
    file, log = opened(tmp_path), MemoryLog()
    file.append(samples.columns(0, 3), 3)
    held = (tmp_path / "1.rows").read_bytes()
    file.append(samples.columns(3, 9), 9)
    (tmp_path / "1.rows").write_bytes(held)
    assert recover_slot(tmp_path, log, 0).rows == 12
    assert times(log) == list(range(12))


def test_what_waits_is_bounded(tmp_path: Path) -> None:
    """While the log cannot be written, only so many large requests are kept; the others are counted lost."""
    file, log = opened(tmp_path), MemoryLog()
    for request in range(MOST + 2):
        file.append(samples.columns(request * 9, 9), 9)
    assert file.lost_by == {"full": 18, "oversized": 0}
    drain(file, log)
    assert times(log) == list(range(MOST * 9))
    assert sum(frame.skipped for frame in frames(log)) == 18


def test_rows_that_come_while_a_request_is_written_come_after_it(tmp_path: Path) -> None:
    """They are kept, and in the log once the request is: neither before it, nor where it was given up."""
    for wanted in (True, False):
        folder = tmp_path / str(wanted)
        folder.mkdir()
        file, log = opened(folder), MemoryLog()
        file.append(samples.columns(0, 2), 2)
        begun = file.begin_large(samples.columns(2, 9), 9)
        assert begun is not None
        assert file.append(samples.columns(11, 1), 1) == 11
        assert file.begin_large(samples.columns(12, 9), 9) is None
        flush(file, log)
        flush(file, log)
        assert times(log) == [0, 1]
        assert begun.write()
        file.end_large(begun, 9, wanted=wanted)
        drain(file, log)
        assert times(log) == [0, 1, *(range(2, 11) if wanted else ()), 11]
        assert [path.name for path in folder.iterdir()] == ["1.rows"]


class Slow:
    """Validity that is all valid, once it is let; whoever copies it waits."""

    def __init__(self, rows: int) -> None:
        self.asked, self.go = threading.Event(), threading.Event()
        self._rows = rows

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:  # noqa: FBT001
        """What is copied."""
        self.asked.set()
        assert self.go.wait(10)
        return np.zeros((self._rows, 4), dtype or np.uint8)


@pytest.mark.parametrize("dropped", ["before", "beside", "behind"])
def test_what_was_given_up_leaves_no_file(tmp_path: Path, dropped: str) -> None:
    """Whether nobody wants it before it is written, while a thread does so, or after: and nothing is lost."""
    file, log, slow = opened(tmp_path), MemoryLog(), Slow(9)
    begun = file.begin_large(samples.columns(0, 9), 9, slow)
    assert begun is not None
    writing = threading.Thread(target=begun.write)
    if dropped == "before":
        file.end_large(begun, 9, wanted=False)
        slow.go.set()
    writing.start()
    if dropped == "beside":
        assert slow.asked.wait(10)
        file.end_large(begun, 9, wanted=False)
    slow.go.set()
    writing.join()
    if dropped == "behind":
        file.end_large(begun, 9, wanted=False)
    assert [path.name for path in tmp_path.iterdir()] == ["1.rows"]
    file.append(samples.columns(9, 9), 9)
    drain(file, log)
    assert (times(log), file.lost) == (list(range(9, 18)), 0)


def test_a_begun_request_without_room_on_the_disk_is_counted(tmp_path: Path) -> None:
    """What could not be written is lost and told; so is nothing that only waits to be written."""
    file, log = opened(tmp_path), MemoryLog()
    begun = file.begin_large(samples.columns(0, 9), 9)
    assert begun is not None
    (tmp_path / ".1-00000000000000000000.rows.new").mkdir()
    assert not begun.write()
    (tmp_path / ".1-00000000000000000000.rows.new").rmdir()
    file.end_large(begun, 9)
    assert file.lost_by == {"full": 0, "oversized": 9}
    drain(file, log)
    assert [(frame.rows, frame.skipped) for frame in frames(log)] == [(0, 9)]


def test_a_request_without_room_on_the_disk_is_counted(tmp_path: Path) -> None:
    """Where its file cannot be made the rows are lost, told, and nothing is left behind."""
    file, log = opened(tmp_path), MemoryLog()
    (tmp_path / ".1-00000000000000000000.rows.new").mkdir()
    (tmp_path / ".1-00000000000000000000.rows.new" / "in the way").touch()
    file.append(samples.columns(0, 9), 9)
    assert file.lost_by == {"full": 0, "oversized": 9}
    drain(file, log)
    assert [(frame.rows, frame.skipped) for frame in frames(log)] == [(0, 9)]


@pytest.mark.parametrize("begun", [False, True])
def test_a_request_that_no_segment_could_hold_is_counted(tmp_path: Path, begun: bool) -> None:  # noqa: FBT001
    """Its rows are lost and told; nothing is allocated for them, and what comes after it is in the log."""
    file, log, rows = opened(tmp_path), MemoryLog(), 1 << 24
    if begun:
        spill = file.begin_large({}, rows)
        assert spill is not None
        assert not spill.write()
        file.end_large(spill, rows)
    else:
        file.append({}, rows)
    assert file.lost_by == {"full": 0, "oversized": rows}
    file.append(samples.columns(rows, 2), 2)
    drain(file, log)
    assert times(log) == [rows, rows + 1]
    assert [path.name for path in tmp_path.iterdir()] == ["1.rows"]


def test_a_large_request_leaves_the_disk_its_reserve(tmp_path: Path) -> None:
    """A file of its own takes no more of the disk than a row file may; the rows are lost and told."""
    file, log = samples.row_file(tmp_path, row_capacity=CAPACITY, reserve_bytes=1 << 60), MemoryLog()
    file.append(samples.columns(0, 9), 9)
    assert file.lost_by == {"full": 0, "oversized": 9}
    assert len(list(tmp_path.iterdir())) == 1
    drain(file, log)
    assert [(frame.rows, frame.skipped) for frame in frames(log)] == [(0, 9)]


@pytest.mark.parametrize("reserve", [0, 1 << 60])
def test_what_is_offered_is_kept_or_not_there_at_all(tmp_path: Path, reserve: int) -> None:
    """Offered rows take a file of their own like others; where they cannot, nothing is lost or used up."""
    file, log = samples.row_file(tmp_path, row_capacity=CAPACITY, reserve_bytes=reserve), MemoryLog()
    kept = 0
    for rows in (9, 3, 9, 9, 2, 9, 9, 1, 3, 4):
        first = file.next_sequence
        if file.offer(samples.columns(first, rows), rows):
            kept += rows
        assert file.next_sequence == kept
    assert (kept > CAPACITY + CAPACITY) is (reserve == 0)
    assert file.lost == 0
    drain(file, log)
    assert times(log) == list(range(kept))
