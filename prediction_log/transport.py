"""What the two ends of a log promise, and the offset at which a reader stands.

Promises of every transport (the contract suite in tests/prediction_log holds each entry of the table to
them):

* *Order.* Frames of one stream are read in the order they were written. Streams may be interleaved.
* *All or none.* One `write` is in the log whole, or not at all.
* *Once.* A frame whose end is at or below the last sequence of its stream is skipped, so a frame that is
  written again (a recovered slot) is in the log once.
* *Resumption.* `read(after)` gives the frames strictly after `after`, none twice, none left out, for ever the
  same; an offset is good across restarts and rotation.
* *Bytes.* What is read is what was written, byte for byte, until values in it are deleted
  (`prediction_log.deletion`): then it is the same rows without them. A transport does not judge what it
  carries beyond what it needs to index it; bytes that are no frame are refused by `write`.
"""

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from prediction_log.errors import SegmentError


class Offset(msgspec.Struct, frozen=True, order=True):
    """A place in the log: everything up to and including frame `row` of `segment` has been read.

    Ordered as the log is. Rows start at 1; row 0 stands before a segment's first frame.
    """

    segment: int
    row: int

    def __str__(self) -> str:
        return f"{self.segment:06d}:{self.row}"

    @classmethod
    def parse(cls, text: str) -> "Offset":
        """The offset that `str` wrote; SegmentError for anything else."""
        segment, colon, row = text.partition(":")
        if not (colon and segment.isascii() and segment.isdecimal() and row.isascii() and row.isdecimal()):
            raise SegmentError(f"offset {text!r} is not SEGMENT:ROW, as in 000001:42")
        return cls(int(segment), int(row))


START = Offset(0, 0)
"""Before everything, whatever the log's first segment is."""


FRAME_BYTES: Final = 512 << 20
"""The largest frame: SQLite has no values of 10⁹ bytes, and who reads one has all of it in memory."""
READ_BYTES: Final = 64 << 20
"""A frame may be as large as a request, and who reads many of them at once has them all in memory."""


class Sink(Protocol):
    """The end a worker writes to. One thread at a time."""

    def write(self, frames: Sequence[bytes]) -> int:
        """Append whole frames in one transaction; returns how many were new (not skipped as repeats).

        Raises FrameError for bytes that are no frame, NoRoomError (groundwork) for a full disk, SegmentError
        where the place cannot be written for another reason; nothing was written then, and the same call may
        be made again.
        """

    def reached(self, incarnation: int, stream: int) -> int:
        """The end of the last frame of a stream; 0 before its first."""

    def sync(self) -> None:
        """What was written before survives a power cut after this returns."""

    def close(self) -> None:
        """Give back what the sink holds; harmless when repeated."""


class Source(Protocol):
    """The end the monitor reads from. One thread at a time; any number of sources, any number of times."""

    def read(self, after: Offset, limit: int) -> list[tuple[Offset, bytes]]:
        """At most `limit` frames strictly after `after`, each with the offset to resume from.

        Fewer where they are large: none is read beyond that with which there are READ_BYTES.
        """

    def first(self) -> Offset:
        """The offset before the oldest frame that is still there."""

    def end(self) -> Offset:
        """The offset of the newest frame: reading after it gives nothing yet."""

    def close(self) -> None:
        """Give back what the source holds; harmless when repeated."""


class Transport(Protocol):
    """One log: both of its ends, as many of each as are asked for."""

    def sink(self) -> Sink:
        """A new writing end."""

    def source(self) -> Source:
        """A new reading end."""
