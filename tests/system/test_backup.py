"""A backup of a running ring, restored and started: what was answered before is there, exactly once."""

import asyncio
import contextlib
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driftgate.programs import Program
from prediction_log.frame import decode
from prediction_log.record import Kind
from prediction_log.segment_source import SegmentSource
from prediction_log.transport import START
from tests.counts import count
from tests.facts import until
from tests.system import graphs, monitors
from tests.system.load import Load, Plan

pytestmark = pytest.mark.system

SECONDS = 240.0


def command(folder: Path, *arguments: str) -> list[str]:
    """A `driftgate` command in a folder, deaf to what the tester's environment says."""
    names = [f"--unset={name}" for name in os.environ if name.startswith("DRIFTGATE_")]
    return ["env", *names, "-C", str(folder), sys.executable, "-P", "-m", "driftgate", *arguments]


@asynccontextmanager
async def ring(folder: Path, data: str) -> AsyncIterator[dict[str, Any]]:
    """`driftgate up` over a data folder; its addresses."""
    ready = folder / f"{data}.json"
    ports = [f"--{port}-port=0" for port in ("http", "operator", "monitor")]
    with (folder / f"{data}.log").open("ab") as output:
        arguments = ("up", "--models=models", f"--data={data}", *ports, f"--ready-file={ready}")
        program = Program("up", command(folder, *arguments), output=output)
        await program.start()
        try:
            yield await program.ready(ready, SECONDS)
        finally:
            assert await program.stop(SECONDS), (folder / f"{data}.log").read_text()


async def driftgate(folder: Path, *arguments: str) -> None:
    """Run a verb to its end; it must succeed."""
    program = await asyncio.create_subprocess_exec(
        *command(folder, *arguments), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await program.communicate()
    assert program.returncode == 0, said.decode()


async def test_a_restored_backup_counts_every_answer_once(tmp_path: Path) -> None:
    """Backed up under load and restored: every answer before the backup is logged and counted once."""
    for version in (1, 2):
        graphs.put(tmp_path / "models", "m", version, graphs.linear(float(version)))
    async with ring(tmp_path, "data") as urls:
        load = Load(Plan(urls["http"], "/v2/models/m/infer", rate=300, seconds=600.0))
        running = asyncio.create_task(load.run())
        taken = []
        for number in range(count(1, 10)):
            seen = len(load.shots)
            await until(lambda seen=seen: len(load.shots) > seen + 300, "the load is under way")  # type: ignore[misc]
            before = {shot.prediction_id for shot in load.shots if shot.status == 200}
            await driftgate(tmp_path, "doctor", "backup", f"{number}.tar", "--data=data")
            taken.append(before)
        load.stop()
        await running
    for number, before in enumerate(taken):
        again = f"again-{number}"
        await driftgate(tmp_path, "doctor", "restore", f"{number}.tar", f"--data={again}")
        async with ring(tmp_path, again) as urls:
            more = await Load(Plan(urls["http"], "/v2/models/m/infer", rate=200, seconds=0.5)).run()
        answered = before | {shot.prediction_id for shot in more if shot.status == 200}
        logged = _logged(tmp_path / again)
        assert set(logged.values()) == {1}
        assert answered <= logged.keys()
        assert monitors.counted(tmp_path / again) == len(logged)  # it has stopped, and so read to the end
        assert 0 < len(more) <= len(logged) - len(before)
    assert len(taken[0]) >= 300


def _logged(data: Path) -> Counter[str]:
    """How often each prediction id is in the log."""
    found: Counter[str] = Counter()
    with contextlib.closing(SegmentSource(data / "log")) as source:
        for _, body in source.read(START, 1_000_000):
            frame = decode(body)
            if frame.kind == Kind.PREDICTION:
                found.update(bytes(row).hex() for row in np.ascontiguousarray(frame.array("id")))
    return found
