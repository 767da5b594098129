"""Segments as they are written: privacy, rotation cut short, power cuts, and files that were taken away."""

import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from groundwork.boot import boot_id
from groundwork.clock import FakeClock
from groundwork.errors import NoRoomError, StoreError
from prediction_log import segment_file as files
from prediction_log.errors import SegmentError
from prediction_log.record import Kind, deletion_schema
from prediction_log.segment_sink import SegmentSink
from prediction_log.segment_source import SegmentSource
from prediction_log.transport import START, Offset
from tests.prediction_log import samples
from tests.prediction_log.conftest import Held
from tests.prediction_log.segmented import firsts, sink_of

DELETED: dict[str, Any] = {"id": 0, "row": 0, "time": 1, "reason": [b""], "actor": [b""]}


def test_files_are_private_and_named_by_number(tmp_path: Path, held: Held) -> None:
    """A segment is 0600 in a folder that is 0700."""
    folder = tmp_path / "log"
    sink = sink_of(held, folder)
    sink.write([samples.make_frame()])
    sink.close()
    assert [path.name for path in folder.iterdir()] == ["000001.seg"]
    assert stat.S_IMODE((folder / "000001.seg").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_frame_is_indexed_by_what_it_holds(tmp_path: Path, held: Held) -> None:
    """The row beside a frame's body says kind, model, version, times, rows and sequences."""
    sink_of(held, tmp_path).write([samples.make_frame(5, 3, stream=9)])
    connection = sqlite3.connect(tmp_path / "000001.seg")
    row = connection.execute("SELECT * FROM frames").fetchone()
    connection.close()
    assert row[:-1] == (1, 1, "loan", "1", 5, 7, 3, 1, 9, 5, 8)


@pytest.mark.parametrize("sealed_too", [False, True])
def test_a_rotation_cut_short_is_done_again(tmp_path: Path, held: Held, sealed_too: bool) -> None:  # noqa: FBT001
    """Killed after the next file was made, writers write to the old one still, and carry on later."""
    sink = sink_of(held, tmp_path)
    sink.write([samples.make_frame(0)])
    old = files.open_segment(tmp_path, 1)
    following = files.open_segment(tmp_path, 2)
    files.begin_segment(following, 2, 0, boot_id(), files.sequences(old))
    if sealed_too:
        old.execute("UPDATE segment SET sealed = 1")
    following.close()
    old.close()
    for writer in (sink, sink_of(held, tmp_path)):
        assert writer.write([samples.make_frame(0)]) == 0
    assert sink.write([samples.make_frame(3)]) == 1
    assert held(SegmentSource(tmp_path)).end() == (Offset(2, 1) if sealed_too else Offset(1, 2))
    assert sink_of(held, tmp_path, segment_bytes=1).write([samples.make_frame(3), samples.make_frame(6)]) == 1
    assert firsts(tmp_path) == [0, 3, 6]


def test_a_power_cut_never_gives_a_row_number_twice(tmp_path: Path, held: Held) -> None:
    """After a reboot a new segment is begun, so that a reader ahead of what survived misses nothing new."""
    sink = sink_of(held, tmp_path, boot="before")
    sink.write([samples.make_frame(0), samples.make_frame(3)])
    ahead = Offset(1, 2 + 40)  # a reader had seen 40 frames more, which the disk never got
    sink_of(held, tmp_path, boot="after").write([samples.make_frame(6)])
    assert [offset for offset, _ in held(SegmentSource(tmp_path)).read(ahead, 10)] == [Offset(2, 1)]
    assert sink.write([samples.make_frame(6), samples.make_frame(9)]) == 1
    assert firsts(tmp_path) == [0, 3, 6, 9]


def forbid(folder: Path, what: str) -> None:
    """Let the table `segment` of the first segment refuse this, as a full disk or a lock would."""
    with closing(files.open_segment(folder, 1)) as connection:
        connection.execute(f"CREATE TRIGGER no BEFORE {what} ON segment BEGIN SELECT RAISE(ABORT, 'no'); END")


def allow(folder: Path) -> None:
    """Refuse nothing any more."""
    with closing(files.open_segment(folder, 1)) as connection:
        connection.execute("DROP TRIGGER no")


def test_a_segment_of_another_boot_is_not_written_to_after_a_failure_either(
    tmp_path: Path, held: Held
) -> None:
    """Where it could not be left at the first try, it is left at the next, before anything is written."""
    sink_of(held, tmp_path, boot="before").write([samples.make_frame(0)])
    forbid(tmp_path, "UPDATE")
    sink = sink_of(held, tmp_path, boot="after")
    for _ in range(2):
        with pytest.raises(SegmentError, match="000001"):
            sink.write([samples.make_frame(3)])
    allow(tmp_path)
    assert sink.write([samples.make_frame(3)]) == 1
    assert [offset for offset, _ in held(SegmentSource(tmp_path)).read(START, 9)] == [
        Offset(1, 1),
        Offset(2, 1),
    ]


def test_a_segment_that_could_not_be_begun_is_not_written_to(tmp_path: Path, held: Held) -> None:
    """It is begun at the next try, before its first frame, and left when it is full as any other."""
    files.open_segment(tmp_path, 1).close()
    forbid(tmp_path, "INSERT")
    sink = sink_of(held, tmp_path, segment_bytes=1)
    for _ in range(2):
        with pytest.raises(SegmentError, match="000001"):
            sink.write([samples.make_frame(0)])
    allow(tmp_path)
    assert sink.write([samples.make_frame(0)]) == 1
    assert sink.rotate(older_than=1_001)
    assert sink.write([samples.make_frame(3)]) == 1
    assert files.numbers(tmp_path) == [1, 2]


def test_a_log_that_was_taken_away_whole_is_begun_again(tmp_path: Path, held: Held) -> None:
    """A sink that comes out of a sealed segment into nothing begins the next one as any other."""
    sleeper, busy = sink_of(held, tmp_path), sink_of(held, tmp_path, segment_bytes=1)
    sleeper.write([samples.make_frame(0)])
    busy.write([samples.make_frame(3)])
    busy.close()
    for path in tmp_path.iterdir():
        path.unlink()
    sleeper.write([samples.make_frame(6)])
    assert sleeper.rotate(older_than=1_001)


def test_streams_of_workers_long_gone_are_left_behind(tmp_path: Path, held: Held) -> None:
    """A segment carries on what wrote in the one before, what is young, and the log's own; no more."""
    sink = sink_of(held, tmp_path)
    sink.write([samples.make_frame(0, incarnation=worker) for worker in range(1, 9)])
    sink.note(Kind.DELETION, deletion_schema("loan"), DELETED, rows=1)
    sink.rotate(older_than=1 << 62)
    sink.write([samples.make_frame(3, incarnation=2)])
    connection = files.open_segment(tmp_path, 2)
    assert [worker for worker, _, _ in files.carried(connection, most=3)] == [0, 2, 6, 7, 8]
    assert [worker for worker, _, _ in files.carried(connection)] == list(range(9))
    connection.close()


def test_a_segment_is_begun_on_the_disk(tmp_path: Path, held: Held) -> None:
    """Also the first one, and under a sink that syncs now and then: else a cut lets its rows begin anew."""
    statements: list[str] = []

    class Watching(SegmentSink):
        """A sink that tells what it asks of SQLite."""

        def _open(self, number: int) -> sqlite3.Connection:
            connection = super()._open(number)
            connection.set_trace_callback(statements.append)
            return connection

    sink = held(Watching(tmp_path, clock=FakeClock(1_000, 0.0)))
    sink.sync()
    begun = next(at for at, text in enumerate(statements) if text.startswith("INSERT INTO segment"))
    assert "PRAGMA synchronous = NORMAL" not in statements[:begun]
    assert statements[begun:].index("COMMIT") < statements[begun:].index("PRAGMA synchronous = NORMAL")


def test_a_frame_that_overlaps_the_log_is_an_error(tmp_path: Path, held: Held) -> None:
    """Rows half of which are in the log already are neither doubled nor dropped: somebody must look."""
    sink = sink_of(held, tmp_path)
    sink.write([samples.make_frame(0, 3)])
    with pytest.raises(SegmentError, match=r"\[2, 5\) overlaps what is in the log up to 3"):
        sink.write([samples.make_frame(2, 3)])
    assert firsts(tmp_path) == [0]


def test_a_file_that_is_no_segment_is_named(tmp_path: Path, held: Held) -> None:
    """A damaged file is an error that names it, for the writer and the reader."""
    (tmp_path / "000001.seg").write_bytes(b"not a database at all, but long enough to be one" * 100)
    for act in (lambda: sink_of(held, tmp_path).write([samples.make_frame()]), lambda: firsts(tmp_path)):
        with pytest.raises((SegmentError, StoreError), match=r"000001\.seg"):
            act()


def test_a_sink_that_slept_finds_the_active_segment_again(tmp_path: Path, held: Held) -> None:
    """Where segments were sealed and dropped meanwhile, it writes to the active one and makes none anew."""
    sleeper, busy = sink_of(held, tmp_path), sink_of(held, tmp_path, segment_bytes=1)
    sleeper.write([samples.make_frame(0)])
    for first in (3, 6, 9):
        busy.write([samples.make_frame(first)])
    for number in (1, 2, 3):
        for path in tmp_path.glob(f"{number:06d}.seg*"):
            path.unlink()
    sleeper.write([samples.make_frame(12)])
    assert files.numbers(tmp_path) == [4]
    assert firsts(tmp_path) == [9, 12]


@pytest.mark.parametrize("made", [False, True])
def test_a_log_whose_newest_segment_was_taken_away_goes_on(tmp_path: Path, held: Held, made: bool) -> None:  # noqa: FBT001
    """The one behind the last sealed segment is begun again, if cut short too, and knows what was written."""
    writer = sink_of(held, tmp_path, segment_bytes=1)
    for first in (0, 3, 6):
        writer.write([samples.make_frame(first)])
    writer.close()
    for path in tmp_path.glob("000003.seg*"):
        path.unlink()
    if made:
        files.open_segment(tmp_path, 3).close()
    assert sink_of(held, tmp_path).write([samples.make_frame(3), samples.make_frame(9)]) == 1
    assert firsts(tmp_path) == [0, 3, 9]


def test_what_is_written_ahead_stays_below_a_small_segment(tmp_path: Path, held: Held) -> None:
    """However many transactions came, the file beside a segment is no longer than a few of them."""
    sink = sink_of(held, tmp_path, segment_bytes=1 << 17)
    for number in range(200):
        sink.write([samples.make_frame(3 * number)])
    assert (tmp_path / "000001.seg-wal").stat().st_size < 3 << 17


def test_a_sync_follows_the_active_segment(tmp_path: Path, held: Held) -> None:
    """A sink that never writes brings other writers' commits into the file."""
    idle, busy = sink_of(held, tmp_path), sink_of(held, tmp_path, segment_bytes=1)
    idle.sync()
    for first in (0, 3, 6):
        busy.write([samples.make_frame(first)])
    before = (tmp_path / "000003.seg").read_bytes()
    idle.sync()
    assert (tmp_path / "000003.seg").read_bytes() != before


def test_a_segment_is_sealed_when_asked(tmp_path: Path, held: Held) -> None:
    """One that holds rows and was begun before the given time is sealed; an empty one is not."""
    sink = sink_of(held, tmp_path)
    assert not sink.rotate(older_than=2_000)
    sink.write([samples.make_frame(0)])
    assert not sink.rotate(older_than=1_000)
    assert sink.rotate(older_than=1_001)
    assert not sink.rotate(older_than=2_000)
    assert files.numbers(tmp_path) == [1, 2]


def test_a_segment_that_was_begun_later_than_now_is_sealed(tmp_path: Path, held: Held) -> None:
    """When it was, by a clock that was ahead, nobody can tell; the one behind it is begun by this clock."""
    sink_of(held, tmp_path).sync()
    sink = held(SegmentSink(tmp_path, clock=FakeClock(999, 0.0)))
    assert sink.rotate(older_than=1)
    assert not sink.rotate(older_than=1)
    with closing(files.open_segment(tmp_path, 2)) as connection:
        assert files.created_at(connection) == 999


@pytest.mark.parametrize(("mode", "level"), [({"durable": True}, 2), ({}, 1)])
def test_a_durable_sink_syncs_every_transaction(
    tmp_path: Path, held: Held, mode: dict[str, bool], level: int
) -> None:
    """SQLite's synchronous is FULL (2) then, also behind a rotation; else NORMAL (1)."""
    sink = sink_of(held, tmp_path, segment_bytes=1, **mode)
    for first in (0, 3):
        sink.write([samples.make_frame(first)])
        # There is no other way to see what a power cut would take.
        assert sink._active().execute("PRAGMA synchronous").fetchone()[0] == level


def test_below_the_reserve_nothing_is_written(tmp_path: Path, held: Held) -> None:
    """The log leaves the last of the room to others; its own notes are written all the same."""
    with pytest.raises(NoRoomError, match=r"log\.reserve_bytes"):
        sink_of(held, tmp_path, reserve_bytes=1 << 62).write([samples.make_frame()])
    assert firsts(tmp_path) == []
