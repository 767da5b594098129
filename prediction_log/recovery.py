"""What a dead worker's slot still holds goes into the log.

Rules:

* It needs no model: a row file's halves are frames.
* It may be killed anywhere and be repeated by anyone: what is already in the log is skipped by its stream's
  last sequence, and a row file is removed only when all of it is in the log.
* A half that is no frame any more is set aside under another name and reported, never passed over silently.

Only for slots whose worker is dead (groundwork.slots tells): a live one writes while we would read.
"""

import logging
from pathlib import Path
from typing import Final

from prediction_log.frame import decode
from prediction_log.rows import SUFFIX, recover_buffers
from prediction_log.transport import Sink

UNREADABLE: Final = ".unreadable"

_log: Final = logging.getLogger(__name__)


def recover_slot(slot_folder: Path, sink: Sink) -> int:
    """Spool every row left in a dead worker's slot and remove its row files; returns the rows that were new.

    Raises what `sink.write` raises; the files not yet spooled then stay, and the call can be made again.
    """
    return sum(_recover_file(path, sink) for path in sorted(slot_folder.glob(f"*{SUFFIX}")))


def _recover_file(path: Path, sink: Sink) -> int:
    try:
        frames, unreadable = recover_buffers(path)
    except FileNotFoundError:
        return 0  # somebody else has just spooled all of it
    # One at a time, oldest first: the sink says for each whether it was new.
    rows = sum(decode(body, verify=False).rows for body in frames if sink.write([body]))
    if unreadable:
        for error in unreadable:
            _log.error("rows of a dead worker cannot be read: %s; the file is kept as *%s", error, UNREADABLE)
        path.rename(path.with_name(path.name + UNREADABLE))
    else:
        path.unlink(missing_ok=True)
    return rows
