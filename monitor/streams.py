"""How far each stream of rows was read: a row that the log forgot, and has again, is counted once.

An offset alone is not enough after a power cut: the monitor syncs what it counted, the log only now and then.
What a cut took from the log may lie in a slot still, is recovered into a later segment, and is read a second
time. A frame names its stream and its last sequence, and a worker never uses a sequence twice, so a frame
that ends where its stream was read already is known. Frames are written again as they were, with the same
ends: one that only reaches past what was read is taken whole.

Frames that no worker wrote (incarnation 0: losses, deletions) are not told apart here: after a cut the log
gives their sequences to others, and each is harmless when it is read again.

Of a frame that is taken in parts (`monitor.parts`) it is known how many of its rows were, also where the log
gives it a second time.

Kept are the MOST streams that were read last. It knows no segment but as a number, and no row.
"""

import sqlite3
from typing import Final

from prediction_log.frame import Frame
from prediction_log.transport import START, Offset, Source

MOST: Final = 4096
"""Streams that are remembered: those of some hundred workers, and only the last ones can come again."""


class StreamEnds:
    """The last sequence read of every stream; changed by one pipeline, in the transaction of its round."""

    def __init__(self, connection: sqlite3.Connection, most: int = MOST) -> None:
        """What the last commit knew; at most `most` streams are kept."""
        self._db = connection
        self._most = most
        self._ends: dict[tuple[int, int], int] = {}
        self._changed: set[tuple[int, int]] = set()
        self._turn = 0
        self.before = 0
        """How far the stream of the frame that was taken last had been read before it."""
        self._begun: dict[tuple[int, int], tuple[int, int]] = {
            (incarnation, stream): (end, rows)
            for incarnation, stream, end, rows in connection.execute(
                "SELECT incarnation, stream, end_seq, rows FROM begun"
            )
        }
        for incarnation, stream, end, turn in connection.execute(
            "SELECT incarnation, stream, end_seq, turn FROM streams ORDER BY turn"
        ):
            self._ends[incarnation, stream] = end
            self._turn = turn

    def knows(self, frame: Frame) -> bool:
        """Whether all of the frame was taken before; then its stream is one of those in use."""
        stream = (frame.incarnation, frame.stream)
        last = self._ends.get(stream)
        if not frame.incarnation or last is None or frame.end > last:
            return False
        self._ends[stream] = self._ends.pop(stream)  # behind all others: the order is that of use
        return True

    def begun(self, frame: Frame) -> int:
        """How many of the frame's rows were taken before."""
        end, rows = self._begun.get((frame.incarnation, frame.stream), (0, 0))
        return rows if end == frame.end and rows < frame.rows else 0

    def take(self, frame: Frame, rows: int) -> None:
        """Note that so many of the frame's rows are taken, from its first; with all of them it is known."""
        stream = (frame.incarnation, frame.stream)
        self.before = self._ends.get(stream, 0)
        if not frame.incarnation:
            return
        self._changed.add(stream)
        if rows < frame.rows:
            self._begun[stream] = frame.end, rows
        else:
            self._begun.pop(stream, None)
            self._ends.pop(stream, None)
            self._ends[stream] = frame.end

    def passed(self, incarnation: int, stream: int, sequence: int) -> bool:
        """Whether a stream was read past this sequence: what was not there is not to come."""
        return sequence < self._ends.get((incarnation, stream), 0)

    def save(self) -> None:
        """Write what changed and forget what is over the limit; inside the caller's transaction."""
        for stream in [stream for stream in self._ends if stream in self._changed]:
            self._turn += 1
            self._db.execute(
                "INSERT OR REPLACE INTO streams VALUES (?, ?, ?, ?)",
                (*stream, self._ends[stream], self._turn),
            )
        for stream in self._changed:
            self._db.execute("DELETE FROM begun WHERE incarnation = ? AND stream = ?", stream)
            if stream in self._begun:
                self._db.execute("INSERT INTO begun VALUES (?, ?, ?, ?)", (*stream, *self._begun[stream]))
        self._changed.clear()
        for stream in list(self._ends)[: max(0, len(self._ends) - self._most)]:
            del self._ends[stream]
            self._db.execute("DELETE FROM streams WHERE incarnation = ? AND stream = ?", stream)


def resumed(offset: Offset, source: Source) -> Offset:
    """Where to read on: at the offset, or further back where the log does not reach it any more.

    A log that lost its last commits is read on; one whose segment was begun anew, or that somebody took away,
    gives its row numbers again, so what is there is read from its beginning, and `StreamEnds` knows the rest.
    """
    end = source.end()
    if offset <= end:
        return offset
    if end.segment == offset.segment:
        return Offset(end.segment, 0)
    return source.first() if end != START else START
