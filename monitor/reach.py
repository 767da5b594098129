"""How far each segment was read, so that what the limits dropped can be told apart: read before, or not.

The log drops its oldest segments without asking who has read them, and says in a loss frame how many rows
went and up to which offset. Rows of a segment that was read to that offset are no loss. State follows from
the log and its order alone.
"""

import msgspec

from groundwork import decoders
from prediction_log.transport import START, Offset


class Dropped(msgspec.Struct, frozen=True):
    """Rows that were dropped from the log: after they were read here, and before."""

    read: int
    unread: int


class _Saved(msgspec.Struct, frozen=True, array_like=True, tag="reach-1"):
    since: str
    dropped: int
    segments: tuple[tuple[int, int, int], ...]
    damaged: tuple[int, ...] = ()


class Reach:
    """What was read of the segments that are still there; `since` is where counting began."""

    def __init__(self, since: Offset = START) -> None:
        self._since = since
        self._dropped = 0
        self._read: dict[int, tuple[int, int]] = {}
        self._damaged: set[int] = set()

    def passed(self, offset: Offset, rows: int) -> None:
        """A frame with so many rows was read."""
        _, before = self._read.get(offset.segment, (0, 0))
        self._read[offset.segment] = (offset.row, before + rows)

    def dropped(self, upto: Offset, rows: int) -> Dropped:
        """A segment with so many rows went; nothing for one that was told of before."""
        if upto.segment <= self._dropped:
            return Dropped(0, 0)
        self._dropped = upto.segment
        last, read = self._read.get(upto.segment, (0, 0))
        self._read = {segment: found for segment, found in self._read.items() if segment > upto.segment}
        if upto <= self._since or last >= upto.row:
            return Dropped(rows, 0)
        return Dropped(min(read, rows), max(0, rows - read))

    def damaged(self, segment: int, rows: int) -> Dropped:
        """A segment with so many rows could not be read any more; nothing for one that was told of before."""
        if segment in self._damaged:
            return Dropped(0, 0)
        self._damaged.add(segment)
        _, read = self._read.pop(segment, (0, 0))
        read = rows if segment < self._since.segment else min(read, rows)
        return Dropped(read, rows - read)

    def state(self) -> bytes:
        """Everything `restore` needs."""
        segments = tuple((segment, *found) for segment, found in sorted(self._read.items()))
        return msgspec.msgpack.encode(
            _Saved(str(self._since), self._dropped, segments, tuple(sorted(self._damaged)))
        )

    @classmethod
    def restore(cls, state: bytes) -> "Reach":
        """The reach that `state` was taken of."""
        saved = decoders.msgpack_of(_Saved).decode(state)
        reach = cls(Offset.parse(saved.since))
        reach._dropped, reach._damaged = saved.dropped, set(saved.damaged)
        reach._read = {segment: (row, rows) for segment, row, rows in saved.segments}
        return reach
