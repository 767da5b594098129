"""Every route of the gateway's ports, with no key, wrong keys, keys for something else, and the right one."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest
from starlette.routing import Route

from gateway.access import AccessControl
from gateway.endpoints import DataPort
from gateway.metrics import REFUSALS, exposition
from gateway.operator import build_operator
from gateway.settings import GatewaySettings
from groundwork.counters import Counters
from groundwork.denials import DENIED
from groundwork.gate import Guarded, Pass, api_scope
from groundwork.logs import Log
from groundwork.ports import KeysSettings
from prediction_log.record import Kind
from tests.counts import count
from tests.gateway.operated import Bench
from tests.gateway.worlds import World, request
from tests.keys import bearer, one_key, one_key_per_scope
from tests.models import logistic
from tests.routes import METHODS, OPEN, check, filled

DATA = {
    "/v2": "infer",
    "/v2/health/live": OPEN,
    "/v2/health/ready": OPEN,
    "/v2/models/{model}": "infer",
    "/v2/models/{model}/ready": "infer",
    "/v2/models/{model}/infer": "infer",
    "/v2/models/{model}/versions/{version}": "infer",
    "/v2/models/{model}/versions/{version}/ready": "infer",
    "/v2/models/{model}/versions/{version}/infer": "infer",
    "/v2/models/{model}/labels": "labels:write",
    "/metrics": "read",
    "/v1/models/{model}:predict": "infer",
    "/v1/models/{model}/versions/{version}:predict": "infer",
    "/v1/models/{model}/labels/{label}:predict": "infer",
    "/invocations": "infer",
    "/v2/models/stats": "read",
    "/v2/models/{model}/config": "infer",
    "/v2/models/{model}/versions/{version}/config": "infer",
    "/v2/models/{model}/stats": "read",
    "/v2/models/{model}/versions/{version}/stats": "read",
    "/v2/repository/index": "read",
    "/v2/repository/models/{model}/load": "operate",
    "/v2/repository/models/{model}/unload": "operate",
    "/v2/models/{model}/generate": "infer",
    "/v2/models/{model}/generate_stream": "infer",
    "/v2/models/{model}/trace/setting": "infer",
    "/v2/trace/setting": "infer",
    "/v2/logging": "infer",
    "/v1/models/{model}:explain": "infer",
    "/v1/models/{model}:classify": "infer",
    "/v1/models/{model}:regress": "infer",
    "/": OPEN,
    "/v1/models": "infer",
    "/v1/models/{model}": "infer",
    "/v1/models/{model}/versions/{version}": "infer",
    "/v1/models/{model}/labels/{label}": "infer",
    "/v1/models/{model}/metadata": "infer",
    "/v1/models/{model}/versions/{version}/metadata": "infer",
    "/v1/models/{model}/labels/{label}/metadata": "infer",
    "/ping": OPEN,
    "/health": OPEN,
    "/version": "infer",
    "/openapi.json": "infer",
    "/docs": OPEN,
}
"""The scope of every template of the data port, said a second time: a new one must be thought about here."""
OPERATOR = {
    "/v1/models": "read",
    "/v1/models/{model}": "read",
    "/v1/history": "read",
    "/v1/rollouts/{model}": "read",
    "/v1/rollouts/{model}/history": "read",
    "/v1/rollouts/{model}/{verb}": "operate",
    "/v1/workers": "read",
    "/v1/workers/recycle": "operate",
    "/v1/config": "read",
    "/v1/config/reload": "operate",
    "/metrics": "read",
    "/": "read",
    "/healthz": OPEN,
}
"""The same of the operator port, for the methods that each has."""


class Door:
    """A worker whose data port asks for keys."""

    def __init__(self, here: World, folder: Path, text: str | None = None) -> None:
        self.here = here
        self.file = folder / "keys.yaml"
        self.texts = {} if text else one_key_per_scope(self.file)
        settings = GatewaySettings(data=str(folder), keys=KeysSettings(file=str(self.file)))
        self.access = AccessControl(
            settings, 0, 1, here.slot.counters, here.clock, Log(here.lines, here.clock)
        )
        self.port = DataPort(
            here.core,
            lambda: exposition(here.slots),
            Log(here.lines, here.clock),
            self.access.gate("http"),
        )
        transport = httpx.ASGITransport(self.port)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://driftgate.test")

    async def infer(self, text: str) -> httpx.Response:
        """A good request with this key."""
        body = msgspec.json.encode(request())
        return await self.client.post("/v2/models/m/infer", content=body, headers=bearer(text))


@pytest.fixture
async def door(here: World, tmp_path: Path) -> AsyncIterator[Door]:
    """A data port with one key per scope."""
    made = Door(here, tmp_path)
    yield made
    await made.client.aclose()


async def test_every_route_of_the_data_port_asks_for_its_key(door: Door) -> None:
    """Whatever the method, every template wants the scope it should, or is one of the few that are open."""
    assert set(door.port.destinations) == set(DATA)
    for template, scope in DATA.items():
        for method in METHODS:
            await check(door.client, filled(template), method, scope, door.texts)


@pytest.mark.parametrize(
    "path", ["/v1", "/v3", "/v2/models/m/labels/", "/v2//health/live", "/METRICS", "/%2e"]
)
async def test_what_is_not_there_asks_for_a_key_too(door: Door, path: str) -> None:
    """Nobody without a key learns what is there and what is not."""
    await check(door.client, path, "GET", "infer", door.texts)


@pytest.mark.parametrize(
    "path", ["/v2/models/m/l%61bels", "/v2/models/m/%6cabels", "/v2/models/..%2fx/labels"]
)
async def test_quoting_a_path_does_not_change_its_scope(door: Door, path: str) -> None:
    """The scope belongs to what is reached, however it is written."""
    await check(door.client, path, "POST", "labels:write", door.texts)


async def test_every_route_of_the_operator_port_asks_for_its_key(here: World, tmp_path: Path) -> None:
    """Every route of the table wants the scope it should, and what is not in it wants one as well."""
    bench, door = Bench(here, tmp_path), Door(here, tmp_path)
    operator = build_operator(bench.console, bench.catalogue, lambda: b"", bench.supervisor)
    guarded = Guarded(operator, door.access.gate("operator"), api_scope)
    transport = httpx.ASGITransport(guarded, raise_app_exceptions=False)
    found = [route for route in operator.routes if isinstance(route, Route)]
    assert {route.path for route in found} == set(OPERATOR)
    assert len(found) == len(operator.routes)
    async with httpx.AsyncClient(transport=transport, base_url="http://operator.test") as client:
        for route in found:
            for method in route.methods or ():
                await check(client, filled(route.path), method, OPERATOR[route.path], door.texts)
            if OPERATOR[route.path] != OPEN:
                await check(client, filled(route.path), "DELETE", "operate", door.texts)
        for path in ("/", "/docs", "/healthz/", "//healthz", "/v1"):
            await check(client, path, "GET", "read", door.texts)
    await bench.close()


async def test_history_has_the_name_of_the_key(here: World, tmp_path: Path) -> None:
    """What a caller says of itself stands behind the name of the key that opened, and never instead of it."""
    await here.publish("m", "2", logistic(bias=1.0))
    bench, door = Bench(here, tmp_path), Door(here, tmp_path)
    operator = build_operator(bench.console, bench.catalogue, lambda: b"", bench.supervisor)
    guarded = Guarded(operator, door.access.gate("operator"), api_scope)
    shown = bearer(door.texts["operate"])
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(guarded), base_url="http://operator.test"
    ) as c:
        for who in ("ada", "", "operate"):
            verb = "start" if who == "ada" else "set-weight"
            wish = {"who": who, "candidate": "2"} if verb == "start" else {"who": who, "weight": 7}
            assert (await c.post(f"/v1/rollouts/m/{verb}", json=wish, headers=shown)).status_code == 200
        await c.post("/v1/workers/recycle", headers=shown | {"x-driftgate-who": "bob"})
    actors = [row.actor for row in bench.store.latest("m", 3)]
    assert actors == ["operator:operate (for: ada)", "operator:operate", "operator:operate"]
    assert bench.supervisor.asked == [("recycle", "operate (for: bob)")]
    await bench.close()


async def test_a_stranger_leaves_nothing_on_disk(door: Door) -> None:
    """What the gate refuses is counted by port, reason and scope, and is in no log and no other count."""
    for _ in range(20):
        await door.client.post("/v2/models/m/infer", content=b"{}")
    assert door.here.frames(Kind.REJECT) == []
    assert door.here.counted(REFUSALS) == 0
    assert door.here.counted(DENIED.name, port="http", reason="no-key", scope="infer") == 20
    assert sum("denied" in line for line in door.here.lines.written) == 1


async def test_the_version_override_wants_no_more_than_infer(door: Door) -> None:
    """Whoever may infer may name the version, by path and by header."""
    headers = {**bearer(door.texts["infer"]), "x-driftgate-version": "1"}
    body = msgspec.json.encode(request())
    for path in ("/v2/models/m/infer", "/v2/models/m/versions/1/infer"):
        answer = await door.client.post(path, content=body, headers=headers)
        assert (answer.status_code, answer.headers["x-driftgate-arm"]) == (200, "pinned")


async def test_a_changed_keys_file_is_taken_up(door: Door) -> None:
    """A key that is no longer in the file is refused after the next look; the new one is let in."""
    old = door.texts["infer"]
    assert (await door.infer(old)).status_code == 200
    new = one_key(door.file, "infer")
    await door.access.look()
    assert (await door.infer(old)).status_code == 401
    assert (await door.infer(new)).status_code == 200


async def test_a_key_has_its_rate_and_its_share(here: World, tmp_path: Path) -> None:
    """Beyond its rate a key gets 429 and the time to wait; beyond its concurrency until an answer is out."""
    text = one_key(tmp_path / "keys.yaml", "infer", rate=3.0, concurrency=2)
    door = Door(here, tmp_path, text)
    answers = [await door.infer(text) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[-1].headers["retry-after"] == "1"
    assert answers[-1].json()["code"] == "rate-limited"
    here.clock.advance(10)
    passes = [door.access.keys.admit({b"x-api-key": text.encode()}, "infer") for _ in range(2)]
    assert (await door.infer(text)).json()["code"] == "too-many-at-once"
    for passed in passes:
        assert isinstance(passed, Pass)
        door.access.keys.leave(passed)
    here.clock.advance(10)
    together = await asyncio.gather(*(door.infer(text) for _ in range(3)))
    assert {answer.status_code for answer in together} <= {200, 429}
    here.clock.advance(10)
    assert (await door.infer(text)).status_code == 200
    await door.client.aclose()


def series(counters: Counters) -> int:
    """How many series the slot's table holds."""
    return len(counters.read())


async def test_names_that_are_made_up_cost_nothing_that_stays(door: Door) -> None:
    """Ten thousand unknown models, versions and paths make no series and no memory that grows."""
    text, client = bearer(door.texts["infer"]), door.client
    kinds = (
        "/v2/models/x{}/infer",
        "/v2/models/m/versions/9{}/infer",
        "/v2/models/x{}",
        "/x/{}",
        "/v2/models/x{}/labels",
    )
    for kind in kinds:
        await client.post(kind.format(0), content=b"{}", headers=text)
    before = series(door.here.slot.counters)
    for number in range(count(500, 10_000)):
        for kind in kinds:
            answer = await client.post(kind.format(number), content=b"{}", headers=text)
            assert answer.status_code in (403, 404, 405)
    assert series(door.here.slot.counters) == before
    assert len(door.port._paths._seen) <= 1024
