"""Reading a ModelInferRequest for a model, and writing the ModelInferResponse that answers it."""

from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import MalformedError, Refusal, TooLargeError
from gateway.grpc_port.codec import SMALL_BYTES, InferCodec, parse
from gateway.grpc_port.wire import MOST_FIELDS, MOST_NAME, addressed
from gateway.model import LoadedModel
from gateway.protocols.naming import MOST_PARAMETERS
from tests.counts import count
from tests.gateway.grpc_port.ports import CODES, SERVICE, Served, raw, tensor, typed
from tests.gateway.protocols.loading import opened
from tests.gateway.worlds import ROW
from tests.models import constant, identity, logistic

REQUEST: Final = SERVICE.messages["ModelInferRequest"]
VALUES: Final[dict[str, tuple[str, list[Any]]]] = {
    "BOOL": ("bool_contents", [True, False]),
    "INT8": ("int_contents", [-128, 127]),
    "INT16": ("int_contents", [-32768, 32767]),
    "INT32": ("int_contents", [-(2**31), 2**31 - 1]),
    "INT64": ("int64_contents", [-(2**63), 2**63 - 1]),
    "UINT8": ("uint_contents", [0, 255]),
    "UINT16": ("uint_contents", [0, 65535]),
    "UINT32": ("uint_contents", [0, 2**32 - 1]),
    "UINT64": ("uint64_contents", [0, 2**64 - 1]),
    "FP32": ("fp32_contents", [0.5, float("inf")]),
    "FP64": ("fp64_contents", [0.1, -1e300]),
    "BYTES": ("bytes_contents", ["großer Wagen".encode(), b"\xff\x00"]),
}
RAW: Final = {name: name.lower().replace("fp", "float") for name in VALUES if name != "BYTES"}


def asked(name: str, field: str, values: list[Any]) -> dict[str, Any]:
    """A typed request to a model that echoes."""
    given = tensor(values, datatype=name, contents={field: values})
    return {"model_name": "e", "inputs": [given]}


@pytest.mark.parametrize("name", VALUES)
async def test_every_datatype_travels_typed(there: Served, name: str) -> None:
    """What is sent in the field of its datatype comes back in the same field, value for value."""
    field, values = VALUES[name]
    await there.world.add("e", identity([("x", name, [None])]))
    answer = await there.client.infer(asked(name, field, values))
    (output,) = answer.message.outputs
    assert (output.datatype, list(output.shape)) == (name, [2])
    assert list(getattr(output.contents, field)) == values
    assert not answer.message.raw_output_contents


@pytest.mark.parametrize("name", [*RAW, "FP16", "BF16", "BYTES"])
async def test_every_datatype_travels_raw(there: Served, name: str) -> None:
    """Bytes that are sent raw come back raw, bit for bit."""
    blob = {"FP16": b"\x00\x3c\x01\x7c", "BF16": b"\x80\x3f\xc1\x7f", "BYTES": b"\2\0\0\0a\xff\0\0\0\0"}.get(
        name
    )
    blob = np.array(VALUES[name][1], RAW[name]).tobytes() if blob is None else blob
    await there.world.add("e", identity([("x", name, [None])]))
    head = tensor([0, 0], datatype=name)
    answer = await there.client.infer({"model_name": "e", "inputs": [head], "raw_input_contents": [blob]})
    assert list(answer.message.raw_output_contents) == [blob]
    assert not answer.message.outputs[0].HasField("contents")


@pytest.mark.parametrize("name", ["INT8", "INT16", "UINT8", "UINT16"])
async def test_ranges_are_checked(there: Served, name: str) -> None:
    """A value that its field could carry and its datatype cannot is refused, never wrapped."""
    field, values = VALUES[name]
    await there.world.add("e", identity([("x", name, [None])]))
    answer = await there.client.infer(asked(name, field, [0, values[1] + 1]))
    assert answer.code is CODES.INVALID_ARGUMENT
    assert "range" in answer.sentence


