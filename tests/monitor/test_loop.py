"""Tests of monitor.loop."""

import contextlib
import io
from pathlib import Path

import pytest

from groundwork.clock import FakeClock
from groundwork.logs import Log
from monitor.evidence_out import EvidenceOut
from monitor.loop import FEWEST, FRAMES, LONG_S, Loop, portion
from monitor.pipeline import Pipeline
from monitor.store import open_store
from prediction_log.segment_source import SegmentSource
from tests.monitor import worlds
from tests.monitor.test_streams import Quiet


def test_a_first_round_that_fails_keeps_nobody_waiting(tmp_path: Path) -> None:
    """A monitor before a segment that nobody can read has gone round: it is there, and says what is wrong."""
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "000001.seg").write_bytes(bytes(range(256)) * 64)
    clock, told, seen = FakeClock(worlds.START), io.StringIO(), []
    with (
        contextlib.closing(open_store(tmp_path)) as db,
        contextlib.closing(SegmentSource(tmp_path / "log")) as source,
    ):
        pipeline = Pipeline(db, worlds.settings(), worlds.registry("1"), worlds.IDS)
        loop = Loop(pipeline, source, Quiet(), EvidenceOut(Quiet(), clock), clock, Log(told, clock))

        def enough(_waited: float) -> bool:
            seen.append(loop.went_round.is_set())
            return True

        assert not loop.run(poll=0.1, catch_up=0.0, enough=enough)
    assert seen == [True]
    assert sum(loop.errors.values()) == 1
    assert "round-failed" in told.getvalue()


@pytest.mark.parametrize("costs", [1e-5, 1e-3, 0.01, 0.05, 0.1, 1.0])
def test_a_round_is_no_longer_than_others_can_wait(costs: float) -> None:
    """However much a frame costs: soon a round is short enough, or has the fewest, and stays so."""
    frames, taken = FRAMES, []
    for _ in range(12):
        taken.append(frames * costs)
        frames = portion(frames, taken[-1])
        assert FEWEST <= frames <= FRAMES
    assert all(took <= max(LONG_S, FEWEST * costs) for took in taken[5:])


def test_cheap_frames_are_read_in_large_rounds_again() -> None:
    """What was dear for a while does not keep rounds small: each pays for a commit."""
    frames = FEWEST
    for _ in range(6):
        frames = portion(frames, 0.001)
    assert frames == FRAMES
