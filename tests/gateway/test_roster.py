"""Who works where, as operators see it."""

from pathlib import Path

from gateway.places import FRESH_SECONDS
from gateway.quarantine import Barred
from gateway.roster import BarredView, roster_of
from gateway.settings import WorkerSettings
from tests.facts import until
from tests.gateway.supervised import HANGS, Bench


async def test_a_worker_whose_loop_stands_still_is_shown_as_hung(tmp_path: Path) -> None:
    """It answers nobody, so it is not ready, and it says for how long; its neighbour that turns is."""
    bench = Bench(tmp_path, HANGS, worker=WorkerSettings(hung=0.0))
    running = bench.run()
    await until(bench.ready.is_set, "every worker answers")
    beats = iter(range(1, 1_000_000))

    def states() -> list[str]:
        bench.places.beat(0, float(next(beats)))
        return [view.state for view in bench.supervisor.roster().workers]

    await until(lambda: states() == ["ready", "hung"], "the one that does not turn hangs")
    states()
    turning, standing = bench.supervisor.roster().workers
    assert turning.still < FRESH_SECONDS < standing.still
    assert standing.pid
    bench.places.beat(1, 1.0)
    assert states() == ["ready", "ready"]
    bench.supervisor.stop()
    await running
    bench.close()


async def test_a_version_that_is_left_out_is_shown_with_its_time(tmp_path: Path) -> None:
    """Until when is told as every time is: RFC 3339 in UTC."""
    bench = Bench(tmp_path, HANGS)
    barred = Barred("m", "3", 1_793_874_131_402_999_999, "it crashed")
    told = roster_of(bench.supervisor.crew, bench.places, bench.tally, (barred,)).barred
    assert told == (BarredView("m", "3", "2026-11-05T10:22:11.402Z", "it crashed"),)
    bench.close()
