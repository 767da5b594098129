"""The row file: rows survive their process, losses are counted, and nothing waits."""

import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from groundwork.errors import NoRoomError
from prediction_log import frame, layout, record
from prediction_log.errors import LogError
from prediction_log.frame import decode
from prediction_log.record import Kind
from prediction_log.rows import RowFile
from tests.prediction_log import samples


def times(body: bytes) -> list[int]:
    """The `time` column of a frame."""
    found: list[int] = decode(body).array("time").tolist()
    return found


def flush(file: RowFile) -> bytes:
    """Swap, take and release: what a flush does around its transaction."""
    assert file.swap()
    body = file.take()
    assert body is not None
    file.release()
    return body


def test_rows_come_out_as_they_went_in(tmp_path: Path) -> None:
    """One by one or many at once, every column of every row is in the frame that is taken."""
    file = samples.row_file(tmp_path, row_capacity=16, arena_bytes=256)
    assert file.append(samples.columns(0, 1)) == 0
    assert file.append(samples.columns(1, 4), 4) == 1
    assert file.append(samples.columns(5, 1)) == 5
    found = decode(flush(file))
    wanted = decode(samples.make_frame(0, 6))
    assert (found.rows, found.first, found.end, found.skipped) == (6, 0, 6, 0)
    for name in ("time", "amount", "probabilities", "label", "arm", "latency"):
        np.testing.assert_array_equal(found.array(name), wanted.array(name))
    assert found.strings("city").tolist() == wanted.strings("city").tolist()
    assert found.strings("client_id").tolist() == wanted.strings("client_id").tolist()


def test_one_row_may_be_given_as_plain_python(tmp_path: Path) -> None:
    """Numbers, octets and one byte string are good for one row, and for many rows that share them."""
    file = samples.row_file(tmp_path)
    one = {
        "id": b"a" * 16,
        "time": 5,
        "client_id": b"me",
        "amount": [1, 2, 3],
        "label": np.array([1]),
        "city": [b"B"],
    }
    file.append(one)
    file.append({"id": b"b" * 16, "time": 6, "client_id": b"you", "amount": np.ones((2, 3))}, 2)
    found = decode(flush(file))
    assert found.array("id").tobytes() == b"a" * 16 + b"b" * 32
    assert found.strings("client_id").tolist() == [b"me", b"you", b"you"]
    assert found.strings("city").tolist() == [b"B", b"", b""]
    assert found.array("label").tolist() == [1, 0, 0]


def test_a_column_left_out_is_zero_in_a_used_buffer(tmp_path: Path) -> None:
    """A buffer that held other rows before shows nothing of them."""
    file = samples.row_file(tmp_path)
    for _ in range(2):
        file.append(samples.columns(100, 4), 4, validity=1)
        flush(file)
    file.append({"time": 1}, 4)
    found = decode(flush(file))
    assert found.array("amount").tolist() == [[0.0] * 3] * 4
    assert not found.array("trace_id").any()
    assert found.strings("city").tolist() == [b""] * 4
    assert found.validity is None


def test_validity_is_kept_where_it_is_given(tmp_path: Path) -> None:
    """A row that was appended without one, beside a row with one, is PRESENT."""
    file = samples.row_file(tmp_path)
    file.append(samples.columns(0, 2), 2)
    file.append(samples.columns(2, 1), 1, validity=[0, 2, 0, 0])
    found = decode(flush(file)).validity
    assert found is not None
    assert found.tolist() == [[0] * 4, [0] * 4, [0, 2, 0, 0]]


def test_a_full_buffer_is_swapped_for_a_free_one(tmp_path: Path) -> None:
    """A row that finds no room goes into the other buffer, and the full one waits to be taken."""
    file = samples.row_file(tmp_path, row_capacity=4)
    for time in range(6):
        file.append(samples.columns(time, 1))
    assert times(flush_filled(file)) == [0, 1, 2, 3]
    assert times(flush(file)) == [4, 5]
    assert file.lost == 0


def flush_filled(file: RowFile) -> bytes:
    """Take and release what is filled already."""
    body = file.take()
    assert body is not None
    file.release()
    return body


