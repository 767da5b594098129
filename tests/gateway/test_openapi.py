"""The OpenAPI document."""

import re
from pathlib import Path
from typing import Any

import msgspec

from gateway.about import ABOUT
from gateway.destinations import targets_of
from gateway.openapi import describe
from gateway.pages.absent import ABSENT
from gateway.pages.page import PAGES, PLATFORM_PAGES
from gateway.protocols.codec import PLATFORM_PROTOCOLS, PROTOCOLS
from gateway.schemas import SCHEMAS
from gateway.settings import GatewaySettings, PlatformSettings
from tests.gateway.protocols.loading import opened
from tests.gateway.worlds import World, world
from tests.models import identity

OFFERED = {**PROTOCOLS, **PAGES, **PLATFORM_PAGES, **PLATFORM_PROTOCOLS}


def test_what_is_routed_is_described_and_nothing_else() -> None:
    """Every target of every table has its words, but for what is not offered."""
    assert set(ABOUT) == set(OFFERED.values()) - {"gateway.pages.absent:ABSENT"}
    assert set(ABSENT.methods) == {"GET", "POST"}


def references(value: Any) -> set[str]:
    """Every reference within a document."""
    return set(re.findall(r'"#/components/schemas/(\w+)"', msgspec.json.encode(value).decode()))


def test_references_lead_somewhere_and_every_schema_is_used() -> None:
    """No schema is missing, and none is there for nothing."""
    document = describe({**OFFERED}, "1", operator=True)
    assert references(document) == set(SCHEMAS)


async def test_the_document_is_that_of_the_port(here: World) -> None:
    """The paths are those of the port; with a model its name stands in them, and the example is answered."""
    document = (await here.client.get("/openapi.json?operator=true")).json()
    offered = {path for path, target in here.port.premises.targets.items() if target in ABOUT}
    assert set(document["paths"]) == offered
    assert document["openapi"].startswith("3.1")
    concrete = (await here.client.get("/openapi.json?model=m")).json()
    assert not [path for path in concrete["paths"] if "{model}" in path]
    schema = concrete["components"]["schemas"]["InferenceRequest"]
    assert (await here.infer(schema["example"])).status_code == 200
    assert (await here.client.get("/openapi.json?model=nobody")).status_code == 404


async def test_what_takes_a_model_away_is_shown_to_who_asks(here: World) -> None:
    """A tool that tries all of the document unloads nothing, unless the document was asked to say how."""
    plain = (await here.client.get("/openapi.json")).json()["paths"]
    whole = (await here.client.get("/openapi.json?operator=true")).json()["paths"]
    assert whole.keys() - plain.keys() == {
        f"/v2/repository/models/{{model}}/{act}" for act in ("load", "unload")
    }
    refused = await here.client.get("/openapi.json?operator=perhaps")
    assert refused.status_code == 400
    assert "wanted true or false, found 'perhaps'" in refused.json()["error"]


def test_a_body_is_wanted_by_all_that_take_one_but_the_repository() -> None:
    """A client made from the document sends a body wherever the port refuses a request without one."""
    paths = describe({**OFFERED, "/score": "gateway.protocols.azure_ml:CODEC"}, "1", operator=True)["paths"]
    bodies = {path: one["post"]["requestBody"] for path, one in paths.items() if "post" in one}
    free = {path for path, body in bodies.items() if not body["required"]}
    assert free == {path for path in bodies if path.startswith("/v2/repository/")}
    assert {"/score", "/v2/models/{model}/labels", "/invocations"} <= bodies.keys() - free


def test_what_may_be_missing_is_said_to_be_404(tmp_path: Path) -> None:
    """Each path of a model may find none, named or by default; those of the server are always there."""
    model = opened(tmp_path, identity([("x", "FP32", [None, 1])]))
    for shown in (None, model):
        paths = describe({**PROTOCOLS, **PAGES}, "1", shown)["paths"]
        found = {path for path, one in paths.items() for kind in one.values() if "404" in kind["responses"]}
        always = {path for path in paths if path not in found}
        assert always == {
            "/", "/docs", "/metrics", "/v1/models", "/v2", "/v2/health/live", "/v2/health/ready",
            "/v2/repository/index", "/version",
        }  # fmt: skip


def test_what_predicts_may_be_too_late() -> None:
    """Each path of a prediction takes a deadline and has the status of one that has passed, no other does."""
    paths = describe({**PROTOCOLS, **PAGES, "/score": "gateway.protocols.azure_ml:CODEC"}, "1")["paths"]
    timed = {
        path
        for path, one in paths.items()
        for kind in one.values()
        if "504" in kind["responses"] and "X-Request-Timeout" in {told["name"] for told in kind["parameters"]}
    }
    assert timed == {*PROTOCOLS, "/score"}


async def test_platform_paths_are_told(tmp_path: Path) -> None:
    """Paths that a setting chooses are described as what they lead to; they come before all others."""
    chosen = PlatformSettings(vertex_predict="/ping", azure_scoring="/score")
    async with world(tmp_path, GatewaySettings(platform=chosen)) as here:
        targets = targets_of(chosen)
        assert list(targets)[:2] == ["/ping", "/score"]
        assert targets["/ping"] == "gateway.protocols.vertex:CODEC"
        document = (await here.client.get("/openapi.json")).json()
        assert "post" in document["paths"]["/ping"]


def test_with_keys_a_key_is_wanted() -> None:
    """Where keys are configured the document says so, and which statuses come of it."""
    document = describe(
        {"/v2/models/{model}/infer": "gateway.protocols.open_inference:CODEC"}, "1", keyed=True
    )
    responses = document["paths"]["/v2/models/{model}/infer"]["post"]["responses"]
    assert {"401", "403", "429"} <= set(responses)
    assert document["security"] == [{"key": []}]


def test_an_example_is_there_for_every_datatype_that_json_carries(tmp_path: Path) -> None:
    """Numbers, truth and text have an example; half precision has none."""
    kinds = ["BOOL", "INT64", "FP32", "BYTES"]
    model = opened(tmp_path, identity([(kind.lower(), kind, [None, 2]) for kind in kinds]))
    schema = describe({}, "1", model)["components"]["schemas"]["InferenceRequest"]
    assert [tensor["data"] for tensor in schema["example"]["inputs"]] == [
        [False] * 2,
        [0] * 2,
        [0] * 2,
        [""] * 2,
    ]
    (tmp_path / "half").mkdir()
    half = opened(tmp_path / "half", identity([("a", "FP16", [2])]))
    assert "example" not in describe({}, "1", half)["components"]["schemas"]["InferenceRequest"]


async def test_the_page_for_people_asks_nobody_else(here: World) -> None:
    """The page names no other host, and its policy lets it ask this port only."""
    response = await here.client.get("/docs")
    assert response.headers["content-type"].startswith("text/html")
    assert "connect-src 'self'" in response.headers["content-security-policy"]
    assert not re.findall(r"(?:\w+:)?//[\w-]+\.\w+", response.text)
