"""Open Inference Protocol v2: long requests are read another way, and mean the same."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import Refusal
from gateway.model import LoadedModel
from gateway.protocols.bulk import BULK_BYTES, read_bulk
from gateway.protocols.documents import RequestDocument
from gateway.protocols.open_inference import CODEC
from tests.gateway.protocols.loading import opened
from tests.models import identity

LONG = b" " * BULK_BYTES

FLAT = st.lists(st.one_of(st.integers(-5, 5), st.floats(-10, 10), st.none(), st.just("]")), max_size=3)
DATA = st.one_of(
    st.lists(st.floats(-10, 10), min_size=2, max_size=2),
    st.lists(st.integers(-(2**31), 2**31), min_size=2, max_size=2),
    FLAT,
    st.lists(FLAT, max_size=2),
    st.sampled_from([None, {}, "text", {"data": [1, 2]}]),
)
MORE = st.dictionaries(
    st.sampled_from(["data", "parameters", "note", '"data":[1]', "binary_data_size"]),
    st.one_of(DATA, st.dictionaries(st.sampled_from(["data", "binary_data_size"]), st.integers(0, 9))),
    max_size=2,
)
SHAPES = st.sampled_from([[2, 1], [1, 2], [2], [1, 1], [0, 1], [2**40, 1]])


def one(name: str, datatype: str) -> st.SearchStrategy[Any]:
    """An input that is mostly right, its fields in any order."""
    fields = st.tuples(SHAPES, DATA, st.sampled_from([datatype, datatype, "BOOL"]), MORE)
    return fields.flatmap(
        lambda chosen: st.permutations(
            [("name", name), ("shape", chosen[0]), ("datatype", chosen[2]), ("data", chosen[1])]
        ).map(lambda order: {**chosen[3], **dict(order)})
    )


REQUESTS = st.tuples(
    MORE, st.lists(st.one_of(one("f", "FP32"), one("i", "INT64")), min_size=1, max_size=3)
).map(lambda parts: {**parts[0], "inputs": parts[1]})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """A model of one column of floats and one of whole numbers."""
    graph = identity([("f", "FP32", [None, 1]), ("i", "INT64", [None, 1])])
    return opened(tmp_path_factory.mktemp("model"), graph)


def meaning(model: LoadedModel, body: bytes) -> Any:
    """What a body is decoded to, or the refusal."""
    try:
        request = CODEC.decode(model, {}, body)
    except Refusal as error:
        # Where in the text a decoder stumbled depends on how long the text is.
        return type(error), str(error).partition("(byte")[0]
    feeds = {name: (array.dtype, array.shape, array.tobytes()) for name, array in request.feeds.items()}
    return feeds, request.rows, request.client_id, request.wanted, request.binary, dict(request.parameters)


def tensor(name: str, datatype: str, data: Any, **more: Any) -> dict[str, Any]:
    """Two rows of an input."""
    return {"name": name, "datatype": datatype, "shape": [2, 1], "data": data, **more}


GOOD = {"inputs": [tensor("f", "FP32", [0.1, 1]), tensor("i", "INT64", [1, 2**62 + 1])], "id": "7"}


@given(REQUESTS)
@example(GOOD)
@example({"parameters": {"data": 1}, "data": [7], **GOOD})
@example({"inputs": [tensor("f", "FP32", [1e300, 1]), tensor("i", "INT64", [1, 2])]})
@example({"inputs": [tensor("i", "INT64", [2**63, 1]), tensor("f", "FP32", [1, 2])]})
def test_long_as_short(model: LoadedModel, document: Any) -> None:
    """A request that is long enough to be read in bulk means, or is refused as, what a short one is."""
    body = msgspec.json.encode(document)
    assert meaning(model, LONG + body) == meaning(model, body)


@given(st.data())
def test_spoilt_long_as_short(model: LoadedModel, data: st.DataObject) -> None:
    """A long body with a byte changed, doubled or left out is read or refused as the short one is."""
    body = msgspec.json.encode(GOOD)
    at = data.draw(st.integers(0, len(body) - 1))
    piece = data.draw(
        st.sampled_from([b"", b'"', b"]", b"[", b",", b" ", b"\\", b"0", b"\xff", body[at : at + 1] * 2])
    )
    spoilt = body[:at] + piece + body[at + 1 :]
    long, short = meaning(model, LONG + spoilt), meaning(model, spoilt)
    assert long == short


def test_a_twice_named_field(model: LoadedModel) -> None:
    """Of data given twice the last counts, however long the body."""
    body = msgspec.json.encode(GOOD).replace(b'"data":[0.1,1]', b'"data":[5,6],"data":[0.1,1]')
    assert meaning(model, LONG + body) == meaning(model, body)
    assert meaning(model, body) == meaning(model, msgspec.json.encode(GOOD))


def test_plain_lists_are_read_in_bulk(model: LoadedModel) -> None:
    """The quick way is taken where a request is plain; a mark in the place of data is not read by anyone."""
    found = read_bulk(model, msgspec.json.encode(GOOD), msgspec.json.Decoder(RequestDocument).decode)
    assert found.inputs[0].data.array.tolist() == [pytest.approx(0.1), 1.0]


def test_whole_numbers_are_exact(tmp_path: Path) -> None:
    """An integer tensor is read in bulk exactly, to its last bit."""
    model = opened(tmp_path, identity([("i", "INT64", [None, 1])]))
    values = [2**63 - 1, -(2**63), 2**53 + 1, *range(2000)]
    body = msgspec.json.encode(
        {"inputs": [{"name": "i", "datatype": "INT64", "shape": [len(values), 1], "data": values}]}
    )
    assert CODEC.decode(model, {}, body).feeds["i"].ravel().tolist() == values
