"""The operator API, over a worker whose loop it runs on."""

from pathlib import Path
from typing import Any

import pytest

from gateway.catalogue import Catalogue
from gateway.line import BusyError, SupervisorError
from gateway.presence import Presence
from gateway.reload import RestartError
from groundwork.clock import FakeClock
from groundwork.errors import DriftgateError, SettingsError
from groundwork.openmetrics import OPEN_CONTENT_TYPE
from groundwork.slot_readings import SlotsReader
from groundwork.slots import Slot
from registry_client.memory import MemoryRegistry
from rollouts.store import SqliteStore
from tests.gateway.operated import STEPS, Bench
from tests.models import identity, logistic


async def test_a_rollout_from_start_to_undo(bench: Bench) -> None:
    """Each verb edits the route, is applied when it returns, and shows what stands then."""
    begun = await bench.done("start", candidate="2", spec=STEPS, who="ada", why="spring")
    assert (begun["verb"], begun["revision"], begun["applied"], begun["lagging"]) == ("start", 2, True, [])
    status = begun["status"]
    assert (status["stable"], status["candidate"], status["weight"]) == ("1", "2", "5")
    assert (status["state"], status["step"], status["steps"]) == ("progressing", 1, 1)
    assert bench.here.core.lanes.table["m"].route.revision == 2
    assert (await bench.done("pause", why="lunch"))["status"]["state"] == "paused"
    assert (await bench.done("set-weight", weight="12.5"))["status"]["weight"] == "12.5"
    assert (await bench.done("resume"))["status"]["state"] == "progressing"
    assert (await bench.done("promote"))["status"]["stable"] == "2"
    assert (await bench.done("undo", why="tickets"))["status"]["stable"] == "1"
    assert bench.here.core.lanes.table["m"].stable.version == "1"
    rows = (await bench.get("/v1/rollouts/m/history?after=1"))["history"]
    assert [row["verb"] for row in rows] == ["start", "pause", "set-weight", "resume", "promote", "undo"]
    assert (rows[0]["actor"], rows[0]["reason"]) == ("operator:ada", "spring")


async def test_a_start_comes_with_advice(bench: Bench) -> None:
    """What is probably not meant is done as it was asked for, and said; the defaults need no advice."""
    begun = await bench.done("start", candidate="2", spec=STEPS)
    assert any("promotes without proof" in line for line in begun["advice"])
    await bench.done("abort")
    assert (await bench.done("start", candidate="2"))["advice"] == []


async def test_a_promotion_that_names_its_version_promotes_no_other(bench: Bench) -> None:
    """Refused while another version is on trial; nothing has changed then."""
    await bench.done("start", candidate="2", spec=STEPS)
    refused = await bench.act("promote", to="3")
    assert (refused.status_code, refused.json()["code"]) == (409, "bad-route")
    assert "cannot promote version 3, version 2 is on trial" in refused.json()["error"]
    assert (await bench.get("/v1/rollouts/m"))["revision"] == 2
    assert (await bench.done("promote", to="2"))["status"]["stable"] == "2"


async def test_abort_goes_back(bench: Bench) -> None:
    """An aborted rollout leaves stable alone, and the status says how it ended."""
    await bench.done("start", candidate="2", spec=STEPS)
    await bench.done("abort", why="tickets")
    status = await bench.get("/v1/rollouts/m")
    assert (status["candidate"], status["state"], status["reason"]) == (None, "rolled-back", "tickets")


async def test_set_weight_can_hold(bench: Bench) -> None:
    """A weight set with hold pauses the rollout there."""
    await bench.done("start", candidate="2", spec=STEPS)
    assert (await bench.done("set-weight", weight=30, hold=True))["status"]["state"] == "paused"


async def test_names_workers_that_have_not_applied(bench: Bench) -> None:
    """A worker that answers and does not follow is named, and the verb returns all the same."""
    await bench.done("start", candidate="2", spec=STEPS)
    bench.console.patience = 0.0
    hung = Slot.create(bench.here.slots, place=1)
    Presence(hung.counters).following(now=True)
    answer = await bench.done("abort")
    assert not answer["applied"]
    assert answer["lagging"] == [f"worker 1 (slot {hung.incarnation})"]
    hung.close()


