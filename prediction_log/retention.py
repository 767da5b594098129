"""The log is bounded: whole segments are dropped, oldest first, and the log says so.

Rules: only sealed segments are dropped, never the active one. Before a file goes, a loss frame with the
reason `retention` says how many rows went and up to which offset. What a reader has read does not matter:
retention does not depend on consumption. Killed in between, the frame may be there twice, with the same
`upto`. On a disk so full that not even the loss frame fits, the file goes first and the frame follows.
A segment that cannot be read is dropped like any other; the log is then told what is known of its loss
(`prediction_log.damage`).

A segment is sealed by its size, and also when it is older than a part of the greatest age: otherwise the rows
of a quiet gateway would never leave.

A segment is as old as its newest row, or as the beginning of the one behind it where that is earlier: no row
came later, whatever its time says, and one that is dated ahead must not keep all that is behind it. A segment
that cannot be read grows old so too. A beginning is not believed that is ahead of now, or before the
segment's own: it is of a clock that was wrong, and the next one is asked. So a clock that was behind makes no
other segment old (but one whose own beginning is ahead of now, or cannot be read), and one that was ahead
keeps none longer but what it began: that stays longer by as much as the clock was ahead, and by the greatest
age at most.
"""

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from groundwork.clock import Clock
from groundwork.errors import DriftgateError, NewerStoreError, NoRoomError, StoreError
from prediction_log import damage
from prediction_log import segment_file as files
from prediction_log.errors import SegmentError
from prediction_log.reading import RETENTION
from prediction_log.record import Kind, loss_schema
from prediction_log.segment_sink import SegmentSink
from prediction_log.transport import Offset

DAY_NS: Final = 24 * 3600 * 10**9

_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_UNKNOWN: Final = 2**63 - 1
"""A time that is older than no age."""

PARTS_OF_AGE: Final = 8
"""A segment is sealed at the latest when it is this part of the greatest age old."""


class Limits(msgspec.Struct, frozen=True):
    """When segments are dropped: bytes of all, age of a segment's newest row, bytes free on the disk."""

    max_bytes: int = 8 << 30
    max_age_ns: int = 30 * DAY_NS
    min_free_bytes: int = 1 << 30


class _Sealed(msgspec.Struct, frozen=True):
    """A segment that may go; of a damaged one nothing is known but its number."""

    number: int
    rows: int = 0
    last_row: int = 0
    last_time: int = _UNKNOWN
    created: int = _UNKNOWN
    damaged: bool = False


def free_bytes(folder: Path) -> int:
    """Bytes that this disk has left."""
    return shutil.disk_usage(folder).free


def drop_oldest(
    folder: Path,
    limits: Limits,
    sink: SegmentSink,
    clock: Clock,
    *,
    free: Callable[[Path], int] = free_bytes,
) -> list[int]:
    """Drop segments until the limits are kept or only the active one is left; returns the numbers dropped.

    Raises what the sink's `note` raises; the segment then stays, but for NoRoomError: then it has gone, and
    the missing number is all that tells of it.
    """
    dropped: list[int] = []
    while (oldest := _oldest_sealed(folder)) is not None and _is_over(folder, oldest, limits, clock, free):
        loss = _loss(folder, oldest, clock.now())
        try:
            sink.note(Kind.LOSS, loss_schema(), loss, rows=1)
        except NoRoomError:
            _remove(folder, oldest.number)
            sink.note(Kind.LOSS, loss_schema(), loss, rows=1)
        _remove(folder, oldest.number)
        dropped.append(oldest.number)
    return dropped


def keep_limits(
    folder: Path,
    limits: Limits,
    sink: SegmentSink,
    clock: Clock,
    *,
    free: Callable[[Path], int] = free_bytes,
) -> list[int]:
    """Seal the active segment when it is old enough, then drop what is over the limits; see `drop_oldest`."""
    older_than = clock.now() - limits.max_age_ns // PARTS_OF_AGE
    if limits.max_age_ns and older_than > 0:
        sink.rotate(older_than=older_than)
    return drop_oldest(folder, limits, sink, clock, free=free)


def log_bytes(folder: Path) -> int:
    """Bytes of all segments, with what SQLite keeps beside them."""
    held = 0
    for path in folder.glob(f"*{files.SUFFIX}*"):
        with contextlib.suppress(FileNotFoundError):  # a segment was just dropped, or a file beside it
            held += path.stat().st_size
    return held


def _is_over(
    folder: Path, oldest: _Sealed, limits: Limits, clock: Clock, free: Callable[[Path], int]
) -> bool:
    return (
        log_bytes(folder) > limits.max_bytes
        or _is_old(folder, oldest, limits.max_age_ns, clock.now())
        or free(folder) < limits.min_free_bytes
    )


def _is_old(folder: Path, oldest: _Sealed, most: int, now: int) -> bool:
    if now - oldest.last_time > most:
        return True
    if 0 <= now - oldest.created <= most:
        return False  # no beginning behind it is earlier, and believed: there is nothing to open
    behind = _begun_behind(folder, oldest, now)
    return behind is not None and now - behind > most


def _begun_behind(folder: Path, segment: _Sealed, now: int) -> int | None:
    """When the next segment was begun whose beginning can be believed; see the module's rules."""
    since = segment.created if segment.created <= now else 0
    behind = (_begun(folder, number) for number in files.numbers(folder) if number > segment.number)
    return next((begun for begun in behind if begun is not None and since <= begun <= now), None)


def _begun(folder: Path, number: int) -> int | None:
    """When a segment was begun; None where it was not, or does not say now."""
    with (
        contextlib.suppress(DriftgateError, sqlite3.Error),
        contextlib.closing(files.open_segment(folder, number, readonly=True)) as connection,
    ):
        return None if files.is_sealed(connection) is None else files.created_at(connection)
    return None


def _oldest_sealed(folder: Path) -> _Sealed | None:
    present = files.numbers(folder)
    if len(present) < 2:  # noqa: PLR2004  the active one and an older one
        return None
    try:
        with contextlib.closing(files.open_segment(folder, present[0], readonly=True)) as connection:
            if not files.is_sealed(connection):
                return None
            created = files.created_at(connection)
            rows, last_row, last_time = connection.execute(
                "SELECT coalesce(sum(rows), 0), coalesce(max(row), 0), max(last_time) FROM frames"
            ).fetchone()
    except (StoreError, sqlite3.Error) as error:
        if _is_damage(error):
            return _Sealed(present[0], damaged=True)
        raise SegmentError(
            f"{folder}: the oldest segment cannot be read now: {error}; tried again"
        ) from error
    return _Sealed(present[0], rows, last_row, created if last_time is None else last_time, created)


def _is_damage(error: StoreError | sqlite3.Error) -> bool:
    """Whether the file is no segment any more, and not only locked, newer, or out of reach for a moment."""
    cause = error.__cause__ if isinstance(error, StoreError) else error
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in _DAMAGED
    return not isinstance(error, NewerStoreError)


def _loss(folder: Path, segment: _Sealed, now: int) -> dict[str, Any]:
    if segment.damaged:
        path = files.segment_path(folder, segment.number)
        return damage.measure(folder, segment.number, path, newest=False).columns(now)
    return {
        "time": now,
        "kind": 0,
        "incarnation": 0,
        "stream": 0,
        "count": segment.rows,
        "reason": [RETENTION],
        "upto": [str(Offset(segment.number, segment.last_row)).encode()],
    }


def _remove(folder: Path, number: int) -> None:
    path = files.segment_path(folder, number)
    for leftover in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        with contextlib.suppress(FileNotFoundError):
            leftover.unlink()
