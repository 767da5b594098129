"""How many rows went with a segment that cannot be read any more, so that the log can say what it lost.

Rules: nothing is made up. Where the index beside the frames can be read to its end the count is exact. Else
it is what the segments around it leave open: at most so many, for sequences of rows that were lost before or
not drawn are among them. Of the newest segment it is at least what could be read.

It reads, and writes nothing; which segments are damaged is the caller's to say.
"""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from groundwork.errors import DriftgateError
from prediction_log import segment_file as files
from prediction_log.segment_file import StreamEnd
from prediction_log.transport import Offset

EXACT: Final = b"damaged"
AT_MOST: Final = b"damaged, at most"
AT_LEAST: Final = b"damaged, at least"
REASONS: Final = frozenset({EXACT, AT_MOST, AT_LEAST})
"""The reasons of a loss frame for a damaged segment, whose number its `upto` says."""

_INDEX: Final = (
    "SELECT CASE WHEN typeof(rows) = 'integer' AND rows BETWEEN 0 AND end_seq - first_seq THEN rows END"
    " FROM frames WHERE incarnation > 0 ORDER BY row"
)


class Damage(msgspec.Struct, frozen=True):
    """Rows of workers that a segment held, and how well that is known (one of REASONS)."""

    segment: int
    rows: int
    reason: bytes

    def columns(self, now: int) -> dict[str, Any]:
        """The loss frame's one row; `now` in unix ns."""
        return {
            "time": now,
            "kind": 0,
            "incarnation": 0,
            "stream": 0,
            "count": self.rows,
            "reason": [self.reason],
            "upto": [str(Offset(self.segment, 0)).encode()],
        }


def measure(folder: Path, number: int, path: Path, *, newest: bool) -> Damage:
    """What was lost with segment `number`, whose file lies at `path` by now.

    `newest` says that nothing was written behind it before it was damaged.
    """
    rows, whole = _counted(path)
    if whole:
        return Damage(number, rows, EXACT)
    if newest:
        return Damage(number, rows, AT_LEAST)
    return Damage(number, max(rows, _gap(folder, number)), AT_MOST)


def _counted(path: Path) -> tuple[int, bool]:
    """Rows by the frames' index, and whether all of it could be read."""
    rows = 0
    with contextlib.suppress(sqlite3.Error):
        place = f"{path.absolute().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(place, uri=True)) as connection:
            for (held,) in connection.execute(_INDEX):
                if held is None:
                    return rows, False
                rows += held
            return rows, True
    return rows, False


def _gap(folder: Path, number: int) -> int:
    """Sequences between the readable segments on both sides."""
    present = files.numbers(folder)
    before = _asked(folder, [found for found in reversed(present) if found < number], files.sequences)
    behind = _asked(folder, [found for found in present if found > number], files.begun_at)
    known = {(incarnation, stream): end for incarnation, stream, end in before}
    return sum(
        max(0, first - known.get((incarnation, stream), 0))
        for incarnation, stream, first in behind
        if incarnation
    )


def _asked(
    folder: Path, numbers: list[int], ask: Callable[[sqlite3.Connection], list[StreamEnd]]
) -> list[StreamEnd]:
    """What the first of these segments that can be read says; nothing where none can."""
    for number in numbers:
        with (
            contextlib.suppress(DriftgateError, sqlite3.Error),
            contextlib.closing(files.open_segment(folder, number, readonly=True)) as connection,
        ):
            return ask(connection)
    return []
