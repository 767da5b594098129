"""Ends of logs in segments, for the tests of what is in them."""

from contextlib import closing
from pathlib import Path
from typing import Any

from groundwork.clock import FakeClock
from prediction_log.segment_sink import SegmentSink
from prediction_log.segment_source import SegmentSource
from prediction_log.transport import START
from tests.prediction_log.conftest import Held


def sink_of(held: Held, folder: Path, **more: Any) -> SegmentSink:
    """A sink on small segments."""
    return held(SegmentSink(folder, clock=FakeClock(1_000, 0.0), **({"segment_bytes": 1 << 20} | more)))


def firsts(folder: Path) -> list[int]:
    """First sequence of every frame, as read from the start."""
    with closing(SegmentSource(folder)) as source:
        return [int.from_bytes(body[16:24], "little") for _, body in source.read(START, 1000)]