def test_with_both_buffers_full_rows_are_lost_and_counted(tmp_path: Path) -> None:
    """What is lost uses up its sequence numbers and is reported by the frame whose range it falls into."""
    file = samples.row_file(tmp_path, row_capacity=4)
    sequences = [file.append(samples.columns(time, 1)) for time in range(11)]
    assert sequences == list(range(11))
    assert (file.lost, file.lost_by) == (3, {"full": 3, "oversized": 0})
    assert times(flush_filled(file)) == [0, 1, 2, 3]
    assert file.append(samples.columns(11, 1)) == 11
    second = decode(flush_filled(file))
    assert (second.rows, second.first, second.end, second.skipped) == (4, 4, 11, 3)
    third = decode(flush(file))
    assert (third.rows, third.first, third.end, third.skipped) == (1, 11, 12, 0)


@pytest.mark.parametrize("columns", [samples.columns(0, 1) | {"city": [b"x" * 65]}, samples.columns(0, 9)])
def test_what_has_no_room_in_an_empty_buffer_is_kept(tmp_path: Path, columns: dict[str, Any]) -> None:
    """A request with more rows or bytes than an empty buffer has is in the log like any other."""
    file = samples.row_file(tmp_path)
    count = len(columns["time"])
    assert file.append(columns, count) == 0
    assert file.lost == 0
    body = decode(flush_filled(file))
    assert (body.rows, body.first, body.end, body.skipped) == (count, 0, count, 0)
    assert body.strings("city").tolist() == columns["city"]


def test_sampling_leaves_a_gap_that_is_no_loss(tmp_path: Path) -> None:
    """Rows that were not drawn use up sequence numbers without being rows or losses."""
    file = samples.row_file(tmp_path, rate=0.5)
    assert [file.skip(2), file.append(samples.columns(0, 1)), file.skip(3)] == [0, 2, 3]
    found = decode(flush(file))
    assert (found.rate, found.rows, found.first, found.end, found.skipped) == (0.5, 1, 0, 6, 0)
    assert file.swap() is False, "an empty buffer is not worth a frame"
    assert file.next_sequence == 6


def test_a_frame_says_the_lowest_rate_that_it_was_filled_at(tmp_path: Path) -> None:
    """A rate that changes holds for the frames that come, and at once where it is lower."""
    file = samples.row_file(tmp_path)
    rates = []
    for changes in ((0.5, 0.25), (0.75,), (), (1.0,), ()):
        file.append(samples.columns(0, 1))
        for rate in changes:
            file.thin(rate)
        rates.append(decode(flush(file)).rate)
    assert rates == [0.25, 0.25, 0.75, 0.75, 1.0]


@pytest.mark.parametrize("aside", [False, True])
def test_a_large_request_s_frame_says_the_rate_too(tmp_path: Path, *, aside: bool) -> None:
    """Whether it is written at once or in a thread, and so does what comes behind it."""
    file = samples.row_file(tmp_path, row_capacity=4)
    file.thin(0.5)
    if aside:
        begun = file.begin_large(samples.columns(0, 9), 9)
        assert begun is not None
        begun.write()
        file.end_large(begun, 9)
    else:
        file.append(samples.columns(0, 9), 9)
    large = decode(flush_filled(file))
    file.append(samples.columns(0, 1))
    after = decode(flush(file))
    assert ((large.rate, large.rows), (after.rate, after.rows)) == ((0.5, 9), (0.5, 1))


def test_what_a_row_takes_is_what_it_took_lately(tmp_path: Path) -> None:
    """At first what there is room for; later what frames of rows had, texts as long as they were."""
    file = samples.row_file(tmp_path)
    assert file.row_bytes > 0
    file.append(samples.columns(0, 3), 3)
    body = flush(file)
    assert file.row_bytes == len(body) / 3
    file.lose(2, "full")
    flush(file)
    assert file.row_bytes == len(body) / 3


def test_a_request_with_a_file_of_its_own_weighs_as_its_rows_do(tmp_path: Path) -> None:
    """Long texts that fit no buffer are counted too, and the latest frame for no more than its rows."""
    file = samples.row_file(tmp_path)
    file.append(samples.columns(0, 4), 4)
    small = len(flush(file))
    file.append(samples.columns(4, 1) | {"city": [b"x" * 100_000]})
    large = len(flush_filled(file))
    assert large > 100_000
    assert file.row_bytes == pytest.approx((small / 2 + large) / (4 / 2 + 1))


