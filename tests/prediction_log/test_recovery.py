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
from prediction_log.recovery import recover_slot
from prediction_log.segments import SegmentSink
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
    assert recover_slot(tmp_path, log) == 10
    assert [path.name for path in tmp_path.iterdir()] == ["counters"]
    assert recover_slot(tmp_path, log) == 0
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
    assert recover_slot(tmp_path, log) == 2
    assert log.end() == Offset(1, 2)


def test_losses_of_a_dead_worker_are_told(tmp_path: Path) -> None:
    """What was lost shortly before the death travels with the recovered frames."""
    log = MemoryLog()
    file = samples.row_file(tmp_path, row_capacity=2)
    for time in range(7):
        file.append(samples.columns(time, 1))
    recover_slot(tmp_path, log)
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
        assert recover_slot(slot, MemoryLog()) == 2
    assert list(slot.iterdir()) == []
    kept = tmp_path / "unreadable" / "7-1.rows.unreadable"
    assert kept.read_bytes() == bytes(content)
    assert str(kept) in caplog.text


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
