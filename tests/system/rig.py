"""Real processes on loopback for the system tests: a gateway in a folder of its own, and what it shows.

Everything waits for facts with a deadline; nothing sleeps for a time.
"""

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from gateway.settings import GatewaySettings
from groundwork.slot_readings import SlotReading, read_slots
from prediction_log.frame import Frame, decode
from prediction_log.ids import PredictionIds, load_key
from prediction_log.record import Kind
from prediction_log.segment_source import SegmentSource
from prediction_log.transport import START
from tests.facts import DEADLINE
from tests.system.program import Program


class Gateway(Program):
    """One `python -m gateway` over `folder`, which holds its models, data and output."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.models = folder / "models"
        self.data = folder / "data"
        given = {"data": str(self.data), "models": str(self.models), "workers": 2}
        ports = {"http": {"port": 0}, "operator": {"port": 0}}
        self.settings = msgspec.convert({**given, **ports, **settings}, GatewaySettings)
        super().__init__("gateway", folder, self.settings, "--ready-file")
        self.models.mkdir(exist_ok=True)
        self.http = ""
        self.operator = ""
        self.pid = 0
        self._client = httpx.AsyncClient(trust_env=False, timeout=DEADLINE)

    async def start(self, environ: Mapping[str, str] | None = None) -> float:
        """Start and wait until it is ready; how many seconds that took."""
        began = time.monotonic()
        found = await self.ready(environ)
        self.http, self.operator, self.pid = found["http"], found["operator"], found["pid"]
        return time.monotonic() - began

    async def reconnect(self) -> None:
        """Let the next verb come by a new connection: the old one belongs to one worker."""
        await self._client.aclose()
        self._client = httpx.AsyncClient(trust_env=False, timeout=DEADLINE)

    async def close(self) -> None:
        """End everything, whatever state it is in."""
        self.kill()
        await self._client.aclose()

    def workers(self) -> list[SlotReading]:
        """The live workers' slots; the supervisor's own is at no place."""
        return [slot for slot in read_slots(self.data / "slots") if slot.alive and slot.place >= 0]

    def worker_pids(self) -> list[int]:
        """The process numbers of the supervisor's children, but for one that only rewrites a graph."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in children.split() if not _rewrites(pid)]

    def resident(self) -> int:
        """Bytes in memory, of all workers."""
        texts = [Path(f"/proc/{pid}/status").read_text() for pid in self.worker_pids()]
        lines = [line for text in texts for line in text.splitlines() if line.startswith("VmRSS:")]
        return sum(int(line.split()[1]) * 1024 for line in lines)

    def signal_worker(self, index: int, number: signal.Signals) -> None:
        """Send a signal to one worker."""
        os.kill(self.worker_pids()[index], number)

    def get(self, path: str) -> Any:
        """The operator API's answer to a GET."""
        answer = httpx.get(self.operator + path, trust_env=False, timeout=DEADLINE)
        assert answer.is_success, answer.text
        return answer.json()

    async def act(self, model: str, verb: str, **wish: Any) -> httpx.Response:
        """An acting verb of the operator API."""
        return await self._client.post(f"{self.operator}/v1/rollouts/{model}/{verb}", json=wish)

    def metrics(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """Every sample of /metrics on the data port, by name and sorted labels."""
        text = httpx.get(f"{self.http}/metrics", trust_env=False, timeout=DEADLINE).text
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def shown(self, name: str) -> int:
        """The sum of a gauge over the live workers, read from their slots: asking opens no connection."""
        return sum(value for slot in self.workers() for key, value in slot.series.items() if key.name == name)

    def total(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that carry these labels."""
        wanted = set(labels.items())
        return sum(
            value for (found, has), value in self.metrics().items() if found == name and wanted <= set(has)
        )

    def frames(self) -> list[Frame]:
        """Every frame of the log, in its order."""
        source = SegmentSource(self.data / "log")
        try:
            found, at = [], START
            while batch := source.read(at, 1_000):
                found += [decode(body) for _, body in batch]
                at = batch[-1][0]
            return found
        finally:
            source.close()

    def logged(self, kind: Kind = Kind.PREDICTION) -> list[str]:
        """The prediction ids of all rows of a kind, in the log's order, as text."""
        found: list[str] = []
        for frame in self.frames():
            if frame.kind == kind:
                found += [bytes(row).hex() for row in np.ascontiguousarray(frame.array("id"))]
        return found

    def incarnation(self, prediction_id: str) -> int:
        """The worker incarnation that gave this id."""
        return PredictionIds(load_key(self.data)).decode(bytes.fromhex(prediction_id))[0]


def _rewrites(pid: str) -> bool:
    """Whether this process makes an optimised copy."""
    try:
        return b"gateway.rewriting" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
