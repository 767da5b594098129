"""Reading frames instead of bytes: what cannot be read is passed over and counted.

A frame of garbage, or of a kind of a later version, must not stop a reader for ever; it must not vanish
either. `Reader` keeps both counts and gives the offset to resume from whatever it passed over.
"""

from typing import Final

from prediction_log.errors import FrameError
from prediction_log.frame import Frame, decode
from prediction_log.record import Kind
from prediction_log.transport import Offset, Source

RETENTION: Final = b"retention"
"""The reason of a loss frame whose rows were dropped by age or size, after they could be read."""

_KNOWN: Final = frozenset(Kind)


class Reader:
    """A source read frame by frame, from an offset on. `garbage` and `unknown` count what it passed over."""

    def __init__(self, source: Source, after: Offset) -> None:
        self.offset = after
        self.garbage = 0
        self.unknown = 0
        self._source = source

    def read(self, limit: int) -> list[tuple[Offset, Frame]]:
        """The next frames of a known kind, among the next `limit` of any; `offset` moves past all of them."""
        taken: list[tuple[Offset, Frame]] = []
        for offset, body in self._source.read(self.offset, limit):
            self.offset = offset
            try:
                frame = decode(body)
            except FrameError:
                self.garbage += 1
                continue
            if frame.kind in _KNOWN:
                taken.append((offset, frame))
            else:
                self.unknown += 1
        return taken


def lost_rows(frame: Frame) -> int:
    """Rows that this frame reports as lost for good: the one rule by which losses are added up.

    Its own `skipped`, and for a loss frame its counts – but not those of retention, which drops what was
    readable before: a reader that had passed `upto` lost nothing.
    """
    if frame.kind != Kind.LOSS:
        return frame.skipped
    counts: list[int] = frame.array("count").tolist()
    pairs = zip(counts, frame.strings("reason").tolist(), strict=True)
    return frame.skipped + sum(count for count, reason in pairs if reason != RETENTION)
