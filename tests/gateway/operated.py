"""A worker with its operator API, over a client of that."""

from pathlib import Path
from typing import Any

import httpx

from gateway.catalogue import Catalogue
from gateway.console import Console
from gateway.metrics import exposition
from gateway.operator import build_operator
from gateway.order import Verb
from gateway.presence import Presence
from gateway.reconcile import Reconciler
from gateway.settings import PaceSettings
from groundwork.errors import DriftgateError
from groundwork.logs import Log
from groundwork.slot_readings import SlotsReader
from rollouts.follower import Follower
from rollouts.store import SqliteStore
from tests.gateway.worlds import World

STEPS = {"steps": [{"weight": 5, "hold": {"for": "1h"}}]}


class FakeSupervisor:
    """Answers what it is told to, and remembers who asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.fault: DriftgateError | None = None
        self.answers: dict[str, Any] = {}

    async def ask(self, verb: Verb, who: str = "") -> Any:
        """The verb as a document, or the fault, or whatever it is told to."""
        self.asked.append((verb, who))
        if self.fault is not None:
            raise self.fault
        return self.answers or {"verb": verb}


class Bench:
    """A worker with its console, its operator API, and a client of that."""

    def __init__(self, here: World, folder: Path) -> None:
        self.here = here
        self.store = SqliteStore(folder / "rollouts.db", here.clock)
        self.store.ensure_first("m", "1", "gateway")
        self.presence = Presence(here.slot.counters)
        log = Log(here.lines, here.clock)
        self.reconciler = Reconciler(
            here.core.lanes, here.fleet, PaceSettings(), here.clock, self.presence, log
        )
        self._follower = Follower(self.store)
        self.console = Console(self.store, SlotsReader(here.slots), here.fleet, self.follow, here.clock)
        self.catalogue = Catalogue(here.registry, self.store, SlotsReader(here.slots), self.faults)
        self.supervisor = FakeSupervisor()
        app = build_operator(self.console, self.catalogue, lambda: exposition(here.slots), self.supervisor)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://operator.test")

    def follow(self) -> None:
        """Look at the routes."""
        routes = self._follower.poll()
        if routes is not None:
            self.reconciler.follow(routes)

    def faults(self) -> dict[tuple[str, str], str]:
        """What this worker could not load."""
        return {key: fault.message for key, fault in self.reconciler.faults.items()}

    async def get(self, path: str) -> Any:
        """A successful GET's document."""
        answer = await self.client.get(path)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        return answer.json()

    async def act(self, verb: str, model: str = "m", **wish: Any) -> httpx.Response:
        """An acting verb's answer."""
        return await self.client.post(f"/v1/rollouts/{model}/{verb}", json=wish)

    async def done(self, verb: str, model: str = "m", **wish: Any) -> Any:
        """An acting verb that is done."""
        answer = await self.act(verb, model, **wish)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def close(self) -> None:
        """Stop everything."""
        await self.client.aclose()
        await self.reconciler.close()
        self.console.close()
        self._follower.close()
        self.store.close()
