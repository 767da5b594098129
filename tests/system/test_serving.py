"""A gateway with two workers: it answers, spreads, counts and stops."""

import asyncio
import collections
import stat

import httpx
import pytest

from prediction_log.record import Kind
from tests.counts import count
from tests.facts import until
from tests.system.load import ROW, Load, Plan, Wire
from tests.system.rig import Gateway

pytestmark = pytest.mark.system


async def test_two_workers_answer(gateway: Gateway) -> None:
    """Every answer names its version, arm and prediction id, and two workers give them."""
    shots = await Load(Plan(gateway.http, "/v2/models/m/infer", rate=200, seconds=1.0)).run()
    assert {(shot.status, shot.version, shot.arm) for shot in shots} == {(200, "2", "stable")}
    assert len({shot.prediction_id for shot in shots}) == len(shots)
    assert len({gateway.incarnation(shot.prediction_id) for shot in shots}) == 2


async def test_connections_spread_evenly(gateway: Gateway) -> None:
    """Of sixteen connections each of two workers gets six to ten, every time."""
    spreads = [await _spread(gateway, 16) for _ in range(count(12, 200))]
    assert all(6 <= held <= 10 for spread in spreads for held in spread), spreads


async def test_connections_spread_evenly_under_load(gateway: Gateway) -> None:
    """A busy gateway spreads new connections as evenly as an idle one."""
    load = Load(Plan(gateway.http, "/v2/models/m/infer", rate=500, seconds=60.0))
    running = asyncio.create_task(load.run())
    try:
        # Its own come first: what the workers share out evenly is what they hold in all.
        await until(lambda: gateway.shown("driftgate_connections") == 16, "the load is under way")
        spreads = [await _spread(gateway, 16, busy=16) for _ in range(count(6, 50))]
    finally:
        load.stop()
        shots = await running
    assert {shot.status for shot in shots} == {200}
    assert all(6 <= held <= 10 for spread in spreads for held in spread), spreads


async def _spread(gateway: Gateway, connections: int, *, busy: int = 0) -> list[int]:
    """How many of these connections each worker took (an answer's id tells), beside `busy` other ones."""
    host, port = gateway.http.removeprefix("http://").split(":")
    wires = await asyncio.gather(*(Wire.open(host, int(port)) for _ in range(connections)))
    request = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(ROW), ROW)
    heads = await asyncio.gather(*(wire.ask(request) for wire in wires))
    held = collections.Counter(gateway.incarnation(head.headers[b"x-prediction-id"]) for head in heads)
    for wire in wires:
        wire.close()
    await until(lambda: gateway.shown("driftgate_connections") <= busy, "the connections are gone")
    return list(held.values()) if len(held) == 2 else [*held.values(), 0]


async def test_counts_agree(gateway: Gateway) -> None:
    """Client, metrics and log agree to the last prediction at 500 requests a second."""
    plan = Plan(gateway.http, "/v2/models/m/infer", rate=500, seconds=count(4, 30))
    shots = await Load(plan).run()
    assert [shot for shot in shots if shot.status != 200] == []
    answered = {shot.prediction_id for shot in shots}
    assert len(answered) == len(shots) == 500 * count(4, 30)
    assert gateway.total("driftgate_requests_total", model="m", outcome="ok") == len(shots)
    await until(
        lambda: gateway.total("driftgate_log_rows_spooled_total", kind="prediction") == len(shots),
        "every row is spooled",
    )
    assert gateway.total("driftgate_log_rows_accepted_total", kind="prediction") == len(shots)
    assert gateway.total("driftgate_log_rows_lost_total") == 0
    logged = gateway.logged()
    assert len(logged) == len(shots)
    assert set(logged) == answered


async def test_stops_in_order(gateway: Gateway) -> None:
    """SIGTERM under load: clients that send again lose nothing, all that was answered is logged, code 0."""
    load = Load(Plan(gateway.http, "/v2/models/m/infer", rate=500, seconds=30.0, resend=True))
    running = asyncio.create_task(load.run())
    await until(lambda: len(load.shots) > 500, "the load is under way")
    code = await gateway.stop()
    load.stop()
    shots = await running
    assert code == 0, gateway.output()
    answered = [shot.prediction_id for shot in shots if shot.status == 200]
    assert {shot.status for shot in shots} <= {200, 0}
    assert {shot.fault for shot in shots if shot.status == 0} <= {"ConnectionRefusedError"}
    assert sorted(gateway.logged()) == sorted(answered)


async def test_restart_keeps_counting(gateway: Gateway) -> None:
    """After a stop and a start the metrics go on from where they were, and the ids do not repeat."""
    first = await Load(Plan(gateway.http, "/v2/models/m/infer", rate=200, seconds=0.5)).run()
    assert await gateway.stop() == 0
    await gateway.start()
    second = await Load(Plan(gateway.http, "/v2/models/m/infer", rate=200, seconds=0.5)).run()
    assert gateway.total("driftgate_requests_total", model="m", outcome="ok") == len(first) + len(second)
    assert len({shot.prediction_id for shot in first + second}) == len(first) + len(second)


async def test_second_gateway_is_refused(gateway: Gateway) -> None:
    """A second gateway over the same data folder says so in one line and exits with 1."""
    second = Gateway(gateway.folder)
    second.launch()
    await until(lambda: second.code is not None, "the second gateway has ended")
    assert second.code == 1
    assert f"{gateway.data} is in use by another process" in gateway.output()


async def test_state_is_private(gateway: Gateway) -> None:
    """Every file of the data folder can be read by its owner only."""
    await Load(Plan(gateway.http, "/v2/models/m/infer", rate=100, seconds=0.2)).run()
    files = [path for path in gateway.data.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


async def test_rejects_are_logged(gateway: Gateway) -> None:
    """Bad requests get 4xx with one line of JSON, and each is in the log as a reject."""
    async with httpx.AsyncClient(base_url=gateway.http, trust_env=False, timeout=60.0) as client:
        answers = [
            await client.post("/v2/models/m/infer", content=b"{"),
            await client.post("/v2/models/absent/infer", content=ROW),
            await client.post("/v2/models/m/versions/9/infer", content=ROW),
        ]
    assert [answer.status_code for answer in answers] == [400, 404, 404]
    assert all(answer.headers["content-type"] == "application/json" for answer in answers)
    assert all(list(answer.json()) == ["error"] for answer in answers)
    wanted = sorted(answer.headers["x-prediction-id"] for answer in answers)
    await until(lambda: sorted(gateway.logged(Kind.REJECT)) == wanted, "the rejects are in the log")


async def test_pinned_version_is_loaded_on_demand(gateway: Gateway) -> None:
    """A version that no route names is loaded when a request names it."""
    async with httpx.AsyncClient(base_url=gateway.http, trust_env=False, timeout=60.0) as client:
        answer = await client.post("/v2/models/m/versions/1/infer", content=ROW)
    assert answer.status_code == 200
    assert (answer.headers["x-model-version"], answer.headers["x-driftgate-arm"]) == ("1", "pinned")
    assert answer.json()["outputs"][0]["data"] == [10.0]
