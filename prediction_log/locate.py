"""From a prediction id to its rows, without a scan: the id says which frame."""

from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from prediction_log import segment_file as files
from prediction_log.frame import Frame, decode
from prediction_log.ids import PredictionIds
from prediction_log.record import Kind
from prediction_log.transport import Offset

_LARGEST: Final = 2**63 - 1


class Located(msgspec.Struct, frozen=True, eq=False):
    """Where a prediction is: its frame, the frame's offset, and the indexes of its rows in the frame.

    `rows[k]` is the index of the prediction's k-th row; it may have fewer rows than were asked for, where
    values were kept of some only.
    """

    offset: Offset
    frame: Frame
    rows: NDArray[Any]


def locate(log_folder: Path, identifier: bytes, ids: PredictionIds) -> Located | None:
    """The rows of a prediction id; None where there is none: made up, not yet spooled, or dropped by now.

    One index look-up per segment, newest first. IdError when `identifier` has not 16 bytes.
    """
    incarnation, stream, sequence = ids.decode(identifier)
    if sequence > _LARGEST:
        return None
    for number in reversed(files.numbers(log_folder)):
        found = _frame_of(log_folder, number, (incarnation, stream, sequence))
        if found is None:
            continue
        row, body = found
        frame = decode(body)
        if frame.kind not in {Kind.PREDICTION, Kind.REJECT}:
            return None
        rows = np.flatnonzero((frame.array("id") == np.frombuffer(identifier, np.uint8)).all(axis=1))
        return Located(Offset(number, row), frame, rows) if len(rows) else None
    return None


def _frame_of(folder: Path, number: int, place: tuple[int, int, int]) -> tuple[int, bytes] | None:
    """The frame of a segment whose range holds the sequence: (row number, body)."""
    with files.existing(folder, number) as connection:
        if connection is None:
            return None
        found: tuple[int, bytes] | None = connection.execute(
            "SELECT row, body FROM frames WHERE incarnation = ? AND stream = ? AND end_seq > ?"
            " AND first_seq <= ? ORDER BY end_seq LIMIT 1",
            (*place, place[2]),
        ).fetchone()
        return found
