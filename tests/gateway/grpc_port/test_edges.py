"""gRPC beside HTTP: whatever is asked in both ways is answered, refused, counted and logged alike."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from gateway.grpc_port.statuses import code_of
from gateway.run_settings import RequestSettings, RunSettings
from gateway.settings import GatewaySettings
from prediction_log.record import Kind
from tests.gateway.grpc_port.ports import CODES, Served, served, tensor, typed
from tests.gateway.worlds import ROW, request

IDENTITY: Final = ("x-model-version", "x-driftgate-arm")
CONFIGURED: Final = {
    "inline": GatewaySettings(requests=RequestSettings(inline_body_bytes=20_000)),
    "away": GatewaySettings(runs=RunSettings(inline=0)),
}
TRACE: Final = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
UNKNOWN: Final = {"x-driftgate-version": "9"}
PINNED: Final = {"x-driftgate-version": "1"}
CLASSES: Final = {"name": "probabilities", "parameters": {"classification": 2}}
CASES: Final[dict[str, tuple[dict[str, Any], Mapping[str, str]]]] = {
    "one": ({}, {}),
    "many rows": ({"data": [ROW] * 20}, {}),
    "beyond inline": ({"data": [ROW] * 200}, {}),
    "an id": ({"id": "Ünïcode"}, {}),
    "a trace": ({}, TRACE),
    "pinned": ({}, PINNED),
    "no such version": ({}, UNKNOWN),
    "chosen outputs": ({"outputs": [{"name": "probabilities"}, {"name": "label"}]}, {}),
    "classes": ({"outputs": [CLASSES]}, {}),
    "an unknown output": ({"outputs": [{"name": "z"}]}, {}),
    "an output twice": ({"outputs": [{"name": "label"}] * 2}, {}),
    "a strange flag": ({"parameters": {"binary_data_output": "yes"}}, {}),
    "a deadline too short": ({"parameters": {"timeout": 1}}, {}),
    "a strange deadline": ({"parameters": {"timeout": "soon"}}, {}),
    "urgent": ({"parameters": {"priority": 1}}, {}),
}
"""What is asked (fields of a JSON request), with which headers or metadata."""


def parameter(value: Any) -> dict[str, Any]:
    """A parameter's value as gRPC has it."""
    kinds = {bool: "bool_param", int: "int64_param", str: "string_param"}
    return {kinds[type(value)]: value}


def parameters(found: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as gRPC has them."""
    return {name: parameter(value) for name, value in found.items()}


def message(data: Any = None, **more: Any) -> dict[str, Any]:
    """The request of `worlds.request` as a typed message."""
    outputs = [
        {"name": one["name"], "parameters": parameters(one.get("parameters", {}))}
        for one in more.pop("outputs", ())
    ]
    asked = typed(data, outputs=outputs, parameters=parameters(more.pop("parameters", {})), **more)
    asked["inputs"][0]["shape"] = tensor(data)["shape"] if data is None else [len(data), 30]
    return asked


def values(output: Any) -> list[Any]:
    """The elements of a typed output."""
    ((_field, found),) = output.contents.ListFields()
    return [one.decode() if isinstance(one, bytes) else one for one in found]


async def by_http(there: Served, asked: dict[str, Any], headers: Mapping[str, str]) -> Any:
    """Code, who answered, sentence or outputs, as the data port tells them."""
    answer = await there.world.infer(request(**asked), headers=headers)
    told = answer.json()
    outputs = [(one["name"], one["datatype"], one["shape"], one["data"]) for one in told.get("outputs", ())]
    facts = [answer.headers.get(name) for name in IDENTITY]
    return code_of(answer.status_code), facts, told.get("error", ""), told.get("id", ""), outputs


async def by_grpc(there: Served, asked: dict[str, Any], headers: Mapping[str, str]) -> Any:
    """The same from the gRPC port."""
    answer = await there.client.infer(message(**asked), headers)
    facts = [answer.metadata.get(name) for name in IDENTITY]
    if answer.code is not CODES.OK:
        return answer.code, facts, answer.sentence, "", []
    outputs = [(one.name, one.datatype, list(one.shape), values(one)) for one in answer.message.outputs]
    return answer.code, facts, answer.sentence, answer.message.id, outputs


def logged(there: Served) -> list[tuple[int, int]]:
    """Kinds and rows of what the log has of it."""
    return [(frame.kind, frame.rows) for kind in Kind for frame in there.world.frames(kind)]


@pytest.mark.parametrize("configured", CONFIGURED)
@pytest.mark.parametrize("name", CASES)
async def test_both_ways_give_the_same(tmp_path: Path, name: str, configured: str) -> None:
    """Code, identity, sentence, outputs and log do not tell by which way a request came."""
    asked, headers = CASES[name]
    found = []
    for ask in (by_http, by_grpc):
        async with served(tmp_path / ask.__name__, CONFIGURED[configured]) as there:
            found.append((await ask(there, asked, headers), logged(there)))
    ((*one, ours), log), ((*other, theirs), same) = found
    assert (one, log) == (other, same)
    assert [output[:3] for output in ours] == [output[:3] for output in theirs]
    for mine, yours in zip(ours, theirs, strict=True):
        if mine[1] == "BYTES":
            assert mine[3] == yours[3]
        else:
            assert np.allclose(mine[3], yours[3])
