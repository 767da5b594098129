"""The model repository extension, over a worker that follows its store."""

import threading
from collections.abc import AsyncIterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import msgspec
import pytest

from gateway.catalogue import Catalogue
from gateway.discover import Discovery
from gateway.endpoints import DataPort
from gateway.errors import LoadError, NotReadyError
from gateway.metrics import exposition
from gateway.repository import Repository
from gateway.settings import GatewaySettings, PortSettings
from groundwork.allowance import Allowance
from groundwork.denials import Audit
from groundwork.gate import Gate, Keys
from groundwork.keys import OPERATE, KeyBook, create
from groundwork.logs import Log
from groundwork.slot_readings import SlotsReader
from registry_client.memory import MemoryRegistry
from tests.gateway.operated import STEPS, Bench
from tests.gateway.worlds import World
from tests.keys import NOW, bearer
from tests.models import logistic

OPEN = PortSettings(port=0, host="0.0.0.0")


class Shelf(Bench):
    """A bench whose data port has a repository behind it."""

    def __init__(self, here: World, folder: Path) -> None:
        super().__init__(here, folder)
        self.repository = self.make()
        self.data = self.port(here)

    def make(self) -> Repository:
        """A repository over the catalogue, without patience."""
        here = self.here
        made = Repository(
            self.catalogue,
            self.console,
            self.store,
            Discovery(here.registry, self.store, Log(here.lines, here.clock)),
            slots=SlotsReader(here.slots),
            clock=here.clock,
            faults=self.faults,
        )
        made.patience = 0.0
        return made

    def port(self, here: World, gate: Gate | None = None) -> httpx.AsyncClient:
        """A client of the data port, which has a gate or none."""
        log = Log(here.lines, here.clock)
        made = DataPort(
            here.core,
            lambda: exposition(here.slots),
            log,
            gate,
            slots_folder=here.slots,
            repository=self.repository,
        )
        return httpx.AsyncClient(transport=httpx.ASGITransport(made), base_url="http://data.test")

    async def close(self) -> None:
        """Stop everything."""
        await self.data.aclose()
        await super().close()


@pytest.fixture
async def shelf(here: World, tmp_path: Path) -> AsyncIterator[Shelf]:
    """A worker that answers `m`, whose versions 1 and 2 are published."""
    await here.publish("m", "2", logistic(bias=1.0))
    made = Shelf(here, tmp_path)
    made.presence.following(now=True)
    made.follow()
    await made.reconciler.settled()
    yield made
    await made.close()


async def states(shelf: Shelf, **body: bool) -> dict[str, str]:
    """Version to state, as the index has it."""
    found = (await shelf.data.post("/v2/repository/index", json=body)).json()
    return {one["version"]: one["state"] for one in found if one["name"] == "m"}


async def test_unload_and_load_change_what_answers_and_are_in_history(shelf: Shelf) -> None:
    """An unloaded model answers nobody until it is loaded again; both are edits with rows of history."""
    assert await states(shelf) == {"1": "READY", "2": "UNAVAILABLE"}
    assert "model_repository" in (await shelf.data.get("/v2")).json()["extensions"]
    for _ in range(2):
        assert (await shelf.data.post("/v2/repository/models/m/unload")).status_code == 200
        for page in ("/v2/models/m/ready", "/v1/models/m", "/v1/models/m/labels/stable"):
            assert (await shelf.data.get(page)).status_code == 503
        for page in ("/v2/models/m", "/v2/models/nobody/ready", "/v1/models/nobody"):
            assert (await shelf.data.get(page)).status_code == 404
    assert await states(shelf) == {"1": "UNAVAILABLE", "2": "UNAVAILABLE"}
    assert await states(shelf, ready=True) == {}
    for _ in range(2):
        assert (await shelf.data.post("/v2/repository/models/m/load", json={})).status_code == 200
        assert (await shelf.data.get("/v2/models/m/ready")).status_code == 200
    rows = (await shelf.get("/v1/rollouts/m/history?after=1"))["history"]
    assert [row["verb"] for row in rows] == ["unload", "load"]
    assert {row["actor"] for row in rows} == {"operator:data-port"}


async def test_metadata_lists_every_version_that_can_be_asked_for(shelf: Shelf) -> None:
    """Those of the registry, in memory or not; what is in memory where the registry cannot be read."""
    assert await states(shelf) == {"1": "READY", "2": "UNAVAILABLE"}
    for path in ("/v2/models/m", "/v2/models/m/versions/1"):
        assert (await shelf.data.get(path)).json()["versions"] == ["1", "2"]
    await shelf.here.publish("m", "10", logistic(bias=2.0))
    assert (await shelf.data.get("/v2/models/m")).json()["versions"] == ["1", "2", "10"]
    assert (await shelf.data.get("/v2/models/m/versions/10")).status_code == 200
    gone = Shelved(shelf.here.registry)
    shelf.catalogue = Catalogue(gone, shelf.store, SlotsReader(shelf.here.slots), shelf.faults)
    shelf.repository = shelf.make()
    async with shelf.port(shelf.here) as client:
        assert (await client.get("/v2/models/m")).json()["versions"] == ["1"]
    assert gone.asked_by
    assert threading.main_thread() not in gone.asked_by


