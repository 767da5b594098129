"""Recovery: a dead worker's rows reach the log once, however often and by whomever they are spooled."""

import logging
from pathlib import Path
from typing import Any

import pytest

from prediction_log import locate, record
from prediction_log.frame import decode
from prediction_log.ids import PredictionIds
from prediction_log.memory import MemoryLog
from prediction_log.reading import Reader, lost_rows
from prediction_log.record import Kind
from prediction_log.recovery import UNREADABLE_AT_MOST, UNREADABLE_ROWS, Taken, recover_slot
from prediction_log.segment_sink import SegmentSink
from prediction_log.transport import START, Offset
from tests.prediction_log import samples

IDS = PredictionIds(bytes(range(16)))


def fill(slot: Path, *, stream: int = 1) -> None:
    """A row file with 3 rows taken, 2 rows active, and its worker dead."""
    file = samples.row_file(slot, stream=stream)
    file.append(samples.columns(0, 3), 3)
    file.swap()
    file.append(samples.columns(3, 2), 2)


def test_every_row_is_spooled_once(tmp_path: Path) -> None:
    """All row files of the slot are spooled and removed; a second time there is nothing left."""
    log = MemoryLog()
    fill(tmp_path, stream=1)
    fill(tmp_path, stream=2)
    (tmp_path / "counters").write_bytes(b"not ours")
    assert recover_slot(tmp_path, log, 0).rows == 10
    assert [path.name for path in tmp_path.iterdir()] == ["counters"]
    assert recover_slot(tmp_path, log, 0).rows == 0
    found = [decode(body) for _, body in log.read(START, 10)]
    assert [(frame.stream, frame.first, frame.end) for frame in found] == [
        (1, 0, 3),
        (1, 3, 5),
        (2, 0, 3),
        (2, 3, 5),
    ]


def test_rows_that_were_spooled_already_are_skipped(tmp_path: Path) -> None:
    """A frame committed before the worker could release it is not new."""
    log = MemoryLog()
    file = samples.row_file(tmp_path)
    file.append(samples.columns(0, 3), 3)
    file.swap()
    file.append(samples.columns(3, 2), 2)
    body = file.take()
    assert body is not None
    log.write([body])
    assert recover_slot(tmp_path, log, 0).rows == 2
    assert log.end() == Offset(1, 2)


def test_losses_of_a_dead_worker_are_told(tmp_path: Path) -> None:
    """What was lost shortly before the death travels with the recovered frames."""
    log = MemoryLog()
    file = samples.row_file(tmp_path, row_capacity=2)
    for time in range(7):
        file.append(samples.columns(time, 1))
    recover_slot(tmp_path, log, 0)
    frames = Reader(log, START).read(10)
    assert sum(lost_rows(frame) for _, frame in frames) == file.lost == 3