async def test_a_column_is_a_vector(there: Served) -> None:
    """MLServer's codecs write a vector of n as [n, 1], raw and typed; it is answered in the model's shape."""
    await there.world.add("e", identity([("x", "FP32", [None])]))
    head = {**tensor(datatype="FP32"), "shape": [2, 1]}
    sent = {"inputs": [head], "raw_input_contents": [bytes(8)]}
    for asked_for in (sent, {"inputs": [{**head, "contents": {"fp32_contents": [0.0, 0.0]}}]}):
        answer = await there.client.infer({"model_name": "e", **asked_for})
        assert answer.code is CODES.OK, answer.sentence
        assert list(answer.message.outputs[0].shape) == [2]


async def test_an_answer_travels_as_its_request_did(there: Served) -> None:
    """Typed begets typed and raw raw, unless binary_data_output says otherwise."""
    told = {"parameters": {"binary_data_output": {"bool_param": True}}}
    untold = {"parameters": {"binary_data_output": {"bool_param": False}}}
    asked_for = ((typed(), False), (raw(), True), (typed(**told), True), (raw(**untold), False))
    for message, is_raw in asked_for:
        answer = (await there.client.infer(message)).message
        assert bool(answer.raw_output_contents) == is_raw
        assert answer.outputs[0].HasField("contents") != is_raw
        names = [output.name for output in answer.outputs]
        assert names == ["label", "probabilities"]


async def test_who_sends_no_input_is_answered_raw(there: Served) -> None:
    """A request of a model without inputs is of neither form, and raw is what released clients read."""
    await there.world.add("c", constant())
    answer = await there.client.infer({"model_name": "c"})
    assert answer.code is CODES.OK, answer.sentence
    assert list(answer.message.raw_output_contents) == [np.array([1, 2, 3], "<f4").tobytes()]


async def test_an_output_without_a_typed_form_makes_all_raw(there: Served) -> None:
    """A typed answer that FP16 is part of comes raw, whole."""
    await there.world.add("e", identity([("x", "FP16", [None])]))
    told = {"parameters": {"binary_data_output": {"bool_param": False}}}
    head = tensor([0], datatype="FP16")
    message = {"model_name": "e", "inputs": [head], "raw_input_contents": [b"\x00\x3c"], **told}
    answer = await there.client.infer(message)
    assert answer.code is CODES.OK, answer.sentence
    assert list(answer.message.raw_output_contents) == [b"\x00\x3c"]


async def test_identity_comes_back(there: Served) -> None:
    """The client's id, whatever it is, and who answered are in the answer; arm and id in its metadata too."""
    answer = await there.client.infer(typed(id="Ü 1"))
    message = answer.message
    assert (message.id, message.model_name, message.model_version) == ("Ü 1", "m", "1")
    found = {name: value.string_param for name, value in message.parameters.items()}
    assert found == {"arm": "stable", "prediction_id": answer.metadata["x-prediction-id"]}
    assert (answer.metadata["x-model-version"], answer.metadata["x-driftgate-arm"]) == ("1", "stable")


async def test_outputs_are_chosen_and_classified(there: Served) -> None:
    """Named outputs alone come, in the order named; a classified one as strings."""
    classes = {"name": "probabilities", "parameters": {"classification": {"int64_param": 1}}}
    answer = (await there.client.infer(typed(outputs=[classes, {"name": "label"}]))).message
    first, second = answer.outputs
    assert (first.name, first.datatype, list(first.shape)) == ("probabilities", "BYTES", [1, 1])
    assert first.contents.bytes_contents[0].startswith(b"0.7")
    assert second.name == "label"