def test_half_full_is_full_enough(tmp_path: Path) -> None:
    """Half of the rows, or half of any arena, says that it is time to flush."""
    file = samples.row_file(tmp_path, row_capacity=8)
    file.append(samples.columns(0, 3), 3)
    found = [file.full_enough]
    file.append(samples.columns(3, 1))
    found.append(file.full_enough)
    flush(file)
    file.append(samples.columns(0, 1) | {"city": [b"x" * 32]})
    assert [*found, file.full_enough] == [False, True, True]


def test_a_frame_taken_is_given_again_until_released(tmp_path: Path) -> None:
    """A flush whose transaction failed finds the same frame next time; a release needs a take."""
    file = samples.row_file(tmp_path)
    with pytest.raises(LogError, match="not before"):
        file.release()
    assert file.take() is None
    file.append(samples.columns(0, 2), 2)
    assert file.swap()
    first = file.take()
    assert file.take() == first
    assert file.swap() is False
    file.release()
    assert file.take() is None


def test_a_failed_append_leaves_no_row(tmp_path: Path) -> None:
    """A value that cannot be stored raises before the row is published."""
    file = samples.row_file(tmp_path)
    file.append(samples.columns(0, 1))
    with pytest.raises((ValueError, TypeError)):
        file.append(samples.columns(1, 1) | {"amount": [1, 2]})
    assert file.append(samples.columns(2, 1)) == 1
    assert times(flush(file)) == [0, 2]


def test_a_row_file_is_private_allocated_and_whole(tmp_path: Path) -> None:
    """It appears under its name only when complete, 0600, with every block on the disk."""
    file = samples.row_file(tmp_path)
    facts = file.path.stat()
    assert stat.S_IMODE(facts.st_mode) == 0o600
    assert facts.st_blocks * 512 >= facts.st_size
    assert [path.name for path in tmp_path.iterdir()] == ["1.rows"]


def test_no_room_is_an_error_before_anything_is_written(tmp_path: Path) -> None:
    """A row file that the disk cannot hold is refused, and leaves nothing behind."""
    wide = record.prediction_schema("m", "1", "", [("x", "<f8", (2**20,))], [])
    with pytest.raises(NoRoomError):
        samples.row_file(tmp_path, row_capacity=2**31, schema=wide)
    assert list(tmp_path.iterdir()) == []


def test_the_header_of_a_slot_buffer_is_a_frame_s_header(tmp_path: Path) -> None:
    """A slot's buffer decodes as it lies, room and all."""
    file = samples.row_file(tmp_path)
    file.append(samples.columns(0, 2), 2)
    content = file.path.read_bytes()
    length = layout.Head._make(layout.HEAD.unpack_from(content)).length
    found = decode(content[:length])
    assert (found.kind, found.rows) == (Kind.PREDICTION, 2)
    assert frame.compact(content[:length]) == samples.recovered(file.path)[0]


def test_what_was_not_drawn_is_told_at_the_end(tmp_path: Path) -> None:
    """Numbers that were only passed over wait for a row, or for `finish`; a dead worker's are recovered."""
    file = samples.row_file(tmp_path, rate=0.5)
    file.skip(5)
    assert file.empty
    assert not file.swap()
    (recovered,) = [decode(body) for body in samples.recovered(file.path)]
    assert (recovered.first, recovered.end, recovered.rows, recovered.skipped) == (0, 5, 0, 0)
    file.finish()
    told = decode(flush(file))
    assert (told.first, told.end, told.rows, told.rate) == (0, 5, 0, 0.5)
    assert samples.recovered(file.path) == []


def test_values_do_not_outlive_their_flush(tmp_path: Path) -> None:
    """When a frame is in the log, its values are wiped from the row file."""
    file = samples.row_file(tmp_path)
    file.append(samples.columns(0, 3) | {"city": [b"secret", b"", b"secret"]}, 3, validity=[0, 1, 0, 0])
    file.swap()
    assert b"secret" in file.path.read_bytes()
    assert file.take() is not None
    file.release()
    left = file.path.read_bytes()
    assert b"secret" not in left
    assert np.full((3, 2), 0.5, "<f4").tobytes() not in left