@pytest.mark.parametrize(
    ("verb", "wish", "status", "code"),
    [
        ("abort", {}, 409, "bad-route"),
        ("promote", {}, 409, "bad-route"),
        ("promote", {"to": "1"}, 409, "bad-route"),
        ("promote", {"to": "2"}, 409, "bad-route"),
        ("undo", {}, 409, "bad-route"),
        ("pause", {}, 409, "bad-route"),
        ("set-weight", {}, 400, "malformed"),
        ("set-weight", {"weight": "much"}, 400, "malformed"),
        ("start", {}, 400, "malformed"),
        ("start", {"candidate": "9"}, 404, "unknown-version"),
        ("start", {"candidate": "1"}, 409, "bad-route"),
        ("start", {"candidate": "2", "spec": {"stepz": []}}, 400, "bad-rollout"),
        ("start", {"candidate": "2", "spec": {"model": "other"}}, 400, "malformed"),
        ("abort", {"whom": "ada"}, 400, "malformed"),
        ("undo", {"to": "9"}, 409, "bad-route"),
        ("undo", {"to": "1"}, 409, "gone-back"),
        ("abort", {"to": "1"}, 400, "malformed"),
        ("promote", {"candidate": "2"}, 400, "malformed"),
        ("abort", {"revision": 77}, 409, "conflict"),
        ("explode", {}, 404, "not-found"),
    ],
)
async def test_refusals(bench: Bench, verb: str, wish: dict[str, Any], status: int, code: str) -> None:
    """What cannot be done is told in one line with the right status, and nothing has changed."""
    answer = await bench.act(verb, **wish)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert "\n" not in answer.json()["error"]
    route = bench.store.route("m")
    assert route is not None
    assert route.revision == 1


