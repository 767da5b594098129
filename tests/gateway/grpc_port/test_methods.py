"""The methods beside inference, each against what the data port says over HTTP."""

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from gateway.settings import GatewaySettings, GrpcSettings
from groundwork.keys import OPERATE, KeyBook, create
from tests.gateway.grpc_port.ports import CODES, Served, served
from tests.gateway.pages.test_repository import Shelf
from tests.gateway.worlds import world
from tests.keys import NOW, bearer
from tests.models import logistic


async def over_http(there: Served, path: str) -> Any:
    """A document of the data port."""
    return (await there.world.client.get(path)).json()


async def test_the_server_says_what_it_is(there: Served) -> None:
    """Live, ready, name and version; no extension is named that does not work."""
    assert (await there.client.ask("ServerLive")).message.live
    assert (await there.client.ask("ServerReady")).message.ready
    there.world.core.ready = False
    assert not (await there.client.ask("ServerReady")).message.ready
    assert (await there.client.ask("ServerLive")).message.live
    found = (await there.client.ask("ServerMetadata")).message
    assert {"name": found.name, "version": found.version, "extensions": list(found.extensions)} == (
        await over_http(there, "/v2")
    )


async def test_metadata_and_configuration_are_those_of_http(there: Served) -> None:
    """Both documents say the same by gRPC."""
    found = (await there.client.ask("ModelMetadata", {"name": "m"})).message
    told = await over_http(there, "/v2/models/m")
    assert [(one.name, one.datatype, list(one.shape)) for one in found.inputs] == [
        (one["name"], one["datatype"], one["shape"]) for one in told["inputs"]
    ]
    assert (list(found.versions), found.platform) == (told["versions"], told["platform"])
    config = (await there.client.ask("ModelConfig", {"name": "m", "version": "1"})).message.config
    document = json_format.MessageToDict(config, preserving_proto_field_name=True)
    told = await over_http(there, "/v2/models/m/config")
    assert document["max_batch_size"] == told["max_batch_size"]
    assert [one["data_type"] for one in document["output"]] == [one["data_type"] for one in told["output"]]
    assert [int(size) for size in document["input"][0]["dims"]] == told["input"][0]["dims"]


async def test_statistics_are_those_of_http(there: Served) -> None:
    """Counts and times of one model, and of all."""
    assert (await there.client.infer()).code is CODES.OK
    (one,) = (await there.client.ask("ModelStatistics", {"name": "m"})).message.model_stats
    (told,) = (await over_http(there, "/v2/models/m/stats"))["model_stats"]
    assert (one.inference_count, one.execution_count) == (1, 1)
    assert one.inference_stats.success.ns == told["inference_stats"]["success"]["ns"]
    (everything,) = (await there.client.ask("ModelStatistics")).message.model_stats
    assert everything == one


@pytest.mark.parametrize("name", ["ModelMetadata", "ModelConfig", "ModelStatistics"])
async def test_an_unknown_model_is_not_found(there: Served, name: str) -> None:
    """An unknown name or version is NOT_FOUND; bytes that are no message are INVALID_ARGUMENT."""
    assert (await there.client.ask(name, {"name": "n"})).code is CODES.NOT_FOUND
    assert (await there.client.ask(name, {"name": "m", "version": "9"})).code is CODES.NOT_FOUND
    assert (await there.client.ask(name, b"\xff")).code is CODES.INVALID_ARGUMENT


async def test_a_model_is_ready_or_not(there: Served) -> None:
    """A model that answers is ready; what is unknown is not ready, and that is no error."""
    for asked, ready in (
        ({"name": "m"}, True),
        ({"name": "m", "version": "1"}, True),
        ({"name": "m", "version": "2"}, False),
        ({"name": "m", "version": "abc"}, False),
        ({"name": "n"}, False),
        ({}, False),
    ):
        assert (await there.client.ask("ModelReady", asked)).message.ready == ready


