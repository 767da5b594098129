"""A copy of a row file whose worker is alive: each half as it was at one instant.

Rows are only ever added to a half until it is cleared for another frame. So a half copied while its head kept
its first sequence and lost no rows is, up to the rows its head named before the copy, exactly what it was
then; that head is put into the copy. A half that was cleared meanwhile is read again.
"""

import os
from pathlib import Path
from typing import Final

from prediction_log import layout
from prediction_log.errors import LogError
from prediction_log.layout import HEAD, Head

_ATTEMPTS: Final = 1000


def snapshot(path: Path) -> bytes:
    """The bytes of a row file for `recover_buffers`; what was appended before the call is in them.

    FileNotFoundError when it has gone, LogError when it never stood still.
    """
    for _ in range(_ATTEMPTS):
        before = _heads(path)
        body = bytearray(path.read_bytes())
        after = _heads(path)
        if len(before) == len(after) and all(map(_grew, before, after)):
            for start, head in before:
                body[start : start + HEAD.size] = head
            return bytes(body)
    raise LogError(f"{path}: its halves are exchanged faster than they can be copied; try again later")


def _heads(path: Path) -> list[tuple[int, bytes]]:
    """(start, head) of both halves, each read the same twice in a row."""
    with path.open("rb", buffering=0) as file:
        half = file.seek(0, 2) // 2
        return [(start, _steady(file.fileno(), start)) for start in (0, half)]


def _steady(descriptor: int, start: int) -> bytes:
    seen = b""
    for _ in range(_ATTEMPTS):
        head = os.pread(descriptor, HEAD.size, start)
        if head == seen:
            return head
        seen = head
    return seen


def _grew(before: tuple[int, bytes], after: tuple[int, bytes]) -> bool:
    """Whether a half only took rows between the two looks; one that is no frame stays what it is."""
    if len(before[1]) < HEAD.size or before[1][:4] != layout.MAGIC:
        return before == after
    was, is_now = Head._make(HEAD.unpack(before[1])), Head._make(HEAD.unpack(after[1]))
    return was.first == is_now.first and was.rows <= is_now.rows and was.skipped <= is_now.skipped