WRONG: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "both forms": ({"inputs": typed()["inputs"], "raw_input_contents": [b""]}, "beside"),
    "too few raw": (raw() | {"inputs": [tensor(), tensor(name="y")]}, "has 1 tensors"),
    "too many raw": (raw() | {"raw_input_contents": [b"", b""]}, "has 2 tensors"),
    "raw too short": (raw() | {"raw_input_contents": [b"\0" * 119]}, "119 bytes"),
    "neither form": ({"inputs": [tensor()]}, "no contents"),
    "empty contents": ({"inputs": [tensor(contents={})]}, "no contents"),
    "the wrong field": ({"inputs": [tensor(contents={"fp64_contents": ROW})]}, "wanted fp32_contents"),
    "two fields": (
        {"inputs": [tensor(contents={"fp32_contents": ROW, "int_contents": [1]})]},
        "int_contents and fp32_contents",
    ),
    "too few values": ({"inputs": [tensor(contents={"fp32_contents": ROW[:29]})]}, "29 values"),
    "no inputs": ({}, "missing"),
    "another name": ({"inputs": [tensor(name="y")], "raw_input_contents": [b""]}, "unknown"),
    "twice": ({"inputs": [tensor()] * 2, "raw_input_contents": [bytes(120)] * 2}, "twice"),
    "another datatype": (raw() | {"inputs": [tensor(datatype="FP64")]}, "datatype"),
    "no datatype": (raw() | {"inputs": [tensor(datatype="")]}, "datatype"),
    "another shape": (raw() | {"inputs": [{**tensor(), "shape": [1, 29]}]}, "shape"),
    "a negative shape": (raw() | {"inputs": [{**tensor(), "shape": [-1, 30]}]}, "shape"),
    "a huge shape": (raw() | {"inputs": [{**tensor(), "shape": [2**40, 30]}]}, "wanted"),
    "a huge typed shape": (typed() | {"inputs": [{**typed()["inputs"][0], "shape": [2**62, 30]}]}, "wanted"),
    "no shape": (raw() | {"inputs": [{**tensor(), "shape": []}]}, "shape"),
    "an unknown output": (raw(outputs=[{"name": "y"}]), "unknown"),
    "an output twice": (raw(outputs=[{"name": "label"}] * 2), "twice"),
    "a strange flag": (raw(parameters={"binary_data_output": {"int64_param": 1}}), "binary_data_output"),
    "no classes": (
        raw(outputs=[{"name": "label", "parameters": {"classification": {"string_param": "1"}}}]),
        "classification",
    ),
    "shared memory in": (
        {"inputs": [tensor(parameters={"shared_memory_region": {"string_param": "a"}})]},
        "shared memory",
    ),
    "shared memory out": (
        raw(outputs=[{"name": "label", "parameters": {"shared_memory_region": {"string_param": "a"}}}]),
        "shared memory",
    ),
    "many parameters": (
        raw(parameters={str(number): {"bool_param": True} for number in range(MOST_PARAMETERS + 1)}),
        "1001 parameters",
    ),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_request_is_told_what_is_wrong(there: Served, name: str) -> None:
    """Each mistake is INVALID_ARGUMENT in one line that names it, and a good request follows."""
    message, sentence = WRONG[name]
    answer = await there.client.infer({"model_name": "m", **message})
    assert answer.code is CODES.INVALID_ARGUMENT
    assert sentence in answer.sentence
    assert "\n" not in answer.sentence
    assert (await there.client.infer()).code is CODES.OK


async def test_parameters_of_every_kind_are_read(there: Served) -> None:
    """Whatever a parameter holds is fine; one without a value is not there."""
    kinds = {
        "a": {"bool_param": True},
        "b": {"int64_param": -1},
        "c": {"string_param": "c"},
        "d": {"double_param": 0.5},
        "e": {"uint64_param": 2**64 - 1},
        "f": {},
        "binary_data_output": {},
    }
    assert (await there.client.infer(raw(parameters=kinds))).code is CODES.OK


