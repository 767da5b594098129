"""What a dead worker's row file still holds: the frames of its two halves, whichever way the worker died.

Rules: a half that is no frame does not take the other one's rows with it; what its head can tell is given
with the error. It reads bytes, and knows neither slots nor where the frames go.
"""

import contextlib
from pathlib import Path

from prediction_log import frame, layout
from prediction_log.errors import FrameError
from prediction_log.layout import Head
from prediction_log.validation import check_counts, read_head


class UnreadableError(FrameError):
    """A buffer of a row file that gives no frame; `head` is its first 80 bytes where they can be true."""

    def __init__(self, message: str, head: Head | None) -> None:
        super().__init__(message)
        self.head = head


def recover_buffers(path: Path) -> tuple[list[bytes], list[UnreadableError]]:
    """The compact frames of a row file, oldest first, and what is wrong with the buffers that gave none."""
    memory = memoryview(path.read_bytes())
    half = len(memory) // 2
    found: list[tuple[Head, bytes]] = []
    unreadable: list[UnreadableError] = []
    for start in (0, half):
        piece = memory[start : start + half]
        try:
            recovered = _recover_buffer(piece)
        except FrameError as error:
            unreadable.append(UnreadableError(f"{path} at byte {start}: {error}", _head_alone(piece)))
        else:
            found += [] if recovered is None else [recovered]
    told = max((head.end for head, _ in found if head.rows or head.skipped), default=0)
    # A half that was just being cleared or begun names numbers that the other one has.
    kept = [(head.first, body) for head, body in found if head.rows or head.skipped or head.first >= told]
    return [body for _, body in sorted(kept)], unreadable


def _recover_buffer(memory: memoryview) -> tuple[Head, bytes] | None:
    """The head and the compact frame of one half, or None where it holds nothing."""
    if len(memory) < layout.HEAD.size:
        raise FrameError(f"half a row file has at least {layout.HEAD.size} bytes, found {len(memory)}")
    length = Head._make(layout.HEAD.unpack_from(memory)).length
    head = read_head(memory[:length])
    if head.end == head.first:
        return None
    return head, frame.compact(memory[:length])


def _head_alone(memory: memoryview) -> Head | None:
    """The head of a half whose rest need not be a frame; None where it is none, or cannot be true."""
    if len(memory) < layout.HEAD.size:
        return None
    head = Head._make(layout.HEAD.unpack_from(memory))
    with contextlib.suppress(FrameError):
        check_counts(head)
        known = (head.magic, head.version) == (layout.MAGIC, layout.VERSION)
        return head if known and head.incarnation else None
    return None
