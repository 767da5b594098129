"""The prediction log of real processes: what survives a power cut, and what a deletion leaves."""

import os
import shutil
import signal
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from driftgate.deletion import delete
from groundwork.clock import SystemClock
from prediction_log.deletion import Request
from prediction_log.reading import lost_rows
from prediction_log.record import ALL_ROWS, Kind, Validity
from tests.facts import until
from tests.system import graphs
from tests.system.load import Load, Plan
from tests.system.rig import Gateway

pytestmark = pytest.mark.system

TOLD = 4711.25
"""A value that is looked for in the bytes of files."""


@pytest.fixture
async def synced(tmp_path: Path) -> AsyncIterator[Gateway]:
    """Two workers that answer only what is on the disk."""
    made = Gateway(tmp_path, journal={"durability": "sync"})
    graphs.put(made.models, "m", 1, graphs.linear(1.0))
    await made.start()
    try:
        yield made
    finally:
        await made.close()


async def test_every_answer_outlives_a_power_cut(synced: Gateway) -> None:
    """With `durability: sync`, what was answered is in the segments, though all slots are gone."""
    load = Load(Plan(synced.http, "/v2/models/m/infer", rate=300, seconds=1.5))
    shots = await load.run()
    workers = synced.worker_pids()
    synced.kill()
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(synced.data / "slots")
    answered = [shot.prediction_id for shot in shots if shot.status == 200]
    assert len(answered) == len(shots) == 450
    assert set(answered) <= set(synced.logged())


async def test_a_deletion_reaches_rows_that_were_just_answered(gateway: Gateway) -> None:
    """While all runs: the row and its label keep their places, their values are in no file any more."""
    tensor = {"name": "X", "datatype": "FP32", "shape": [1, 4], "data": [TOLD] * 4}
    path = f"{gateway.http}/v2/models/m"
    async with httpx.AsyncClient(trust_env=False, timeout=60.0) as client:
        answer = await client.post(f"{path}/infer", json={"id": "ada-1815", "inputs": [tensor]})
        identifier = answer.headers["x-prediction-id"]
        told = {"labels": [{"id": identifier, "value": TOLD}]}
        assert (await client.post(f"{path}/labels", json=told)).status_code == 202
    request = Request("m", (bytes.fromhex(identifier),), "ada", "contract ended")
    done = delete(gateway.data, request, SystemClock())
    assert (done.ids, done.predictions, done.labels, done.unknown) == (1, 1, 1, ())
    for pattern in (struct.pack("<4f", *[TOLD] * 4), struct.pack("<d", TOLD), b"ada-1815"):
        assert holding(gateway.data, pattern) == []
    by_kind = {frame.kind: frame for frame in gateway.frames()}
    row = by_kind[Kind.PREDICTION]
    assert row.rows == 1
    assert row.validity is not None
    assert (row.validity == Validity.DELETED).all()
    deletion = by_kind[Kind.DELETION]
    assert deletion.array("row").tolist() == [ALL_ROWS]
    assert (deletion.strings("actor")[0], deletion.strings("reason")[0]) == (b"ada", b"contract ended")
    shots = await Load(Plan(gateway.http, "/v2/models/m/infer", rate=100, seconds=0.2)).run()
    assert {shot.status for shot in shots} == {200}


def holding(folder: Path, pattern: bytes) -> list[str]:
    """The files that hold these bytes."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [str(path.relative_to(folder)) for path in files if pattern in path.read_bytes()]


async def test_deleted_predictions_stay_deleted_when_all_is_stopped(gateway: Gateway) -> None:
    """Over a stopped gateway's folder the command does the same, and an unknown id is told."""
    shots = await Load(Plan(gateway.http, "/v2/models/m/infer", rate=100, seconds=0.3)).run()
    gateway.kill()
    ids = tuple(bytes.fromhex(shot.prediction_id) for shot in shots[:3])
    done = delete(gateway.data, Request("m", (*ids, bytes(16)), "ada", "test"), SystemClock())
    assert (done.ids, done.predictions, done.unknown) == (3, 3, (bytes(16),))
    assert set(gateway.logged()) == {shot.prediction_id for shot in shots}


async def test_a_log_beyond_its_limit_drops_the_oldest_and_says_so(tmp_path: Path) -> None:
    """Under load the log stays near its limit, and its loss frames tell how many rows went."""
    limits = {"segment_bytes": 1 << 16, "max_bytes": 1 << 17, "min_free_bytes": 0, "reserve_bytes": 0}
    gateway = Gateway(tmp_path, log=limits)
    graphs.put(gateway.models, "m", 1, graphs.linear(1.0))
    await gateway.start()
    try:
        shots = await Load(Plan(gateway.http, "/v2/models/m/infer", rate=400, seconds=3.0)).run()
        await until(lambda: gateway.total("driftgate_log_bytes") < 1 << 20, "the log is near its limit")
        assert {shot.status for shot in shots} == {200}
        assert await gateway.stop() == 0
    finally:
        await gateway.close()
    frames = gateway.frames()
    told = [frame for frame in frames if frame.kind == Kind.LOSS]
    assert {frame.strings("reason")[0] for frame in told} == {b"retention"}
    assert sum(map(lost_rows, frames)) == 0
    logged = gateway.logged()
    assert 0 < len(logged) < len(shots)
    assert set(logged) <= {shot.prediction_id for shot in shots}
    assert not (gateway.data / "log" / "000001.seg").exists()
