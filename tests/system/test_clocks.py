"""Programs whose clock is thirty days off, or is set while they run: nothing is judged or counted by it."""

import asyncio
import os
import struct
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pytest

from groundwork.dates import rfc3339
from prediction_log.record import Kind, Outcome
from tests import models
from tests.facts import until
from tests.system import graphs, monitors
from tests.system.load import Load, Plan, Shot
from tests.system.monitors import Monitor
from tests.system.rig import Gateway

pytestmark = pytest.mark.system

DAYS: Final = 30 * 86_400
FIRST: Final = Path(__file__).parent / "clocks"
"""What Python runs before all else."""
QUICK: Final = {"for": "0.2s", "samples": 30, "until": "no-regression"}
PROVEN: Final = {"for": "0.2s", "samples": 30, "until": "pass"}
LONG: Final = {"for": "1h", "samples": 0}


class World:
    """A gateway with the versions 1 (stable) and 2, and its monitor, on one clock that can be set."""

    def __init__(self, folder: Path) -> None:
        self._clock = folder / "clock"
        self.set(0)
        self.environ: Mapping[str, str] = {
            "WRONG_CLOCK": str(self._clock),
            "PYTHONPATH": os.pathsep.join([str(FIRST), *filter(None, [os.environ.get("PYTHONPATH")])]),
        }
        # A machine that is late by a second has nobody refused: this is about its clock.
        self.gateway = Gateway(folder, queue={"max_lag": 30.0})
        self.bodies = monitors.publish(self.gateway.models, "1")
        self.monitor = Monitor(folder / "monitor", self.gateway.data, self.gateway.models)
        self.shots: list[Shot] = []

    def set(self, seconds: float) -> None:
        """Let the programs' clock be so far ahead of the machine's."""
        with self._clock.open("r+b" if self._clock.exists() else "wb") as file:
            file.write(struct.pack("<q", round(seconds * 1e9)))

    async def start(self) -> None:
        """Start both; version 2 is published when 1 is stable already."""
        await self.gateway.start(self.environ)
        await self.monitor.start(self.environ)
        monitors.publish(self.gateway.models, "2")

    async def begin(self, *steps: dict[str, Any], candidate: str = "2") -> None:
        """Start a rollout of the candidate with these steps."""
        plan = {"steps": list(steps), "metrics": [{"name": "error-rate"}], "bake": {"for": 0}}
        answer = await self.gateway.act("m", "start", candidate=candidate, spec=plan)
        assert answer.status_code == 200, answer.text

    def rollout(self) -> Any:
        """The rollout's status."""
        return self.gateway.get("/v1/rollouts/m")

    async def state(self, wanted: str) -> None:
        """Wait until the rollout is in a state."""
        try:
            await until(lambda: self.rollout()["state"] == wanted, f"the rollout is {wanted}")
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.rollout()}; {self.gateway.output()}") from None

    def load(self) -> "Running":
        """Steady load while the block lasts; every answer must be a prediction."""
        return Running(self)

    async def counted(self) -> None:
        """Everything answered is in the log once, and counted once by the monitor.

        A candidate that failed has a row of its own beside that of the version which answered in its place.
        """
        assert {shot.status for shot in self.shots} == {200}
        answered = sorted(shot.prediction_id for shot in self.shots)
        await until(lambda: self._answered() == answered, "every answer is in the log")
        logged = len(self.gateway.logged())
        await until(lambda: self.monitor.rows() >= logged, "the monitor has counted them")
        assert self.monitor.rows() == logged

    def _answered(self) -> list[str]:
        """The ids of all answered rows of the log, in their own order."""
        found: list[str] = []
        for frame in self.gateway.frames():
            if frame.kind == Kind.PREDICTION:
                right = frame.array("outcome") == Outcome.OK
                found += [bytes(row).hex() for row in np.ascontiguousarray(frame.array("id"))[right]]
        return sorted(found)


class Running:
    """A load under way."""

    def __init__(self, world: World) -> None:
        plan = Plan(
            world.gateway.http, "/v2/models/m/infer", rate=400, seconds=600.0, bodies=world.bodies.usual
        )
        self._world = world
        self._load = Load(plan)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._load.run())
        await self.more()
        return self

    async def more(self, shots: int = 100) -> None:
        """Wait for so many answers from now on."""
        wanted = len(self._load.shots) + shots
        await until(lambda: len(self._load.shots) >= wanted, "the load is under way")

    async def __aexit__(self, *_: object) -> None:
        self._load.stop()
        self._world.shots += await self._task


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Not started, its clock right."""
    made = World(tmp_path)
    try:
        yield made
    finally:
        made.monitor.kill()
        await made.gateway.close()


@pytest.mark.parametrize("off", [-DAYS, DAYS])
async def test_rollouts_go_on_and_back_by_a_clock_that_is_wrong(world: World, off: float) -> None:
    """Thirty days late or ahead: a canary is promoted, a failing one rolled back, all is counted once."""
    world.set(off)
    await world.start()
    async with world.load():
        await world.begin({"weight": 30, "hold": QUICK}, {"weight": 60, "hold": PROVEN})
        await world.state("succeeded")
        graphs.put(world.gateway.models, "m", 3, models.fragile_logistic(monitors.WIDTH))
        await world.begin({"weight": 50, "hold": LONG}, candidate="3")
        await world.state("rolled-back")
    await world.counted()
    assert world.rollout()["stable"] == "2"


@pytest.mark.parametrize("off", [-DAYS, DAYS])
async def test_a_clock_that_is_set_moves_no_step(world: World, off: float) -> None:
    """An hour's step is not over thirty days later, a second's is in a second, and back goes at once."""
    await world.start()
    async with world.load() as running:
        await world.begin({"weight": 30, "hold": LONG})
        world.set(off)
        await running.more(200)
        found = world.rollout()
        assert (found["state"], found["step"]) == ("progressing", 1)
        assert 0 < found["progress"]["waited"] < 600
        assert (await world.gateway.act("m", "abort")).status_code == 200
        await world.state("rolled-back")
        await world.begin({"weight": 30, "hold": QUICK}, {"weight": 60, "hold": PROVEN | {"for": "1s"}})
        world.set(0)
        await world.state("succeeded")
    await world.counted()


async def test_a_monitor_of_another_time_stops_promotion_and_nothing_else(world: World) -> None:
    """A monitor that seems thirty days silent is OPEN: the rollout waits and says why, and goes back."""
    await world.gateway.start(world.environ)
    await world.monitor.start()
    world.set(DAYS)
    monitors.publish(world.gateway.models, "2")
    async with world.load():
        await world.begin({"weight": 30, "hold": QUICK})
        await until(lambda: world.rollout()["waiting"] == ["monitor"], "only the monitor is waited for")
        assert "the monitor has been silent for 720 h" in world.rollout()["next"]
        assert (await world.gateway.act("m", "abort")).status_code == 200
        await world.state("rolled-back")
    await world.counted()


async def test_record_times_follow_a_clock_that_is_set(world: World) -> None:
    """The first rows after it are held near what was believed, and counted; then the log's time follows."""
    await world.start()
    async with world.load():
        pass
    world.set(DAYS)
    for _ in range(2):
        async with world.load():
            pass
    await world.counted()
    assert world.monitor.total("driftgate_monitor_held_times_total") < 50
    frames = [frame for frame in world.gateway.frames() if frame.kind == Kind.PREDICTION]
    newest = max(int(frame.array("time").max()) for frame in frames)
    (found,) = world.monitor.status()["versions"]
    assert found["latest"] == rfc3339(newest)