async def test_without_a_registry_there_is_no_repository(there: Served) -> None:
    """Index and commands are UNIMPLEMENTED where nothing is behind them."""
    for name in ("RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload"):
        assert (await there.client.ask(name)).code is CODES.UNIMPLEMENTED


async def test_the_repository_is_that_of_http(tmp_path: Path) -> None:
    """Index, unload and load do what they do over HTTP, and refuse what they refuse."""
    async with world(tmp_path) as here:
        shelf = Shelf(here, tmp_path)
        made = Served(here, None, shelf.repository)
        await made.port.open()
        try:
            await _use(made)
        finally:
            await made.close()
            await shelf.data.aclose()


async def test_history_names_the_key_of_a_call(tmp_path: Path) -> None:
    """Where keys are configured, who unloaded and loaded a model by gRPC is the name of the key."""
    key, text = create("night-shift", [OPERATE], NOW)
    async with world(tmp_path) as here:
        shelf = Shelf(here, tmp_path)
        made = Served(here, KeyBook([key]), shelf.repository)
        await made.port.open()
        try:
            for name in ("RepositoryModelUnload", "RepositoryModelLoad"):
                answer = await made.client.ask(name, {"model_name": "m"}, bearer(text))
                assert answer.code is CODES.OK, answer.sentence
            rows = (await shelf.get("/v1/rollouts/m/history?after=1"))["history"]
        finally:
            await made.close()
            await shelf.data.aclose()
    assert [(row["verb"], row["actor"]) for row in rows] == [
        ("unload", "operator:night-shift"),
        ("load", "operator:night-shift"),
    ]


async def test_metadata_lists_versions_that_are_not_in_memory(tmp_path: Path) -> None:
    """Every version of the registry can be asked for, so every one is named."""
    async with world(tmp_path) as here:
        shelf = Shelf(here, tmp_path)
        await here.publish("m", "2", logistic(bias=1.0))
        made = Served(here, None, shelf.repository)
        await made.port.open()
        try:
            found = await made.client.ask("ModelMetadata", {"name": "m"})
        finally:
            await made.close()
            await shelf.data.aclose()
        assert list(found.message.versions) == ["1", "2"]


async def _use(made: Served) -> None:
    client = made.client
    (one,) = (await client.ask("RepositoryIndex")).message.models
    assert (one.name, one.version) == ("m", "1")
    assert (await client.ask("RepositoryModelUnload", {"model_name": "n"})).code is CODES.NOT_FOUND
    wrong = {"model_name": "m", "parameters": {"config": {"string_param": "{}"}}}
    files = {"model_name": "m", "parameters": {"file:1/model.onnx": {"bytes_param": bytes(300_000)}}}
    for asked in (wrong, files):
        refused = await client.ask("RepositoryModelLoad", asked)
        assert refused.code is CODES.INVALID_ARGUMENT
        assert refused.sentence.endswith("publish a version instead")
    assert (await client.ask("RepositoryModelUnload", wrong)).code is CODES.INVALID_ARGUMENT
    fine = {"model_name": "m", "parameters": {"unload_dependents": {"bool_param": True}}}
    assert (await client.ask("RepositoryModelUnload", fine)).code is CODES.OK
    for name in ("RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload"):
        assert (await client.ask(name, {"repository_name": "r"})).code is CODES.NOT_FOUND


async def test_a_port_for_everybody_takes_no_commands(tmp_path: Path) -> None:
    """Without keys and beyond loopback both commands are PERMISSION_DENIED, and are not advertised."""
    async with served(tmp_path, GatewaySettings(grpc=GrpcSettings(host="0.0.0.0"))) as there:
        for name in ("RepositoryModelLoad", "RepositoryModelUnload"):
            assert (await there.client.ask(name, {"model_name": "m"})).code is CODES.PERMISSION_DENIED
        assert "model_repository" not in (await there.client.ask("ServerMetadata")).message.extensions
