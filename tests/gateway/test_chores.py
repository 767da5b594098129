"""What the parent keeps in order beside its workers."""

import io
import os
from pathlib import Path

import msgspec

from gateway.cache_upkeep import FIRST_SECONDS
from gateway.chores import Chores
from gateway.log_settings import LogSettings
from gateway.settings import GatewaySettings
from groundwork.clock import FakeClock
from groundwork.logs import Log
from prediction_log import segment_file
from prediction_log.segment_sink import SegmentSink
from registry_client.pruning import Removed
from tests.facts import until
from tests.prediction_log.samples import make_frame

SMALL = LogSettings(segment_bytes=1, max_bytes=2, min_free_bytes=0, reserve_bytes=0)


async def test_room_is_held_and_the_cache_looked_at_after_a_sweep(tmp_path: Path) -> None:
    """A sweep's end takes room for slots, and an artifact that nobody needs any more leaves the cache."""
    clock, removed = FakeClock(), list[Removed]()
    (tmp_path / "models").mkdir()
    artifact = tmp_path / "cache" / "ab12.onnx"
    artifact.parent.mkdir()
    artifact.touch()
    os.utime(artifact, (0, 0))
    settings = GatewaySettings(data=str(tmp_path), models=str(tmp_path / "models"), workers=1)
    chores = Chores(settings, removed.append, clock, Log(io.StringIO(), clock))
    clock.advance(FIRST_SECONDS)
    chores.tend()
    assert (tmp_path / "slots.ballast").exists()
    assert (removed, artifact.exists()) == ([Removed(gone=1)], False)
    await chores.close()


async def test_changed_limits_of_the_log_are_kept_to(tmp_path: Path) -> None:
    """A log that is too large by settings taken up while it is looked after is cut."""
    clock = FakeClock()
    sink = SegmentSink(tmp_path / "log", segment_bytes=1, clock=clock)
    for first in (0, 3, 6):
        sink.write([make_frame(first)])
    sink.close()
    settings = GatewaySettings(data=str(tmp_path), log=LogSettings(min_free_bytes=0, reserve_bytes=0))
    chores = Chores(settings, lambda _removed: None, clock, Log(io.StringIO(), clock))
    chores.begin()
    chores.use(msgspec.structs.replace(settings, log=SMALL))
    await until(lambda: segment_file.numbers(tmp_path / "log") == [3], "the log is cut")
    await chores.close()
