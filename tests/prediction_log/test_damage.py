"""Damage: how many rows went with a segment is known exactly, bounded from above, or bounded from below."""

from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from groundwork.clock import FakeClock
from prediction_log import damage
from prediction_log import segment_file as files
from prediction_log.damage import AT_LEAST, AT_MOST, EXACT, Damage
from prediction_log.record import Kind, loss_schema
from prediction_log.segment_sink import SegmentSink
from tests.prediction_log import samples

PAGE: Final = 4096
ROWS: Final = 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three segments: 6 rows of stream 1 in the first, 9 and 3 of streams 1 and 2 in the second, 3 behind."""
    with closing(SegmentSink(tmp_path, clock=FakeClock(1_000))) as sink:
        for segment in (((1, 0), (1, 3)), ((1, 6), (2, 0), (1, 9), (1, 12)), ((1, 15),)):
            sink.rotate(older_than=1 << 62)
            sink.write([samples.make_frame(first, ROWS, stream=stream) for stream, first in segment])
    for path in tmp_path.glob("*.seg-*"):
        path.unlink()
    return tmp_path


def spoil(path: Path, start: int) -> None:
    """Overwrite the file from byte `start` on."""
    with path.open("r+b") as file:
        file.seek(start)
        file.write(bytes(path.stat().st_size - start))


def test_an_index_that_can_be_read_counts_exactly(folder: Path) -> None:
    """Whatever is wrong elsewhere, the rows beside the bodies are the truth."""
    path = files.segment_path(folder, 2)
    assert damage.measure(folder, 2, path, newest=False) == Damage(2, 12, EXACT)


def test_neighbours_bound_what_cannot_be_counted(folder: Path) -> None:
    """The sequences before and behind the segment leave at most so many rows; the log's own are no rows."""
    with closing(SegmentSink(folder, clock=FakeClock(1_000))) as sink:
        sink.note(Kind.LOSS, loss_schema(), Damage(9, 1, EXACT).columns(1), rows=1)
    path = files.segment_path(folder, 2)
    spoil(path, 0)
    assert damage.measure(folder, 2, path, newest=False) == Damage(2, 12, AT_MOST)
    spoil(files.segment_path(folder, 1), 0)
    assert damage.measure(folder, 1, files.segment_path(folder, 1), newest=False) == Damage(1, 18, AT_MOST)


def test_of_the_newest_only_what_is_read_is_known(folder: Path) -> None:
    """Nothing stands behind it that could say more."""
    path = files.segment_path(folder, 3)
    spoil(path, 0)
    assert damage.measure(folder, 3, path, newest=True) == Damage(3, 0, AT_LEAST)


@pytest.mark.parametrize("start", range(PAGE, 6 * PAGE, PAGE))
def test_no_damage_is_an_error(folder: Path, start: int) -> None:
    """Wherever the file is spoilt, there is an answer, and it is never below what is there to read."""
    path = files.segment_path(folder, 2)
    spoil(path, min(start, path.stat().st_size - 1))
    found = damage.measure(folder, 2, path, newest=False)
    assert found.rows <= 12
    assert found.rows == 12 or found.reason == EXACT
