"""One worker's data plane, whole, over a registry in memory: what most tests of this folder stand on."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import msgspec

from gateway.call import Call
from gateway.core import Core
from gateway.endpoints import DataPort
from gateway.fleet import Fleet
from gateway.flusher import Flusher
from gateway.frame_shadow import FrameShadow
from gateway.journal import Journal
from gateway.lanes import Lanes
from gateway.metrics import exposition
from gateway.model import LoadedModel
from gateway.protocols.open_inference import CODEC
from gateway.routing import lane_of
from gateway.schedule import Measured, Schedule
from gateway.settings import GatewaySettings
from groundwork.clock import FakeClock
from groundwork.logs import Log
from groundwork.series import SeriesKey
from groundwork.slot_readings import totals
from groundwork.slots import Slot
from prediction_log import frame
from prediction_log.frame import Frame
from prediction_log.ids import PredictionIds
from prediction_log.memory import MemoryLog
from prediction_log.transport import START
from registry_client.memory import MemoryRegistry
from rollouts.route import Route
from tests.models import logistic, publish

ROW = [0.1] * 30
CHEAP = Schedule("inline", 64, 32, measured=Measured(((1, 1e-6),), handoff=1.0))
"""How a version is run whose runs cost next to nothing and may be joined."""
_EVERYTHING = 1_000_000


class Lines:
    """A stream that keeps what is written to it."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def write(self, text: str, /) -> object:
        """Keep a line."""
        self.written.append(text)
        return None

    def flush(self) -> object:
        """Nothing is held back."""
        return None