def test_a_message_of_countless_fields_is_not_parsed() -> None:
    """Two bytes that would become a message of eighty each are counted before they are parsed."""
    with pytest.raises(TooLargeError, match="more than"):
        parse(SERVICE, b"\x2a\x00" * (2 * MOST_FIELDS))
    with pytest.raises(MalformedError):
        parse(SERVICE, b"\xff" * (SMALL_BYTES + 1))
    with pytest.raises(MalformedError):
        parse(SERVICE, b"\x3a\xff\xff\xff\x7f" + bytes(SMALL_BYTES))


def test_a_name_as_long_as_a_body_is_nobodys() -> None:
    """Of a name longer than any there is no more is read than tells that nobody has it."""
    name, version = addressed(
        REQUEST(model_name="ü" * MOST_NAME + "m", model_version="1").SerializeToString()
    )
    assert (name, version) == ("ü" * (MOST_NAME // 2), "1")
    assert addressed(b"\x0a\x80\x20" + b"u" + "ü".encode() * 2047 + b"\xc3")[0] == "u" + "ü" * 2047


@given(st.binary(max_size=200))
def test_size_is_checked_of_any_bytes(body: bytes) -> None:
    """Whatever protobuf reads passes; the rest passes too or is refused, and nothing else happens."""
    try:
        addressed(body)
    except MalformedError:
        with pytest.raises(MalformedError):
            parse(SERVICE, body)


PARAMETERS = st.dictionaries(
    st.sampled_from(["binary_data_output", "classification", "shared_memory_region", "a"]),
    st.sampled_from([{"bool_param": True}, {"int64_param": 2}, {"string_param": "1"}, {}]),
    max_size=2,
)
CONTENTS = st.fixed_dictionaries(
    {},
    optional={
        "fp32_contents": st.lists(st.floats(width=32), max_size=31),
        "int_contents": st.lists(st.integers(-5, 5), max_size=2),
        "bytes_contents": st.lists(st.binary(max_size=3), max_size=2),
    },
)
INPUTS: Final[st.SearchStrategy[dict[str, Any]]] = st.builds(
    dict,
    name=st.sampled_from(["x", "x", "y", ""]),
    datatype=st.sampled_from(["FP32", "FP32", "FP16", "BYTES", ""]),
    shape=st.lists(st.sampled_from([1, 2, 30, 0, -1, 2**62]), max_size=3),
    parameters=PARAMETERS,
    contents=CONTENTS,
)
MESSAGES: Final[st.SearchStrategy[dict[str, Any]]] = st.builds(
    dict,
    model_name=st.just("m"),
    id=st.text(max_size=3),
    parameters=PARAMETERS,
    inputs=st.lists(INPUTS, max_size=2),
    outputs=st.lists(
        st.builds(dict, name=st.sampled_from(["label", "z"]), parameters=PARAMETERS), max_size=2
    ),
    raw_input_contents=st.lists(st.binary(max_size=130), max_size=2),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """`logistic`, loaded."""
    return opened(tmp_path_factory.mktemp("model"), logistic())


def refusal_of(model: LoadedModel, body: bytes) -> str:
    """Why a message is refused; empty where it is read."""
    try:
        InferCodec(parse(SERVICE, body), None).decode(model, {}, body)
    except Refusal as refusal:
        return str(refusal)
    return ""


@settings(max_examples=count(200, 100_000), deadline=None)
@given(message=MESSAGES, cut=st.integers(0, 400), flipped=st.integers(0, 400))
def test_whatever_is_sent_is_read_or_refused(
    model: LoadedModel, message: dict[str, Any], cut: int, flipped: int
) -> None:
    """Any message, whole or damaged, is decoded or refused in one line; nothing else is raised."""
    whole = REQUEST(**message).SerializeToString()
    damaged = bytearray(whole)
    if flipped < len(damaged):
        damaged[flipped] ^= 0x55
    for sent in (whole, bytes(damaged[: cut or None])):
        assert "\n" not in refusal_of(model, sent)
