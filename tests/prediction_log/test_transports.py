"""The contract of a log transport, held against every entry of the table."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from prediction_log import transports
from prediction_log.errors import FrameError, SegmentError, TransportError
from prediction_log.frame import decode
from prediction_log.memory import MemoryLog
from prediction_log.reading import Reader
from prediction_log.segments import SegmentLog
from prediction_log.transport import START, Offset, Sink, Source, Transport
from tests.prediction_log import samples
from tests.prediction_log.conftest import Held, HeldTransport

SMALL_SEGMENT: Final = 48 * 1024
MANY: Final = 60


@pytest.fixture(params=sorted(transports.TRANSPORTS))
def log(request: pytest.FixtureRequest, tmp_path: Path, held: Held) -> Transport:
    """An empty log of each transport."""
    return HeldTransport(transports.open_transport(request.param, tmp_path / "log"), held)


@pytest.fixture(params=sorted(transports.TRANSPORTS))
def rotating(request: pytest.FixtureRequest, tmp_path: Path, held: Held) -> Transport:
    """A log of each transport that rotates after every few frames."""
    small: dict[str, Transport] = {
        "memory": MemoryLog(segment_frames=7),
        "segments": SegmentLog(tmp_path / "log", segment_bytes=SMALL_SEGMENT),
    }
    return HeldTransport(small[request.param], held)


@pytest.fixture
def sink(log: Transport) -> Sink:
    """A writing end of the log."""
    return log.sink()


@pytest.fixture
def source(log: Transport) -> Source:
    """A reading end of the log."""
    return log.source()


def read_all(source: Source, after: Offset = START, limit: int = 5) -> list[tuple[Offset, bytes]]:
    """Everything after an offset, a few frames at a time."""
    found: list[tuple[Offset, bytes]] = []
    while batch := source.read(found[-1][0] if found else after, limit):
        found += batch
    return found


def test_every_entry_of_the_table_can_be_opened(log: Transport) -> None:
    """A name in the table is a class that opens; what is not in it is an error that lists what is."""
    log.sink().close()
    log.source().close()
    with pytest.raises(TransportError, match=r"'pigeon'; choose one of .*'memory', 'segments'"):
        transports.open_transport("pigeon", Path())


def test_an_empty_log_has_nothing_to_read(source: Source) -> None:
    """Before the first frame, reading gives nothing and both ends are the start."""
    assert (source.read(START, 10), source.first(), source.end()) == ([], START, START)


def test_frames_are_read_as_they_were_written(sink: Sink, source: Source) -> None:
    """Order and bytes are those of the writer, over several writes."""
    bodies = [samples.make_frame(3 * index) for index in range(10)]
    assert sink.write(bodies[:4]) == 4
    assert sink.write([]) == 0
    assert sink.write(bodies[4:]) == 6
    assert [body for _, body in read_all(source)] == bodies


def test_a_reader_resumes_after_any_offset(sink: Sink, source: Source, log: Transport) -> None:
    """After each frame's offset come exactly the frames behind it, for this reader and for a new one."""
    sink.write([samples.make_frame(3 * index) for index in range(6)])
    everything = read_all(source)
    for index, (offset, _) in enumerate(everything):
        assert read_all(log.source(), Offset.parse(str(offset))) == everything[index + 1 :]
    assert everything == sorted(everything)
    assert source.end() == everything[-1][0]
    assert read_all(source, source.first()) == everything


def test_a_reader_sees_what_is_written_later(sink: Sink, source: Source) -> None:
    """Reading at the end gives nothing, and later exactly what was added."""
    sink.write([samples.make_frame(0)])
    end = read_all(source)[-1][0]
    assert source.read(end, 10) == []
    added = samples.make_frame(3)
    sink.write([added])
    assert [body for _, body in source.read(end, 10)] == [added]


def test_a_frame_written_again_is_skipped(sink: Sink, source: Source, log: Transport) -> None:
    """By its stream's last sequence, whoever writes it again; another stream is another matter."""
    bodies = [samples.make_frame(0), samples.make_frame(3)]
    assert sink.write(bodies) == 2
    assert sink.write([*bodies, samples.make_frame(6)]) == 1
    assert (
        log.sink().write([*bodies, samples.make_frame(0, stream=2), samples.make_frame(0, incarnation=2)])
        == 2
    )
    assert len(read_all(source)) == 5


def test_bytes_that_are_no_frame_are_refused_whole(sink: Sink, source: Source) -> None:
    """One bad frame in a write is FrameError, and none of its neighbours is written."""
    with pytest.raises(FrameError):
        sink.write([samples.make_frame(0), b"garbage"])
    assert read_all(source) == []


def test_unknown_kinds_and_garbage_are_passed_over_and_counted(sink: Sink, log: Transport) -> None:
    """A frame of a later version's kind, or one changed after it was written, does not stop a reader."""
    changed = bytearray(samples.make_frame(3))
    changed[-20] ^= 1
    sink.write(
        [samples.make_frame(0), bytes(changed), samples.make_frame(6, kind=200), samples.make_frame(9)]
    )
    reader = Reader(log.source(), START)
    assert [frame.first for _, frame in reader.read(10)] == [0, 9]
    assert (reader.garbage, reader.unknown) == (1, 1)
    assert reader.offset == log.source().end()


def test_rotation_loses_and_doubles_nothing(rotating: Transport) -> None:
    """Over many segments, a reader that follows and one that comes later read the same, from any offset."""
    sink, following = rotating.sink(), rotating.source()
    bodies = [samples.make_frame(3 * index) for index in range(MANY)]
    followed: list[tuple[Offset, bytes]] = []
    for body in bodies:
        sink.write([body])
        followed += following.read(followed[-1][0] if followed else START, 10)
    everything = read_all(rotating.source())
    assert [body for _, body in everything] == bodies
    assert followed == everything
    assert everything[-1][0].segment > 2
    assert sink.write(bodies) == 0, "last sequences are carried from segment to segment"
    middle = MANY // 2
    assert read_all(rotating.source(), everything[middle][0]) == everything[middle + 1 :]


def test_concurrent_writers_lose_and_double_nothing(rotating: Transport) -> None:
    """Several writers at once, through rotations: each stream is complete and in its order."""
    writers = 4

    def write(stream: int) -> None:
        sink = rotating.sink()
        for index in range(MANY // 2):
            assert sink.write([samples.make_frame(index, 1, stream=stream)]) == 1
        sink.close()

    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(write, range(writers)))
    found = [decode(body) for _, body in read_all(rotating.source())]
    for stream in range(writers):
        firsts = [frame.first for frame in found if frame.stream == stream]
        assert firsts == list(range(MANY // 2))


def test_closing_twice_and_syncing_are_harmless(log: Transport) -> None:
    """An end that was closed opens again when it is used."""
    sink, source = log.sink(), log.source()
    sink.write([samples.make_frame(0)])
    for _ in range(2):
        sink.sync()
        sink.close()
        source.close()
    sink.write([samples.make_frame(3)])
    assert len(read_all(source)) == 2


@pytest.mark.parametrize("written", ["", "1", "1:", ":1", "-1:2", "1:x", "1:2:3", "\u0661:\u0662"])
def test_text_that_is_no_offset_is_refused(written: str) -> None:
    """An offset is SEGMENT:ROW and nothing else."""
    with pytest.raises(SegmentError, match="is not SEGMENT:ROW"):
        Offset.parse(written)
    assert str(Offset(1, 42)) == "000001:42"