@pytest.mark.parametrize(
    "body",
    [b'{"candidate":"\xff"}', b'{"candidate":"2","spec":{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}}"],
)
async def test_a_command_is_text(bench: Bench, body: bytes) -> None:
    """No UTF-8, or brackets too deep in each other, are refused like any other body that is no command."""
    answer = await bench.client.post("/v1/rollouts/m/start", content=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")


async def test_a_broken_candidate_is_refused_before_the_edit(bench: Bench) -> None:
    """A version that cannot be loaded, or does not fit stable, never becomes a candidate."""
    await bench.here.publish("m", "3", b"no graph")
    await bench.here.publish("m", "4", identity([("z", "FP32", [None, 2])]))
    answers = [await bench.act("start", candidate=version) for version in ("3", "4")]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [
        (422, "load-failed"),
        (422, "incompatible-signature"),
    ]


async def test_a_rollout_leads_away_from_a_stable_version_that_is_broken(bench: Bench) -> None:
    """Where the first version seen cannot be loaded, another one can be started and promoted."""
    await bench.here.publish("n", "1", logistic())
    await bench.here.publish("n", "2", b"no graph")
    bench.store.ensure_first("n", "2", "gateway")
    bench.follow()
    await bench.reconciler.settled()
    bench.console.patience = 0.0
    assert not (await bench.done("start", "n", candidate="1"))["applied"]
    await bench.done("promote", "n")
    await bench.reconciler.settled()
    assert bench.here.core.lanes.table["n"].stable.version == "1"


async def test_unknown_models(bench: Bench) -> None:
    """A model nobody knows is a 404, whatever is asked of it."""
    asked = ["/v1/models/absent", "/v1/rollouts/absent", "/v1/rollouts/absent/history"]
    statuses = [(await bench.client.get(path)).status_code for path in asked]
    statuses.append((await bench.act("start", model="absent", candidate="1")).status_code)
    assert statuses == [404, 404, 404, 404]


async def test_models_show_registry_route_and_workers(bench: Bench) -> None:
    """A model's view joins its versions, its route, and how many workers hold which version."""
    await bench.here.publish("m", "10", b"no graph")
    view = await bench.get("/v1/models/m")
    assert view["versions"] == ["1", "2", "10"]
    assert (view["stable"], view["revision"], view["loaded"]) == ("1", 1, {"1": 1})
    assert (await bench.get("/v1/models")) == {"models": [view], "faults": []}


async def test_faults_are_shown(bench: Bench) -> None:
    """Why a version is not served here stands beside it."""
    await bench.here.publish("n", "1", b"no graph")
    bench.store.ensure_first("n", "1", "gateway")
    bench.follow()
    await bench.reconciler.settled()
    assert "version 1" in (await bench.get("/v1/models/n"))["faults"]["1"]


async def test_headers_may_say_who_why_and_which_revision(bench: Bench) -> None:
    """Who, why and the expected revision can come as headers; a stale one is a conflict."""
    path, body = "/v1/rollouts/m/start", {"candidate": "2", "spec": STEPS}
    stale = await bench.client.post(path, json=body, headers={"If-Match": '"9"'})
    assert (stale.status_code, stale.json()["code"]) == (409, "conflict")
    headers = {"If-Match": '"1"', "X-Driftgate-Who": "ada", "X-Driftgate-Why": "spring"}
    assert (await bench.client.post(path, json=body, headers=headers)).status_code == 200
    last = bench.store.history()[-1]
    assert (last.actor, last.reason) == ("operator:ada", "spring")
    odd = await bench.client.post(path, json=body, headers={"If-Match": "soon"})
    assert odd.status_code == 400


async def test_every_error_is_json(bench: Bench) -> None:
    """Wrong paths, methods, queries and oversized or broken bodies answer in the one error shape."""
    client = bench.client
    answers = [
        await client.get("/nowhere"),
        await client.delete("/v1/models"),
        await client.get("/v1/history?after=x"),
        await client.get(f"/v1/history?after={2**64}"),
        await client.get("/v1/history?after=" + "9" * 5000),
        await client.post("/v1/rollouts/m/abort", headers={"If-Match": "9" * 5000}),
        await client.post("/v1/rollouts/m/abort", content=b"{"),
        await client.post("/v1/rollouts/m/abort", content=b" " * (1 << 21)),
    ]
    assert [answer.status_code for answer in answers] == [404, 405, 400, 400, 400, 400, 400, 413]
    for answer in answers:
        assert answer.headers["content-type"] == "application/json"
        assert set(answer.json()) == {"error", "code"}
    assert [answer.json()["code"] for answer in answers[:3]] == ["not-found", "wrong-method", "malformed"]
    assert answers[0].json()["error"] == "GET /nowhere: Not Found"
    assert {*answers[1].headers["allow"].split(", ")} == {"GET", "HEAD"}


async def test_the_root_says_what_the_port_has(bench: Bench) -> None:
    """Who asks for `/` reads which port this is, and its paths with their methods."""
    listed = await bench.get("/")
    assert listed["port"] == "operator"
    assert listed["paths"]["/v1/rollouts/{model}/{verb}"] == ["POST"]
    assert listed["paths"]["/healthz"] == ["GET"]


async def test_history_of_all_models(bench: Bench) -> None:
    """History can be followed over all models by the number of the last row."""
    bench.store.ensure_first("n", "1", "gateway")
    found = await bench.get("/v1/history")
    assert [(row["sequence"], row["model"]) for row in found["history"]] == [(1, "m"), (2, "n")]
    assert found["after"] == 2
    assert await bench.get("/v1/history?after=2") == {"history": [], "after": 2}


async def test_health_and_metrics(bench: Bench) -> None:
    """The operator port says that it lives, and has all metrics."""
    assert await bench.get("/healthz") == {"status": "ok"}
    metrics = await bench.client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert "driftgate_workers_answering 1.0" in metrics.text
    metrics = await bench.client.get("/metrics", headers={"accept": "application/openmetrics-text"})
    assert metrics.headers["content-type"] == OPEN_CONTENT_TYPE
    assert "driftgate_workers_answering 1.0" in metrics.text


def test_a_registry_that_is_gone_hides_no_route(tmp_path: Path) -> None:
    """With the registry unreadable the routes are still shown, and the fault beside them."""

    class Gone(MemoryRegistry):
        """A registry whose place is gone."""

        def models(self) -> list[str]:
            """Fail."""
            raise OSError("the registry's disk is gone")

        def versions(self, name: str) -> list[str]:
            """Fail."""
            raise OSError(f"{name}: gone")

    store = SqliteStore(tmp_path / "rollouts.db", FakeClock())
    store.ensure_first("m", "1", "gateway")
    found = Catalogue(Gone("", None), store, SlotsReader(tmp_path / "slots"), dict).models()
    assert found.faults == ["the registry's disk is gone"]
    assert [(view.name, view.stable, view.faults) for view in found.models] == [("m", "1", {"": "m: gone"})]
    store.close()


async def test_what_concerns_all_workers_is_asked_of_the_supervisor(bench: Bench) -> None:
    """Workers, settings, replacing and reloading: with the name of an operator who acts."""
    assert await bench.get("/v1/workers") == {"verb": "workers"}
    assert await bench.get("/v1/config") == {"verb": "config"}
    answer = await bench.client.post("/v1/workers/recycle", headers={"x-driftgate-who": "ada"})
    assert (answer.status_code, answer.json()) == (202, {"verb": "recycle"})
    answer = await bench.client.post("/v1/config/reload", json={"who": "ada"})
    assert (answer.status_code, answer.json()) == (200, {"verb": "reload"})
    assert bench.supervisor.asked == [
        ("workers", ""),
        ("config", ""),
        ("recycle", "ada"),
        ("reload", "ada"),
    ]


async def test_a_reload_that_waits_is_accepted_only(bench: Bench) -> None:
    """A reload that is not done when the supervisor answers is 202, and the answer says so."""
    bench.supervisor.answers = {"changed": [], "waits": True}
    answer = await bench.client.post("/v1/config/reload")
    assert (answer.status_code, answer.json()) == (202, {"changed": [], "waits": True})


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (BusyError("later"), 409),
        (RestartError("settings data need a restart; nothing was changed"), 409),
        (SettingsError("no"), 409),
        (SupervisorError("gone"), 503),
    ],
)
async def test_a_refusal_of_the_supervisor_is_told(bench: Bench, fault: DriftgateError, status: int) -> None:
    """The supervisor's sentence and code reach the operator."""
    bench.supervisor.fault = fault
    answer = await bench.client.post("/v1/config/reload")
    assert answer.status_code == status
    assert answer.json() == {"error": str(fault), "code": fault.code}
