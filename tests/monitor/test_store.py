"""Tests of monitor.store: a monitor.db that is taken away below a running monitor is noticed, and told."""

import contextlib
import io
from pathlib import Path

import httpx
import pytest

from groundwork.clock import FakeClock
from groundwork.errors import StoreError
from groundwork.logs import Log
from monitor import outbox
from monitor.evidence_out import EvidenceOut
from monitor.loop import Loop
from monitor.pipeline import Pipeline
from monitor.store import NAME, open_store
from prediction_log.memory import MemoryLog
from tests.monitor import worlds
from tests.monitor.test_delivery import Bench
from tests.monitor.test_streams import Quiet


@pytest.mark.parametrize("replaced", [False, True])
def test_a_store_that_is_taken_away_below_the_pipeline_is_told(tmp_path: Path, replaced: bool) -> None:  # noqa: FBT001
    """Nothing is counted into a file that goes with the process; once it is back, all goes on from there."""
    log, clock, told, traffic = MemoryLog(), FakeClock(worlds.START), io.StringIO(), worlds.Traffic()
    aside = tmp_path / "aside"
    with contextlib.closing(open_store(tmp_path)) as db:
        pipeline = Pipeline(db, worlds.settings(), worlds.registry("1"), worlds.IDS)
        loop = Loop(pipeline, log, Quiet(), EvidenceOut(Quiet(), clock), clock, Log(told, clock))
        log.write([traffic.predictions(3)[0]])
        loop.run(poll=0.0, catch_up=0.0, enough=lambda _: True)
        (tmp_path / NAME).rename(aside)
        if replaced:
            (tmp_path / NAME).touch()
        log.write([traffic.predictions(3)[0]])
        loop.run(poll=0.0, catch_up=0.0, enough=lambda _: True)
        assert (pipeline.offset.row, loop.errors) == (1, {StoreError.code: 1})
        assert ("was replaced" if replaced else "was removed") in loop.fault
        assert loop.fault in told.getvalue()
        aside.rename(tmp_path / NAME)
        loop.run(poll=0.0, catch_up=0.0, enough=lambda _: True)
        assert (pipeline.offset.row, loop.fault) == (2, "")


async def test_a_store_that_is_taken_away_lets_nothing_be_sent(tmp_path: Path) -> None:
    """An event that went out would go out again after the restart; one that is under way is settled later."""
    bench = Bench(tmp_path)
    event, aside = bench.promise(1), tmp_path / "aside"

    def answer(_request: httpx.Request) -> httpx.Response:
        (tmp_path / NAME).rename(aside)
        return httpx.Response(204)

    bench.answer = answer
    for _ in range(3):
        with pytest.raises(StoreError, match=r"monitor\.db was removed"):
            await bench.dispatcher.step()
    with pytest.raises(StoreError, match=r"monitor\.db was removed"):
        await bench.dispatcher.replay(event, None)
    aside.rename(tmp_path / NAME)
    await bench.dispatcher.step()
    assert len(bench.received) == 1
    assert bench.delivery(event).state == outbox.DELIVERED
    await bench.close()
