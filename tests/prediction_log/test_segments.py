"""Segments on disk: privacy, rotation cut short, power cuts, and dropped files."""

import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from groundwork.boot import boot_id
from groundwork.clock import FakeClock
from groundwork.errors import NewerStoreError, NoRoomError, StoreError
from prediction_log import segment_file as files
from prediction_log.errors import SegmentError
from prediction_log.record import Kind, deletion_schema
from prediction_log.segment_sink import SegmentSink
from prediction_log.segment_source import SegmentSource
from prediction_log.selecting import select
from prediction_log.transport import START, Offset
from tests.prediction_log import samples
from tests.prediction_log.conftest import Held


def sink_of(held: Held, folder: Path, **more: Any) -> SegmentSink:
    """A sink on small segments."""
    return held(SegmentSink(folder, clock=FakeClock(1_000, 0.0), **({"segment_bytes": 1 << 20} | more)))


DELETED: dict[str, Any] = {"id": 0, "row": 0, "time": 1, "reason": [b""], "actor": [b""]}


def firsts(folder: Path) -> list[int]:
    """First sequence of every frame, as read from the start."""
    with closing(SegmentSource(folder)) as source:
        return [int.from_bytes(body[16:24], "little") for _, body in source.read(START, 1000)]


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


def test_large_frames_are_read_a_few_at_a_time(tmp_path: Path, held: Held) -> None:
    """No further than the bytes that are to be read at once, over segments too; and none is left out."""
    sink, frames = sink_of(held, tmp_path, segment_bytes=1), [samples.make_frame(3 * one) for one in range(6)]
    for frame in frames:
        sink.write([frame])
    source = held(SegmentSource(tmp_path, 2 * len(frames[0]) - 1))
    found, at = [], START
    while batch := source.read(at, 100):
        found.append([body for _, body in batch])
        at = batch[-1][0]
    assert found == [frames[:2], frames[2:4], frames[4:]]


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


def test_a_reader_goes_on_behind_dropped_segments(tmp_path: Path, held: Held) -> None:
    """Where the segment at the offset is gone, reading resumes with the oldest that is there."""
    sink = sink_of(held, tmp_path, segment_bytes=1)
    for index in range(4):
        sink.write([samples.make_frame(3 * index)])
    sink.close()
    source = held(SegmentSource(tmp_path))
    read = source.read(START, 1)
    last = source.end().segment
    for number in files.numbers(tmp_path)[:-2]:
        files.segment_path(tmp_path, number).unlink()
    resumed = held(SegmentSource(tmp_path))
    assert resumed.first() == Offset(last - 1, 0)
    assert [offset.segment for offset, _ in resumed.read(read[0][0], 10)] == [last - 1, last]


@pytest.mark.parametrize("replaced", [True, False])
def test_a_log_that_is_taken_away_below_its_reader_is_an_error_once(
    tmp_path: Path,
    held: Held,
    replaced: bool,  # noqa: FBT001
) -> None:
    """What it had open would never grow; afterwards it reads what is there, also while nothing is."""
    with closing(sink_of(held, tmp_path)) as sink:
        sink.write([samples.make_frame(0)])
    source = held(SegmentSource(tmp_path))
    (read,) = source.read(START, 10)
    files.segment_path(tmp_path, 1).rename(tmp_path / "kept")
    if replaced:
        with closing(sink_of(held, tmp_path)) as sink:
            sink.write([samples.make_frame(3), samples.make_frame(6)])
    with pytest.raises(SegmentError, match=r"000001\.seg was (replaced|taken away)"):
        source.read(read[0], 10)
    assert [offset.row for offset, _ in source.read(START, 10)] == ([1, 2] if replaced else [])


@pytest.mark.parametrize("readonly", [True, False])
def test_a_dropped_segment_is_not_made_again_by_who_looks_for_it(tmp_path: Path, readonly: bool) -> None:  # noqa: FBT001
    """Who wants one that is there is told that it is not, and leaves nothing behind."""
    with files.existing(tmp_path, 1, readonly=readonly) as connection:
        assert connection is None
    assert list(tmp_path.iterdir()) == []


def test_who_goes_through_the_log_passes_over_what_is_dropped_meanwhile(tmp_path: Path, held: Held) -> None:
    """Frames of segments that went after the look began are left out; it is no error."""
    sink = sink_of(held, tmp_path, segment_bytes=1)
    for first in (0, 3, 6):
        sink.write([samples.make_frame(first)])
    frames = select(tmp_path, "loan", Kind.PREDICTION)
    assert next(frames).first == 0
    files.segment_path(tmp_path, 2).unlink()
    assert [frame.first for frame in frames] == [6]


def test_who_looks_for_the_active_segment_passes_over_what_is_dropped_meanwhile(
    tmp_path: Path, held: Held
) -> None:
    """One that is listed, and gone when it is opened, was sealed: writers and readers go on behind it."""
    sink = sink_of(held, tmp_path, segment_bytes=1)
    for first in (0, 3):
        sink.write([samples.make_frame(first)])
    files.segment_path(tmp_path, 1).unlink()
    files.segment_path(tmp_path, 1).symlink_to(tmp_path / "dropped")
    assert files.active_number(tmp_path) == 2
    assert held(SegmentSource(tmp_path)).end() == Offset(2, 1)


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


def test_a_newer_segment_is_refused_and_a_damaged_one_is_not(tmp_path: Path, held: Held) -> None:
    """Whoever is about to use a log learns that a newer driftgate wrote in it; damage is found later."""
    files.refuse_newer(tmp_path / "not-there")
    sink_of(held, tmp_path).write([samples.make_frame()])
    (tmp_path / "000002.seg").write_bytes(b"no database")
    files.refuse_newer(tmp_path)
    with closing(sqlite3.connect(tmp_path / "000001.seg")) as connection:
        connection.execute("PRAGMA user_version = 9")
    with pytest.raises(NewerStoreError, match=r"000001\.seg: wanted .* found 9"):
        files.refuse_newer(tmp_path)
