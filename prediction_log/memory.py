"""The transport `memory`: a log in a list, for tests and examples.

It keeps every promise of a transport but that of outliving the process. Both ends are the same object.
Threads of one process may share it: one lock guards it.
"""

from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from prediction_log import frame as frames_module
from prediction_log.transport import START, Offset


class MemoryLog:
    """Both ends of a log that lives as long as this object; a segment holds `segment_frames` frames."""

    def __init__(self, folder: Path | None = None, *, segment_frames: int = 1024) -> None:
        del folder  # every transport is opened with one; this one has no files
        self._frames: list[bytes] = []
        self._ends: dict[tuple[int, int], int] = {}
        self._segment_frames = segment_frames
        self._lock = Lock()

    def sink(self) -> "MemoryLog":
        """The log itself."""
        return self

    def source(self) -> "MemoryLog":
        """The log itself."""
        return self

    def write(self, frames: Sequence[bytes]) -> int:
        """See Sink.write."""
        decoded = [(frames_module.decode(body, verify=False), body) for body in frames]
        new = 0
        with self._lock:
            for frame, body in decoded:
                stream = (frame.incarnation, frame.stream)
                if frame.end > self._ends.get(stream, -1):
                    self._frames.append(bytes(body))
                    self._ends[stream] = frame.end
                    new += 1
        return new

    def reached(self, incarnation: int, stream: int) -> int:
        """See Sink.reached."""
        with self._lock:
            return self._ends.get((incarnation, stream), 0)

    def read(self, after: Offset, limit: int) -> list[tuple[Offset, bytes]]:
        """See Source.read."""
        start = max(0, (after.segment - 1) * self._segment_frames + after.row)
        with self._lock:
            taken = self._frames[start : start + limit]
        return [(self._offset(start + index + 1), body) for index, body in enumerate(taken)]

    def first(self) -> Offset:
        """See Source.first."""
        return Offset(1, 0) if self._frames else START

    def end(self) -> Offset:
        """See Source.end."""
        return self._offset(len(self._frames)) if self._frames else START

    def sync(self) -> None:
        """Nothing: memory survives no power cut."""

    def close(self) -> None:
        """Nothing to give back."""

    def _offset(self, count: int) -> Offset:
        """The offset after the `count`-th frame ever written."""
        segment, index = divmod(count - 1, self._segment_frames)
        return Offset(segment + 1, index + 1)
