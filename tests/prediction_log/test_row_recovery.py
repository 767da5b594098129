"""What a dead worker's row file still holds."""

import struct
from pathlib import Path

from prediction_log import layout
from prediction_log.errors import FrameError
from prediction_log.frame import decode
from prediction_log.row_recovery import recover_buffers
from tests.prediction_log import samples


def times(body: bytes) -> list[int]:
    """The `time` column of a frame."""
    found: list[int] = decode(body).array("time").tolist()
    return found


def test_a_dead_worker_s_rows_are_all_there(tmp_path: Path) -> None:
    """Recovery gives the filled and the active buffer's frames, in order, exactly as a take would have."""
    file = samples.row_file(tmp_path, row_capacity=4)
    file.append(samples.columns(0, 3), 3)
    file.swap()
    file.append(samples.columns(3, 2), 2)
    taken = file.take()
    recovered = samples.recovered(file.path)
    assert [times(body) for body in recovered] == [[0, 1, 2], [3, 4]]
    assert recovered[0] == taken


def test_an_empty_row_file_gives_no_frames(tmp_path: Path) -> None:
    """A worker that died before its first request left nothing behind."""
    assert samples.recovered(samples.row_file(tmp_path).path) == []


def test_a_kill_between_any_two_stores_leaves_a_true_frame(tmp_path: Path) -> None:
    """Raising `end` without `rows` yet is a sequence passed over, never a row or a broken frame."""
    file = samples.row_file(tmp_path)
    file.append(samples.columns(0, 2), 2)
    content = bytearray(file.path.read_bytes())
    struct.pack_into("<Q", content, layout.END_AT, 3)
    file.path.write_bytes(content)
    (found,) = [decode(body) for body in samples.recovered(file.path)]
    assert (found.rows, found.end, found.skipped) == (2, 3, 0)


def test_a_broken_half_is_told_and_the_other_kept(tmp_path: Path) -> None:
    """A half that is no frame does not take the other half's rows with it."""
    file = samples.row_file(tmp_path)
    file.append(samples.columns(0, 2), 2)
    content = bytearray(file.path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.path.write_bytes(content)
    frames, unreadable = recover_buffers(file.path)
    assert [times(body) for body in frames] == [[0, 1]]
    assert str(len(content) // 2) in str(unreadable[0])
    assert isinstance(unreadable[0], FrameError)


def test_a_buffer_that_is_just_begun_hides_nothing(tmp_path: Path) -> None:
    """Killed while a buffer takes over, its old range is not taken for rows that the other one holds."""
    file = samples.row_file(tmp_path)
    file.append({})
    file.swap()
    file.append({})
    body = bytearray(file.path.read_bytes())
    half = len(body) // 2
    body[half + 32 : half + 36] = bytes(4)  # its row is not published
    body[half + 16 : half + 24] = bytes(8)  # and its first sequence is still the old one
    file.path.write_bytes(body)
    (found,) = [decode(each) for each in samples.recovered(file.path)]
    assert (found.first, found.rows) == (0, 1)
