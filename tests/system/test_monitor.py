"""A monitor that is killed under load and stays dead: nothing fails, nothing is counted twice or lost."""

import asyncio
import collections
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from monitor.store import load_offset, open_store
from tests.counts import count
from tests.facts import until
from tests.system import monitors
from tests.system.load import Load, Plan, Shot
from tests.system.monitors import Monitor
from tests.system.rig import Gateway

pytestmark = pytest.mark.system

RATE = count(200, 500)
BEFORE_S = count(2, 10)
DEAD_S = count(4, 60)
AFTER_S = count(1, 10)
BATCH = 100
FROM_THE_LOG = ("facts", "watches", "incidents", "versions", "pairings", "predictions", "pairs", "early")
"""Tables of monitor.db that follow from the log alone, whole."""


class World:
    """A gateway with one model, and its monitor as a program of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gateway = Gateway(folder)
        self.bodies = monitors.publish(self.gateway.models, "1")
        self.monitor = self.watching("monitor", self.gateway.data)

    def watching(self, name: str, data: Path) -> Monitor:
        """A monitor over a data folder, with the same settings."""
        return Monitor(self.folder / name, data, self.gateway.models)

    def load(self, bodies: tuple[bytes, ...]) -> Load:
        """Steady load of these rows, until it is stopped."""
        return Load(Plan(self.gateway.http, "/v2/models/m/infer", rate=RATE, seconds=600.0, bodies=bodies))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Both are running."""
    made = World(tmp_path)
    try:
        await made.gateway.start()
        await made.monitor.start()
        yield made
    finally:
        made.monitor.kill()
        await made.gateway.close()


async def test_a_monitor_killed_for_a_minute_counts_everything_once(world: World) -> None:
    """Killed for a minute and again behind: no prediction fails, all are counted once, states are equal."""
    usual, drifted = world.load(world.bodies.usual), world.load(world.bodies.drifted)
    labelling = asyncio.create_task(label(world.gateway.http, (usual, drifted)))
    running = asyncio.create_task(usual.run())
    try:
        await answered(usual, BEFORE_S)
        world.monitor.kill()
        await answered(usual, DEAD_S / 2)
        usual.stop()
        running = asyncio.create_task(_after(running, drifted))
        await answered(drifted, DEAD_S / 2)
        await killed_behind(world.monitor)
        await world.monitor.start()
        await answered(drifted, AFTER_S)
    finally:
        usual.stop()
        drifted.stop()
        await running
        labelled = await labelling
    shots = [*usual.shots, *drifted.shots]
    assert {shot.status for shot in shots} == {200}
    await caught_up(world.monitor, len(shots), labelled)
    assert await world.gateway.stop() == 0
    assert await world.monitor.stop() == 0, world.monitor.output()
    assert collections.Counter(world.gateway.logged()) == collections.Counter(ids(shots))
    left = leavings(world.monitor.data)
    assert collections.Counter(row[3].hex() for row in left["predictions"]) == collections.Counter(ids(shots))
    assert {event["type"] for event in left["events"]} >= {"drift.detected", "retrain.requested"}
    assert left == leavings(await uninterrupted(world, len(shots), labelled))


async def _after(first: "asyncio.Task[list[Shot]]", load: Load) -> list[Shot]:
    await first
    return await load.run()


async def answered(load: Load, seconds: float) -> None:
    """Wait until as much was answered as comes in so many seconds."""
    wanted = len(load.shots) + round(RATE * seconds)
    await until(lambda: len(load.shots) >= wanted, "the load goes on", seconds=600.0)


async def label(url: str, loads: tuple[Load, ...]) -> int:
    """Say what was true of every other answer, as the answers come, until the loads have ended; how many."""
    sent = 0
    async with httpx.AsyncClient(trust_env=False, timeout=60.0) as client:
        for load in loads:
            done = 0
            while not (load.stopped and done >= len(load.shots) - BATCH):
                await until(
                    lambda load=load, done=done: load.stopped or len(load.shots) >= done + BATCH,  # type: ignore[misc]
                    "there is more to label",
                    seconds=600.0,
                )
                chosen = ids(load.shots[done : done + BATCH : 2])
                done += BATCH
                if chosen:
                    labels = [{"id": identifier, "value": monitors.TRUE} for identifier in chosen]
                    answer = await client.post(f"{url}/v2/models/m/labels", json={"labels": labels})
                    assert answer.status_code == 202, answer.text
                    sent += len(labels)
    return sent


def ids(shots: list[Shot]) -> list[str]:
    """The prediction ids of answered requests."""
    return [shot.prediction_id for shot in shots if shot.status == 200]


async def killed_behind(monitor: Monitor) -> None:
    """Start it, and kill it again when it has read on, which is most likely somewhere in what it missed."""
    stood = offset(monitor.data)
    monitor.launch()
    await until(lambda: offset(monitor.data) != stood, "it reads on", seconds=600.0)
    monitor.kill()


def offset(data: Path) -> str:
    """Where the log was read up to, by the last commit."""
    store = open_store(data, readonly=True)
    try:
        return str(load_offset(store))
    finally:
        store.close()


async def caught_up(monitor: Monitor, rows: int, labels: int) -> None:
    """Wait until so many predictions are counted (never more) and so many of them labelled."""

    def done() -> bool:
        (found,) = monitor.status()["versions"]
        assert found["rows"] <= rows
        return bool(found["rows"] == rows and found["accuracy"]["labelled"] == labels)

    await until(done, "the monitor has counted everything", seconds=600.0)


async def uninterrupted(world: World, rows: int, labels: int) -> Path:
    """The data folder of a monitor that read the same log from its beginning, undisturbed."""
    data = world.folder / "again"
    others = shutil.ignore_patterns("monitor.*", "slots", "cache", "*.lock")
    shutil.copytree(world.gateway.data, data, ignore=others)
    monitor = world.watching("second", data)
    try:
        await monitor.start()
        await caught_up(monitor, rows, labels)
        assert await monitor.stop() == 0, monitor.output()
    finally:
        monitor.kill()
    return data


def leavings(data: Path) -> dict[str, Any]:
    """Everything in monitor.db that follows from the log, bit for bit.

    Left out is what a clock or the cut of rounds decides: deliveries, and the numbers of events, for those of
    rollouts come from another file and lie between the others as they were read. Streams have the order of
    their last use, whose numbers grow by rounds.
    """
    store = open_store(data, readonly=True)
    try:
        found = {table: store.execute(f"SELECT * FROM {table}").fetchall() for table in FROM_THE_LOG}  # noqa: S608
        found["streams"] = store.execute(
            "SELECT incarnation, stream, end_seq FROM streams ORDER BY turn"
        ).fetchall()
        bodies = store.execute("SELECT body FROM events ORDER BY id").fetchall()
        found["events"] = [msgspec.json.decode(body) | {"sequence": ""} for (body,) in bodies]
        return found
    finally:
        store.close()