def test_what_cannot_be_read_is_kept_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A row file with a broken half gives its good half, and stays when its slot goes."""
    slot = tmp_path / "7"
    slot.mkdir()
    fill(slot)
    path = slot / "1.rows"
    content = bytearray(path.read_bytes())
    content[0] ^= 0xFF
    path.write_bytes(content)
    with caplog.at_level(logging.ERROR):
        assert recover_slot(slot, MemoryLog(), 0).rows == 2
    assert list(slot.iterdir()) == []
    kept = tmp_path / "unreadable" / "7-1.rows.unreadable"
    assert kept.read_bytes() == bytes(content)
    assert str(kept) in caplog.text


def damage(path: Path, half: int, at: int) -> None:
    """Let a byte of one half be another one."""
    content = bytearray(path.read_bytes())
    content[half * (len(content) // 2) + at] ^= 0xFF
    path.write_bytes(content)


def told(log: MemoryLog) -> list[tuple[int, int, int, int, bytes]]:
    """Kind, first, end, and of a loss how many rows and why: all that the log holds."""
    found = []
    for _, frame in Reader(log, START).read(100):
        reason = frame.strings("reason").tolist()[0] if frame.kind == Kind.LOSS else b""
        found.append((frame.kind, frame.first, frame.end, lost_rows(frame), reason))
    return found


BEHIND_THE_HEAD = 80
FILLED, ACTIVE = 0, 1


@pytest.mark.parametrize(
    ("half", "rows", "wanted"),
    [
        (FILLED, 2, [(Kind.LOSS, 0, 3, 3, UNREADABLE_ROWS), (Kind.PREDICTION, 3, 5, 0, b"")]),
        (ACTIVE, 3, [(Kind.PREDICTION, 0, 3, 0, b""), (Kind.LOSS, 3, 5, 2, UNREADABLE_ROWS)]),
    ],
)
def test_rows_behind_a_head_that_can_be_read_are_counted_exactly(
    tmp_path: Path, half: int, rows: int, wanted: list[tuple[int, int, int, int, bytes]]
) -> None:
    """Where only what follows the head of a half is no frame, the log is told how many rows it had, once."""
    log = MemoryLog()
    fill(tmp_path / "7")
    path = tmp_path / "7" / "1.rows"
    damage(path, half, BEHIND_THE_HEAD)
    damaged = path.read_bytes()
    lost = 5 - rows
    assert recover_slot(path.parent, log, 0) == Taken(rows, lost)
    assert told(log) == wanted
    path.write_bytes(damaged)
    assert recover_slot(path.parent, log, 0) == Taken()


def test_rows_without_a_head_are_counted_as_far_as_the_frames_around_them_tell(tmp_path: Path) -> None:
    """Between the log and a readable frame at most the numbers in between are lost."""
    log = MemoryLog()
    fill(tmp_path / "7")
    damage(tmp_path / "7" / "1.rows", FILLED, 0)
    assert recover_slot(tmp_path / "7", log, 0) == Taken(2, 3)
    assert told(log) == [(Kind.LOSS, 0, 3, 3, UNREADABLE_AT_MOST), (Kind.PREDICTION, 3, 5, 0, b"")]


def test_what_the_last_half_without_a_head_held_is_not_made_up(tmp_path: Path) -> None:
    """Behind the last frame that can be read nothing bounds what was there: no number is told."""
    log = MemoryLog()
    fill(tmp_path / "7")
    damage(tmp_path / "7" / "1.rows", ACTIVE, 0)
    assert recover_slot(tmp_path / "7", log, 0) == Taken(3)
    assert told(log) == [(Kind.PREDICTION, 0, 3, 0, b"")]


def test_rows_lost_before_are_lost_once(tmp_path: Path) -> None:
    """What a worker had lost for want of room is in the loss of its damaged half, and no new loss."""
    log = MemoryLog()
    file = samples.row_file(tmp_path / "7", row_capacity=2)
    for time in range(7):
        file.append(samples.columns(time, 1))
    assert file.lost == 3
    damage(file.path, ACTIVE, BEHIND_THE_HEAD)
    assert recover_slot(tmp_path / "7", log, 0) == Taken(2, 2)
    assert [(first, end, lost) for _, first, end, lost, _ in told(log)] == [(0, 2, 0), (2, 7, 5)]


def test_a_damaged_half_that_the_log_has_is_no_loss(tmp_path: Path) -> None:
    """Rows that were committed before their worker could release them are not told as lost."""
    log = MemoryLog()
    file = samples.row_file(tmp_path / "7")
    file.append(samples.columns(0, 3), 3)
    file.swap()
    body = file.take()
    assert body is not None
    log.write([body])
    file.append(samples.columns(3, 2), 2)
    damage(file.path, FILLED, BEHIND_THE_HEAD)
    assert recover_slot(tmp_path / "7", log, 0) == Taken(2)
    assert [(kind, lost) for kind, _, _, lost, _ in told(log)] == [(Kind.PREDICTION, 0)] * 2


def test_a_head_that_names_another_stream_is_not_believed(tmp_path: Path) -> None:
    """What a half says of itself counts only as far as it fits the half beside it."""
    log = MemoryLog()
    fill(tmp_path / "7")
    path = tmp_path / "7" / "1.rows"
    damage(path, FILLED, BEHIND_THE_HEAD)
    damage(path, FILLED, 8)  # its incarnation
    assert recover_slot(path.parent, log, 0) == Taken(2, 3)
    assert told(log)[0] == (Kind.LOSS, 0, 3, 3, UNREADABLE_AT_MOST)


@pytest.mark.parametrize(
    ("columns", "wanted"),
    [
        ({"count": [3, 4], "reason": [b"full", b"unreadable"]}, 7),
        ({"count": [3, 4], "reason": [b"full", b"retention"]}, 3),
    ],
)
def test_a_loss_frame_counts_what_is_lost_for_good(columns: dict[str, Any], wanted: int) -> None:
    """Rows dropped by retention could be read before, and are no loss of a reader that was past them."""
    whole = {"time": 0, "kind": 1, "incarnation": 1, "stream": 1, "upto": [b"", b""]} | columns
    body = samples.make_frame(0, 2, kind=Kind.LOSS, schema=record.loss_schema(), columns=whole, skipped=2)
    assert lost_rows(decode(body)) == wanted + 2


def test_an_id_leads_to_its_rows(tmp_path: Path) -> None:
    """Over several segments and streams, an id is found where it is and nowhere else."""
    sink = SegmentSink(tmp_path, segment_bytes=1)
    for first in (0, 4):
        identifiers = [list(IDS.encode(1, 1, first + row // 2 * 2)) for row in range(4)]
        columns = samples.columns(first, 4) | {"id": identifiers, "row": [0, 1, 0, 1]}
        sink.write([samples.make_frame(first, 4, columns=columns), samples.make_frame(first, 4, stream=2)])
    sink.close()
    found = locate.locate(tmp_path, IDS.encode(1, 1, 6), IDS)
    assert found is not None
    assert (found.offset, found.frame.first, found.rows.tolist()) == (Offset(2, 1), 4, [2, 3])
    for stranger in (
        IDS.encode(1, 1, 8),
        IDS.encode(1, 1, 5),
        IDS.encode(9, 1, 0),
        IDS.encode(1, 2, 0),
        b"x" * 16,
    ):
        assert locate.locate(tmp_path, stranger, IDS) is None
