"""What a worker does about rollouts without being asked."""

import io
from pathlib import Path

import pytest

from gateway.steering import Steering
from groundwork.clock import FakeClock
from groundwork.logs import Log
from rollouts import spec_file, verbs
from rollouts.history import Entry
from rollouts.store import SqliteStore


class Bench:
    """A store in which version 2 of `m` is rolled out, and one worker's steering of it."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.store = SqliteStore(folder / "rollouts.db", self.clock)
        self.store.ensure_first("m", "1", "gateway")
        spec = spec_file.convert({"guards": {"consecutive_errors": 20}})
        begun = Entry(actor="operator:ada", verb="start")
        verbs.apply(self.store, "m", verbs.start(spec, "2"), begun, self.clock.now())
        self.failures = 0
        self.steering = Steering(
            self.store,
            folder / "slots",
            7,
            lambda _model, _version: self.failures,
            self.clock,
            lease=3.0,
            log=Log(io.StringIO(), self.clock),
        )

    async def guard(self) -> list[str]:
        """Guard once; who has acted after the start."""
        await self.steering.guard(self.store.routes())
        return [entry.actor for entry in self.store.history(after=2)]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A fresh bench."""
    return Bench(tmp_path)


async def test_a_candidate_that_fails_again_and_again_is_taken_back(bench: Bench) -> None:
    """A guard's edit follows the failures of this worker, and nothing follows as long as there are few."""
    assert await bench.guard() == []
    bench.failures = 20
    assert await bench.guard() == ["guard"]
    await bench.steering.close()


async def test_who_closes_gives_the_lease_away(bench: Bench) -> None:
    """The pilot's lease is free for the next worker as soon as this one has stopped."""
    await bench.steering.fly()
    lease = bench.store.lease("pilot", "slot-8", 3.0)
    await bench.steering.close()
    assert (lease, bench.store.lease("pilot", "slot-8", 3.0) is None) == (None, False)
