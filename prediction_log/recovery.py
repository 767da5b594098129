"""What a dead worker's slot still holds goes into the log.

Rules:

* It needs no model: a row file's halves are frames.
* It may be killed anywhere and be repeated by anyone: what is already in the log is skipped by its stream's
  last sequence, and a row file is removed only when all of it is in the log.
* A half that is no frame any more is set aside under another name and reported, never passed over silently.

Only for slots whose worker is dead (groundwork.slots tells): a live one writes while we would read.
"""

import contextlib
import itertools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from prediction_log.errors import FrameError
from prediction_log.frame import Frame, decode
from prediction_log.rows import SUFFIX, recover_buffers
from prediction_log.spill import stream_of
from prediction_log.transport import Sink

UNREADABLE: Final = ".unreadable"

_log: Final = logging.getLogger(__name__)


def recover_slot(slot_folder: Path, sink: Sink) -> int:
    """Spool every row left in a dead worker's slot and remove its row files; returns the rows that were new.

    Raises what `sink.write` raises; the files not yet spooled then stay, and the call can be made again.
    """
    paths = sorted(slot_folder.glob(f"*{SUFFIX}"), key=lambda path: (stream_of(path), path.name))
    return sum(_recover_stream(list(files), sink) for _, files in itertools.groupby(paths, stream_of))


def _recover_stream(paths: Sequence[Path], sink: Sink) -> int:
    """The row file of one stream and what was spilled of it, in the order of their sequences."""
    found: list[bytes] = []
    broken: dict[Path, list[FrameError]] = {}
    for path in paths:
        with contextlib.suppress(FileNotFoundError):  # somebody else has just spooled all of it
            frames, unreadable = recover_buffers(path)
            found += frames
            broken[path] = unreadable
    rows = 0
    for frame in sorted(map(_decoded, found), key=lambda frame: (frame[0].first, not frame[0].rows)):
        # One at a time, oldest first: the sink says for each whether it was new.
        rows += frame[0].rows if sink.write([frame[1]]) else 0
    for path, unreadable in broken.items():
        for error in unreadable:
            _log.error("rows of a dead worker cannot be read: %s; the file is kept as *%s", error, UNREADABLE)
        if unreadable:
            path.rename(path.with_name(path.name + UNREADABLE))
        else:
            path.unlink(missing_ok=True)
    return rows


def _decoded(body: bytes) -> tuple[Frame, bytes]:
    return decode(body, verify=False), body
