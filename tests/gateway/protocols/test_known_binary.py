"""What is remembered of requests in binary: it means what reading them again would mean."""

import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import MalformedError, Refusal
from gateway.model import LoadedModel
from gateway.protocols.codec import JSON_LENGTH, MOST_JSON
from gateway.protocols.known_binary import MOST_KNOWN, json_length, known_binary
from gateway.protocols.open_inference import CODEC
from tests.gateway.protocols.loading import opened
from tests.models import identity

NUMBERS = {"name": "f", "datatype": "FP32", "shape": [2, 1], "parameters": {"binary_data_size": 8}}
WHOLE = {"name": "i", "datatype": "INT64", "shape": [2, 1], "parameters": {"binary_data_size": 16}}
LISTED = {"name": "i", "datatype": "INT64", "shape": [2, 1], "data": [1, 2]}
TRUTH = {"name": "b", "datatype": "BOOL", "shape": [2, 1], "parameters": {"binary_data_size": 2}}
OUTPUTS = [{"name": "i_out"}, {"name": "f_out", "parameters": {"binary_data": False}}]

HEADS = st.fixed_dictionaries(
    {
        "inputs": st.permutations([NUMBERS, WHOLE, TRUTH])
        | st.permutations([NUMBERS, WHOLE])
        | st.permutations([NUMBERS, LISTED])
    },
    optional={
        "id": st.sampled_from(["", "mine"]),
        "outputs": st.just(OUTPUTS),
        "parameters": st.fixed_dictionaries(
            {}, optional={"binary_data_output": st.booleans(), "priority": st.just(1)}
        ),
    },
)


@pytest.fixture(scope="module", params=["numbers", "truth"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """A version with an input of floats and one of whole numbers, and perhaps one of truth values."""
    columns: list[tuple[str, str, list[int | None]]] = [("f", "FP32", [None, 1]), ("i", "INT64", [None, 1])]
    more: list[tuple[str, str, list[int | None]]] = [("b", "BOOL", [None, 1])]
    columns += more if request.param == "truth" else []
    return opened(tmp_path_factory.mktemp("model"), identity(columns))


def body_of(head: dict[str, Any], blob: bytes) -> tuple[bytes, int]:
    """A body, and where its JSON ends."""
    text = msgspec.json.encode(head)
    return text + blob, len(text)


def meaning(model: LoadedModel, body: bytes | memoryview, end: int) -> Any:
    """What a body is decoded to, or the refusal."""
    try:
        found = CODEC.decode(model, {JSON_LENGTH: b"%d" % end}, body)
    except Refusal as refusal:
        return type(refusal), str(refusal)
    feeds = {name: (array.dtype, array.shape, array.tobytes()) for name, array in found.feeds.items()}
    assert all(array.flags.aligned for array in found.feeds.values())
    return list(feeds.items()), found.rows, found.client_id, found.wanted, found.binary, found.parameters


@given(head=HEADS, blobs=st.lists(st.binary(min_size=20, max_size=28), min_size=2, max_size=4))
@example(head={"inputs": [NUMBERS, WHOLE]}, blobs=[bytes(24), bytes(23), bytes(range(24)), bytes(25)])
@example(head={"inputs": [WHOLE, NUMBERS, TRUTH]}, blobs=[bytes(26), b"\2" * 26, b"\1" * 26])
def test_what_is_remembered_means_the_same(
    model: LoadedModel, head: dict[str, Any], blobs: list[bytes]
) -> None:
    """Whatever follows the same JSON and whatever came before, bytes or a view, a fresh reading finds it."""
    for place, blob in enumerate(blobs):
        body, end = body_of(head, blob)
        found = meaning(model, body, end)
        assert meaning(model, memoryview(bytes(place) + body)[place:], end) == found
        kept = dict(model.binaries)
        model.binaries.clear()
        assert meaning(model, body, end) == found
        model.binaries.update(kept)


def test_plain_requests_are_remembered(tmp_path: Path) -> None:
    """From the second request on, JSON that says the same is not read, and its tensors are the new ones."""
    model = opened(tmp_path, identity([("f", "FP32", [None, 1]), ("i", "INT64", [None, 1])]))
    first, end = body_of({"inputs": [NUMBERS, WHOLE]}, bytes(24))
    assert known_binary(model, first, end) is None
    meaning(model, first, end)
    numbers = np.array([[0.5], [2]], "<f4")
    found = known_binary(model, first[:end] + numbers.tobytes() + bytes(16), end)
    assert found is not None
    assert np.array_equal(found.feeds["f"], numbers)


@pytest.mark.parametrize(
    "head",
    [
        {"inputs": [NUMBERS, WHOLE], "id": "mine"},
        {"inputs": [NUMBERS, LISTED]},
        {"inputs": [NUMBERS, WHOLE], "note": " " * MOST_JSON},
    ],
)
def test_what_is_not_plain_is_read_every_time(tmp_path: Path, head: dict[str, Any]) -> None:
    """A request with an id of its own, with numbers in its JSON, or with a long JSON is not remembered."""
    model = opened(tmp_path, identity([("f", "FP32", [None, 1]), ("i", "INT64", [None, 1])]))
    size = sum(one.get("parameters", {}).get("binary_data_size", 0) for one in head["inputs"])
    body, end = body_of(head, bytes(size))
    assert len(meaning(model, body, end)) > 2
    assert not model.binaries


def test_what_is_remembered_is_bounded(tmp_path: Path) -> None:
    """However many kinds of request there are, MOST_KNOWN of them at most are kept."""
    model = opened(tmp_path, identity([("f", "FP32", [None, 1])]))
    for rows in range(1, MOST_KNOWN + 10):
        size = {"binary_data_size": 4 * rows}
        head = {"inputs": [{"name": "f", "datatype": "FP32", "shape": [rows, 1], "parameters": size}]}
        meaning(model, *body_of(head, bytes(4 * rows)))
        assert len(model.binaries) <= MOST_KNOWN
    assert model.binaries


@pytest.mark.parametrize(
    ("value", "told"),
    [(b"5000", "'5000'"), (b"-1", "'-1'"), (b"\xff\n", r"'\xff\n'"), (b"9" * 99, f"'{'9' * 40}'")],
)
def test_a_length_that_cannot_be_is_told_as_it_was_sent(value: bytes, told: str) -> None:
    """The message shows what the client wrote, and of what is no ASCII its bytes."""
    with pytest.raises(
        MalformedError, match=f"^Inference-Header-Content-Length is {re.escape(told)}, wanted"
    ):
        json_length(value, 10)
