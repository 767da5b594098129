"""The transport `segments`: the log on disk, a folder with as many ends as are asked for."""

from pathlib import Path

from groundwork.clock import Clock
from prediction_log.segment_sink import SEGMENT_BYTES, SegmentSink
from prediction_log.segment_source import SegmentSource


class SegmentLog:
    """One folder of segments; opened by whoever wants an end of it."""

    def __init__(
        self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES, clock: Clock | None = None
    ) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._clock = clock

    def sink(self) -> SegmentSink:
        """A new writing end."""
        return SegmentSink(self._folder, segment_bytes=self._segment_bytes, clock=self._clock)

    def source(self) -> SegmentSource:
        """A new reading end."""
        return SegmentSource(self._folder)
