"""Frames of one model and kind, in log order, found by index instead of by reading the whole log."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prediction_log import segment_file as files
from prediction_log.frame import Frame, decode

_PAGE: Final = 64

_QUERY: Final = """
    SELECT row, body FROM frames
    WHERE model = ? AND kind = ? AND last_time >= ? AND first_time < ? AND row > ?
    ORDER BY row LIMIT ?
"""

_ALWAYS: Final = (-(2**63), 2**63 - 1)


def models(log_folder: Path) -> list[str]:
    """The models of which the log holds anything; one walk over each segment's index."""
    found: set[str] = set()
    for number in files.numbers(log_folder):
        with files.existing(log_folder, number) as connection:
            if connection is not None:
                found.update(name for (name,) in connection.execute("SELECT DISTINCT model FROM frames"))
    return sorted(found - {""})


def select(
    log_folder: Path, model: str, kind: int, *, since_ns: int | None = None, until_ns: int | None = None
) -> Iterator[Frame]:
    """Frames with rows recorded at or after `since_ns` and before `until_ns`; their other rows come along.

    Memory for a page of frames; each page is one short read transaction, so retention and writers go on.
    FrameError where a frame was damaged.
    """
    since = _ALWAYS[0] if since_ns is None else since_ns
    until = _ALWAYS[1] if until_ns is None else until_ns
    for number in files.numbers(log_folder):
        with files.existing(log_folder, number) as connection:
            if connection is None:
                continue
            after = 0
            while page := connection.execute(_QUERY, (model, kind, since, until, after, _PAGE)).fetchall():
                for _, body in page:
                    yield decode(body)
                after = page[-1][0]