class Shelved:
    """A registry that cannot be listed, and knows which threads tried."""

    def __init__(self, registry: MemoryRegistry) -> None:
        self._registry = registry
        self.asked_by: list[threading.Thread] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._registry, name)

    def versions(self, name: str) -> list[str]:
        """Nothing: the disk is gone."""
        self.asked_by.append(threading.current_thread())
        raise OSError(f"{name}: no such disk")


async def test_history_names_the_key_that_was_shown(shelf: Shelf) -> None:
    """Where keys are configured, who unloaded and loaded a model is the name of the key."""
    here = shelf.here
    keys = Keys(Allowance.private(), here.clock)
    key, text = create("night-shift", [OPERATE], NOW)
    keys.use(KeyBook([key]))
    gate = Gate(keys, Audit(Log(here.lines, here.clock), lambda _reason, _scope: None, here.clock))
    async with shelf.port(here, gate) as keyed:
        for verb in ("unload", "load"):
            answer = await keyed.post(f"/v2/repository/models/m/{verb}", headers=bearer(text))
            assert answer.status_code == 200, answer.text
    rows = (await shelf.get("/v1/rollouts/m/history?after=1"))["history"]
    assert [(row["verb"], row["actor"]) for row in rows] == [
        ("unload", "operator:night-shift"),
        ("load", "operator:night-shift"),
    ]


@pytest.mark.parametrize(("body", "status"), [(b"", 200), (b" \r\n\t", 200), (b"{}", 200), (b"\x0b", 400)])
async def test_no_body_asks_for_everything(shelf: Shelf, body: bytes, status: int) -> None:
    """An index may be asked for without a body, or with JSON's blanks alone; other bytes are no request."""
    assert (await shelf.data.post("/v2/repository/index", content=body)).status_code == status


async def test_a_rollout_refuses_an_unload(shelf: Shelf) -> None:
    """While a candidate is there the model stays."""
    await shelf.done("start", candidate="2", spec=STEPS)
    response = await shelf.data.post("/v2/repository/models/m/unload")
    assert response.status_code == 409
    assert list(response.json()) == ["error"]


async def test_what_is_not_there_cannot_be_loaded(shelf: Shelf) -> None:
    """A model that the registry lacks is 404, and parameters that would change a model are refused."""
    for verb in ("load", "unload"):
        assert (await shelf.data.post(f"/v2/repository/models/nobody/{verb}")).status_code == 404
        for wrong in (b"{", b"[]", b'{"parameters":[]}', b'{"parameters":{"config":"{}"}}'):
            assert (
                await shelf.data.post(f"/v2/repository/models/m/{verb}", content=wrong)
            ).status_code == 400
    done = await shelf.data.post(
        "/v2/repository/models/m/unload", json={"parameters": {"unload_dependents": False}}
    )
    assert done.status_code == 200


async def test_a_new_model_is_routed_at_once(shelf: Shelf) -> None:
    """Loading a model that was never seen gives it its route; it is said when that takes longer."""
    await shelf.here.publish("new", "3", logistic())
    with pytest.raises(NotReadyError):
        await shelf.repository.load("new")
    shelf.follow()
    await shelf.reconciler.settled()
    await shelf.repository.load("new")
    assert "new" in shelf.here.core.lanes.table


async def test_a_version_that_cannot_be_loaded_says_why(shelf: Shelf) -> None:
    """Loading a model whose graph does not load is told with the reason, and with no folder of ours."""
    await shelf.here.publish("bad", "1", b"no graph")
    with pytest.raises(NotReadyError):
        await shelf.repository.load("bad")
    shelf.follow()
    await shelf.reconciler.settled()
    with pytest.raises(LoadError, match="bad") as caught:
        await shelf.repository.load("bad")
    assert "Load model from /" not in str(caught.value)


async def test_without_keys_only_loopback_takes_commands(shelf: Shelf) -> None:
    """A port that anybody reaches takes no commands without keys, and does not name the extension."""
    core = shelf.here.core
    core.settings = msgspec.structs.replace(GatewaySettings(), http=OPEN)
    async with shelf.port(shelf.here) as reached:
        for verb in ("load", "unload"):
            assert (await reached.post(f"/v2/repository/models/m/{verb}")).status_code == 403
        assert "model_repository" not in (await reached.get("/v2")).json()["extensions"]
        assert (await reached.post("/v2/repository/index")).status_code == 200


async def test_without_a_repository_there_is_none(here: World) -> None:
    """A port without a registry behind it says that it is not offered."""
    here.core.lanes.table = MappingProxyType({})
    assert (await here.client.post("/v2/repository/index")).status_code == 501
