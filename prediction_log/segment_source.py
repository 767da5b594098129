"""The reading end of a folder of segments, the log on disk.

Rule: a reader moves on only past a segment that it has seen sealed in the same transaction as its rows. It
hands frames on as they are, and may be behind by any number of segments, or find those it wanted dropped. A
log that is taken away below it, or replaced, is an error once: what it had open would never grow again, and
look as if all were read.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from groundwork.errors import StoreError
from groundwork.files import identity
from prediction_log import segment_file as files
from prediction_log.errors import SegmentError
from prediction_log.transport import READ_BYTES, START, Offset


class SegmentSource:
    """The reading end of a folder of segments: short read transactions, nothing locked in between."""

    def __init__(self, folder: Path, read_bytes: int = READ_BYTES) -> None:
        self._folder = folder
        self._most = read_bytes
        self._number = 0
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    def read(self, after: Offset, limit: int) -> list[tuple[Offset, bytes]]:
        """See Source.read. Some 30 µs when there is nothing new."""
        number, row = after.segment, after.row
        found: list[tuple[Offset, bytes]] = []
        size = 0
        with self._explained():
            while len(found) < limit:
                connection, at = self._open(number)
                if connection is None:
                    break
                if at != number:
                    number, row = at, 0
                sealed, rows = _read(connection, row, limit - len(found), self._most - size)
                found += [(Offset(number, place), body) for place, body in rows]
                size += sum(len(body) for _, body in rows)
                if not sealed or len(found) == limit or size >= self._most:
                    break
                number, row = number + 1, 0
        return found

    def first(self) -> Offset:
        """See Source.first; START before anything was ever written."""
        present = files.numbers(self._folder)
        return Offset(present[0], 0) if present else START

    def end(self) -> Offset:
        """See Source.end; START before anything was ever written."""
        with self._explained():
            number = files.active_number(self._folder)
            if number is None:
                return START
            connection = files.open_segment(self._folder, number, readonly=True)
            try:
                row = files.last_row(connection)
            finally:
                connection.close()
        return Offset(number, row)

    def close(self) -> None:
        """Close the file; the next read opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self, number: int) -> tuple[sqlite3.Connection | None, int]:
        """Segment `number`, or where that was dropped the oldest one after it; None when there is none."""
        if self._connection is not None and self._number == number and self._is_there():
            return self._connection, number
        self.close()
        for at in files.numbers(self._folder):
            if at < number:
                continue
            try:
                self._connection, self._number = files.open_segment(self._folder, at, readonly=True), at
            except StoreError:
                if files.segment_path(self._folder, at).exists():
                    raise
            else:
                self._file = identity(files.segment_path(self._folder, at))
                return self._connection, at
        return None, number

    def _is_there(self) -> bool:
        """Whether the open segment is in its folder; False where it was dropped and others follow it."""
        path = files.segment_path(self._folder, self._number)
        found = identity(path)
        if found == self._file:
            return True
        if found is None and any(number > self._number for number in files.numbers(self._folder)):
            return False
        self.close()
        what = "was taken away" if found is None else "was replaced by another file"
        raise SegmentError(f"{path} {what} while it was read; what is there is read from its beginning")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise SegmentError(f"{self._folder} cannot be read: {error}") from error


def _read(
    connection: sqlite3.Connection, after: int, limit: int, size: int
) -> tuple[bool, list[tuple[int, bytes]]]:
    """(sealed, rows after `after`) of one snapshot, until there are so many or so many bytes.

    Where it is sealed, and neither was reached, no row can follow those.
    """
    connection.execute("BEGIN")
    try:
        sealed = bool(files.is_sealed(connection))
        rows: list[tuple[int, bytes]] = []
        found = connection.execute(
            "SELECT row, body FROM frames WHERE row > ? ORDER BY row LIMIT ?", (after, limit)
        )
        while size > 0 and (row := found.fetchone()) is not None:
            rows.append(row)
            size -= len(row[1])
        found.close()
    finally:
        connection.execute("COMMIT")
    return sealed, rows
