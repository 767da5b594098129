"""Deleting from a data folder; what is overwritten is tested with the log."""

import contextlib
from pathlib import Path

import numpy as np
import pytest

from driftgate.deletion import SHADOW_SECONDS, delete
from driftgate.errors import CommandError
from groundwork.clock import FakeClock, SystemClock
from groundwork.files import FolderLock
from groundwork.slots import Slot
from prediction_log.deletion import Request
from prediction_log.frame import encode
from prediction_log.ids import PredictionIds, load_key
from prediction_log.record import Kind, pair_schema
from prediction_log.segment_sink import SegmentSink
from tests.prediction_log import samples

OF_PAIRS = pair_schema("loan", "1", "2", [("label", "<i8", ())])


def folder(data: Path) -> Slot:
    """A data folder with a log and a live slot; frames of stream 1 are of the slot's incarnation."""
    slot = Slot.create(data / "slots", place=0)
    load_key(data)
    sink = SegmentSink(data / "log", clock=FakeClock())
    sink.write([samples.make_frame(0, 1, incarnation=99)])
    sink.close()
    return slot


def test_a_folder_without_a_log_is_named(tmp_path: Path) -> None:
    """Nothing is made in a folder that holds no log."""
    with pytest.raises(CommandError, match=str(tmp_path)):
        delete(tmp_path, Request("loan", (bytes(16),), "ada", "test"), SystemClock())
    assert list(tmp_path.iterdir()) == []


def test_rows_that_stay_in_a_slot_are_not_passed_over(tmp_path: Path) -> None:
    """While a gateway runs that does not write, nothing is deleted, and that is said."""
    slot = folder(tmp_path)
    lock = FolderLock.acquire(tmp_path)
    rows = samples.row_file(slot.folder, incarnation=slot.incarnation)
    rows.append({})
    request = Request("loan", (bytes(16),), "ada", "test")
    with pytest.raises(CommandError, match="rows of 1 streams"):
        delete(tmp_path, request, SystemClock(), patience=0.1)
    lock.release()
    slot.close()


def test_the_pair_of_what_was_just_answered_is_waited_for(tmp_path: Path) -> None:
    """Where a shadow runs its pair comes before anything is deleted; where none does nobody waits."""
    slot, waits = folder(tmp_path), list[float]()
    with FolderLock.acquire(tmp_path):
        identifier = PredictionIds(load_key(tmp_path)).encode(slot.incarnation, 1, 0)
        with contextlib.closing(SegmentSink(tmp_path / "log", clock=FakeClock())) as sink:
            values = {**samples.columns(0, 1), "id": np.frombuffer(identifier, np.uint8).reshape(1, 16)}
            sink.write([samples.make_frame(0, 1, incarnation=slot.incarnation, columns=values)])

            def answer(seconds: float) -> None:
                """The shadow runs meanwhile."""
                waits.append(seconds)
                sink.write([pair(identifier, slot.incarnation)])

            request = Request("loan", (identifier,), "ada", "test")
            assert delete(tmp_path, request, SystemClock(), rest=answer).pairs == 0
            samples.row_file(slot.folder, stream=2, kind=Kind.PAIR, schema=OF_PAIRS)
            done = delete(tmp_path, request, SystemClock(), rest=answer)
    assert (done.predictions, done.pairs, waits) == (1, 1, [SHADOW_SECONDS])
    slot.close()


def pair(identifier: bytes, incarnation: int) -> bytes:
    """The pair of a prediction's only row."""
    outcomes = {"answered_by": 1, "stable_outcome": 1, "candidate_outcome": 1}
    values = {"stable.label": 1, "candidate.label": 0}
    meta = {"id": np.frombuffer(identifier, np.uint8).reshape(1, 16), "row": 0, "time": 1, "revision": 7}
    return encode(
        Kind.PAIR,
        OF_PAIRS,
        {**meta, **outcomes, **values},
        rows=1,
        incarnation=incarnation,
        stream=3,
        first=0,
    )


def test_what_a_dead_worker_left_is_brought_into_the_log_first(tmp_path: Path) -> None:
    """Over a folder that nobody runs on, rows in slots are recovered and deleted like the others."""
    slot = folder(tmp_path)
    rows = samples.row_file(slot.folder, incarnation=slot.incarnation)
    identifier = PredictionIds(load_key(tmp_path)).encode(slot.incarnation, 1, 0)
    rows.append({"id": identifier, "city": b"bern"})
    slot.close()
    done = delete(tmp_path, Request("loan", (identifier,), "ada", "test"), SystemClock())
    assert (done.predictions, done.unknown) == (1, ())
    assert not [path for path in (tmp_path / "log").iterdir() if b"bern" in path.read_bytes()]