class World:
    """Registry, slot, journal, fleet, core and data port of one worker.

    `flusher` brings what the slot holds into `log`, a flush for each call; where the world `follows`,
    `frame_shadow` makes the shadow runs that it can from there.
    """

    def __init__(self, folder: Path, settings: GatewaySettings, *, follows: bool = False) -> None:
        self.slots = folder / "slots"
        self.clock = FakeClock()
        self.registry = MemoryRegistry("test", folder / "cache")
        self.slot = Slot.create(self.slots, place=0)
        self.journal = Journal(self.slot, PredictionIds(bytes(range(16))), self.clock, settings.journal)
        self.fleet = Fleet(self.registry, self.journal, self.slot.counters, settings, self.clock)
        self.core = Core(
            Lanes(self.slot.counters),
            self.journal,
            self.slot.counters,
            settings,
            self.clock,
            on_demand=self.fleet.load,
        )
        self.core.ready = True
        self.lines = Lines()
        log = Log(self.lines, self.clock)
        self.log = MemoryLog()
        self.flusher = Flusher(self.journal.files, self.log, self.slot.counters, 0.2, log)
        self.frame_shadow = FrameShadow(
            self.core.shadow, self.journal, self.slot.counters, settings, self.clock.monotonic
        )
        if follows:
            self.core.lanes.follower, self.flusher.after = self.frame_shadow, self.frame_shadow.take
        self.port = DataPort(self.core, lambda: exposition(self.slots), log, slots_folder=self.slots)
        transport = httpx.ASGITransport(self.port)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://driftgate.test")

    async def serve(self, route: Route) -> dict[str, LoadedModel]:
        """Load what the route names and let it answer; the versions by name."""
        versions = {version: await self.fleet.load(route.model, version) for version in route.versions()}
        lane = lane_of(route, self.fleet.loaded)
        self.core.lanes.table = MappingProxyType({**self.core.lanes.table, route.model: lane})
        return versions

    async def beside(self, route: Route, **models: bytes) -> dict[str, LoadedModel]:
        """Publish versions (`v2` is version 2), cheap to run, and let the route answer; those by name."""
        for name, model in models.items():
            await self.publish(route.model, name.removeprefix("v"), model)
        for version in route.versions():
            loaded = await self.fleet.load(route.model, version)
            loaded.schedule, loaded.inline_rows = CHEAP, CHEAP.inline_rows
        return await self.serve(route)

    async def settle(self) -> None:
        """Have all that was answered in the log, every shadow run made, and its pairs in the log too."""
        for _ in range(2):
            await self.flusher.flush()
            await self.flusher.flush()  # a buffer that was full kept the other one from the first
            await self.frame_shadow.idle()

    def logged(self, kind: int) -> list[Frame]:
        """What the log has of one kind."""
        found = [frame.decode(body) for _, body in self.log.source().read(START, _EVERYTHING)]
        return [one for one in found if one.kind == kind]

    def sleep(self, core: Core) -> None:
        """Let `m` be dormant: the next request for it has this core load version 1, and answer by it."""
        lanes = core.lanes

        async def wake(model: str, version: str) -> LoadedModel:
            loaded = await self.fleet.load(model, version)
            lanes.serve(Route(model=model, revision=2, stable=version), self.fleet.loaded)
            return loaded

        core._demand._load = wake
        lanes.take_out("m")
        lanes.sleep({"m": "1"})

    async def publish(self, name: str, version: str, model: bytes) -> None:
        """Put a version into the registry."""
        publish(self.registry, name, version, model)

    async def infer(
        self,
        document: Any,
        *,
        model: str = "m",
        path: str = "infer",
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> httpx.Response:
        """Send a document (bytes as they are) to a model."""
        content = document if isinstance(document, bytes) else msgspec.json.encode(document)
        return await self.client.post(f"/v2/models/{model}/{path}", content=content, headers=dict(headers))

    async def post(self, path: str, document: Any, **headers: str) -> httpx.Response:
        """Send a document (bytes as they are) to a path; `_` in the name of a header is a hyphen."""
        content = document if isinstance(document, bytes) else msgspec.json.encode(document)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(path, content=content, headers=named)

    async def add(self, name: str, model: bytes) -> LoadedModel:
        """Publish version 1 of a model and let it answer."""
        await self.publish(name, "1", model)
        return (await self.serve(Route(model=name, revision=1, stable="1")))["1"]

    def frames(self, kind: int) -> list[Frame]:
        """What the slot holds of one kind, taken as the flusher takes it."""
        found = []
        for file in self.journal.files():
            file.swap()
            taken = file.take()
            if taken is not None:
                file.release()
                decoded = frame.decode(taken)
                found += [decoded] if decoded.kind == kind else []
        return found

    def counted(self, name: str, **labels: str) -> int:
        """The sum of the series of this name that carry these labels."""
        wanted = set(labels.items())
        found: dict[SeriesKey, int] = totals(self.slots)
        return sum(value for key, value in found.items() if key.name == name and wanted <= set(key.labels))

    async def close(self) -> None:
        """Stop everything."""
        await self.client.aclose()
        await self.frame_shadow.close()
        await self.core.close()
        await self.fleet.close()
        self.slot.close()


def request(data: Any = None, **more: Any) -> dict[str, Any]:
    """A JSON request for `logistic`, one row unless other data is given."""
    rows = [ROW] if data is None else data
    tensor = {"name": "x", "datatype": "FP32", "shape": [len(rows), 30], "data": rows}
    return {"inputs": [tensor], **more}


def call(document: Any = None, **headers: str) -> Call:
    """The same as the core takes it."""
    body = msgspec.json.encode(request() if document is None else document)
    return Call(CODEC, "m", None, {name.encode(): value.encode() for name, value in headers.items()}, body)


@contextlib.asynccontextmanager
async def world(
    folder: Path, settings: GatewaySettings | None = None, *, follows: bool = False
) -> AsyncIterator[World]:
    """A world in which model `m` has the logistic version 1, which answers."""
    made = World(folder, settings or GatewaySettings(), follows=follows)
    await made.publish("m", "1", logistic())
    await made.serve(Route(model="m", revision=1, stable="1"))
    try:
        yield made
    finally:
        await made.close()
