"""A full disk under load: answers go on, what the log could not take is counted, all comes back."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from prediction_log.reading import lost_rows
from prediction_log.record import Kind
from tests import disks
from tests.disks import MIB, fill
from tests.facts import until
from tests.system import graphs
from tests.system.load import ROW, Load, Plan
from tests.system.rig import Gateway

pytestmark = pytest.mark.system

LOG = {"segment_bytes": 2 * MIB, "max_bytes": 1024 * MIB, "min_free_bytes": 8 * MIB, "reserve_bytes": 4 * MIB}
JOURNAL = {"buffer_bytes": MIB // 128, "side_buffer_bytes": MIB // 16}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder of 48 MiB, in which the data folder lies."""
    with disks.small_disk(tmp_path / "data", 48) as folder:
        yield folder


@pytest.fixture
async def gateway(small_disk: Path) -> AsyncIterator[Gateway]:
    """Two workers whose data folder is the small disk; version 2 of `m` is stable."""
    made = Gateway(small_disk.parent, log=LOG, journal=JOURNAL)
    for version in (1, 2):
        graphs.put(made.models, "m", version, graphs.linear(float(version)))
    await made.start()
    try:
        yield made
    finally:
        await made.close()


async def test_a_full_disk_costs_no_answer_and_no_count(gateway: Gateway) -> None:
    """On a full disk all is answered, a rollback is made, and answered = logged + lost in the end."""
    neighbour = gateway.data / "neighbour"
    load = Load(Plan(gateway.http, "/v2/models/m/infer", rate=400, seconds=600.0))
    running = asyncio.create_task(load.run())
    try:
        await until(lambda: len(load.shots) > 100, "the load is under way")
        fill(neighbour, leave=MIB)
        # Version 1 is loaded now, and finds no room for its rows.
        spec = {"steps": [{"weight": 50, "hold": {"for": "1h"}}], "metrics": [{"name": "error-rate"}]}
        answer = await gateway.act("m", "start", candidate="1", spec=spec)
        assert answer.status_code == 200, answer.text
        await until(lambda: gateway.shown("driftgate_version_unlogged") == 2, "both workers say so")
        faults = gateway.get("/v1/models")["models"][0]["faults"]
        assert "log.reserve_bytes" in faults["1"]
        await until(lambda: gateway.total("driftgate_log_rows_lost_total") > 1500, "rows are lost")
        fill(neighbour, leave=0)
        answer = await gateway.act("m", "abort")
        assert answer.status_code == 200, answer.text
        assert answer.json()["applied"]
        neighbour.unlink()
        await until(lambda: gateway.shown("driftgate_version_unlogged") == 0, "there is room again")
        seen = gateway.total("driftgate_log_rows_spooled_total", kind="prediction")
        await until(
            lambda: gateway.total("driftgate_log_rows_spooled_total", kind="prediction") > seen + 200,
            "rows are logged again",
        )
    finally:
        load.stop()
        shots = await running
    assert {shot.status for shot in shots} == {200}
    assert await gateway.stop() == 0, gateway.output()
    frames = [frame for frame in gateway.frames() if frame.kind == Kind.PREDICTION]
    logged, answered = gateway.logged(), {shot.prediction_id for shot in shots}
    lost = sum(map(lost_rows, frames))
    assert len(logged) == len(set(logged))
    assert set(logged) <= answered
    assert lost > 1500
    assert len(answered) == len(shots) == len(logged) + lost
    assert {frame.schema.version for frame in frames if frame.skipped} == {"1", "2"}


async def test_one_rollback_after_another_is_made_on_a_full_disk(gateway: Gateway) -> None:
    """Whatever fills the disk between them, aborts go back; a canary starts only where it can be aborted."""
    spec = {"steps": [{"weight": 50, "hold": {"for": "1h"}}], "metrics": [{"name": "error-rate"}]}
    neighbour, started = gateway.data / "neighbour", 0
    for _ in range(12):
        answer = await gateway.act("m", "start", candidate="1", spec=spec)
        fill(neighbour, leave=0)
        if answer.status_code == 507:
            assert "free space" in answer.json()["error"]
            continue
        assert answer.status_code == 200, answer.text
        started += 1
        answer = await gateway.act("m", "abort")
        assert answer.status_code == 200, answer.text
        assert answer.json()["applied"]
        fill(neighbour, leave=0)
    assert started
    assert gateway.get("/v1/rollouts/m")["candidate"] is None
    neighbour.unlink()
    answer = await gateway.act("m", "start", candidate="1", spec=spec)
    assert answer.status_code == 200, answer.text
    assert (await gateway.act("m", "abort")).status_code == 200


async def test_the_room_left_is_shown(gateway: Gateway) -> None:
    """Free disk, its floor and the size of the log are metrics of any worker."""
    await Load(Plan(gateway.http, "/v2/models/m/infer", body=ROW, rate=300, seconds=1.0)).run()
    assert gateway.total("driftgate_disk_floor_bytes") == LOG["min_free_bytes"]
    assert 8 * MIB < gateway.total("driftgate_disk_free_bytes") < 48 * MIB
    assert gateway.total("driftgate_log_bytes") > 0
