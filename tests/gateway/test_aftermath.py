"""What follows a worker's end."""

import io
import signal
from pathlib import Path

import pytest

from gateway.aftermath import Aftermath
from gateway.guards import CrashGuard
from gateway.metrics import LOADING
from gateway.quarantine import LOAD_CRASHES
from gateway.sweep import Sweeper
from groundwork.clock import FakeClock
from groundwork.logs import Log
from groundwork.slots import Slot
from prediction_log.recovery import Taken


class Bench:
    """An aftermath over a folder whose workers load version 1 of `m` when they die."""

    def __init__(self, folder: Path) -> None:
        self.slots = folder / "slots"
        self.clock = FakeClock()
        self.lines = io.StringIO()
        log = Log(self.lines, self.clock)
        self.guard = CrashGuard.open(folder, self.clock, log)
        sweeper = Sweeper(self.slots, lambda _slot: Taken(), self.clock, log)
        self.tended = 0
        self.fault: OSError | None = None
        self.told = 0
        self.aftermath = Aftermath(sweeper, self.guard, self.clock, log, tend=self._tend)
        self.aftermath.barring = self._bar

    def _tend(self) -> None:
        self.tended += 1
        if self.fault is not None:
            raise self.fault

    def _bar(self) -> None:
        self.told += 1

    def die(self, place: int) -> None:
        """Leave the slot of a worker of this place that died while it loaded."""
        slot = Slot.create(self.slots, place=place)
        labels = {"model": "m", "version": "1"}
        slot.counters.values[slot.counters.series(LOADING, labels, kind="gauge")] = 1
        slot.close()

    async def follow(self, place: int, code: int = -signal.SIGSEGV) -> None:
        """Deal with the end of the worker of this place."""
        self.aftermath.follow(place, code, "crashed" if code < 0 else "stopped")
        await self.aftermath.settled()

    def barred(self) -> list[tuple[str, str]]:
        """What no worker loads now."""
        return [one.key for one in self.aftermath.barred()]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A fresh bench."""
    return Bench(tmp_path)


async def test_a_version_is_barred_and_the_living_are_told(bench: Bench) -> None:
    """As many deaths in its load as it takes bar a version, once; workers that live hear of it."""
    for place in range(LOAD_CRASHES):
        assert bench.barred() == []
        bench.die(place)
        await bench.follow(place)
    assert bench.barred() == [("m", "1")]
    assert bench.told == 1
    assert bench.lines.getvalue().count("version-barred") == 1
    bench.guard.close()


async def test_deaths_of_an_earlier_life_blame_nobody(bench: Bench) -> None:
    """Slots that were dead before the start are taken over; nobody knows how their workers ended."""
    for place in range(LOAD_CRASHES):
        bench.die(place)
    await bench.aftermath.take_over()
    for place in range(LOAD_CRASHES):
        await bench.follow(place)
    assert bench.barred() == []
    bench.guard.close()


async def test_a_slot_is_judged_by_its_own_worker_s_end(bench: Bench) -> None:
    """Of two that die together one crashed, one was stopped: one death counts."""
    bench.die(0)
    bench.die(1)
    await bench.follow(1, 0)
    await bench.follow(0)
    assert bench.barred() == []
    bench.die(2)
    await bench.follow(2)
    assert bench.barred() == [("m", "1")]
    bench.guard.close()


async def test_a_sweep_that_fails_is_told_and_followed_by_another(bench: Bench) -> None:
    """While workers run nothing of it is raised; at a start it is, for nothing could be promised then."""
    bench.fault = OSError("the disk is gone")
    await bench.aftermath.sweep()
    assert "slots-not-swept" in bench.lines.getvalue()
    with pytest.raises(OSError, match="the disk is gone"):
        await bench.aftermath.take_over()
    bench.fault = None
    await bench.aftermath.sweep()
    assert bench.tended == 3
    bench.guard.close()
