"""Open Inference requests that are nearly right: every field may lie, and so may every length."""

from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Refusal, UnanswerableError
from gateway.model import LoadedModel
from gateway.protocols.codec import JSON_LENGTH, Answer
from gateway.protocols.open_inference import CODEC
from tests.counts import count
from tests.gateway.protocols.loading import opened
from tests.models import identity

SIZES: Final = st.sampled_from([0, 1, 2, 3, -1, 2**31, 2**40, 2**63, 10**30, True, None, 1.0, 1.5, "2"])
NUMBERS: Final[st.SearchStrategy[Any]] = st.sampled_from(
    [0, 1, -1, 0.5, 2**53 + 1, 2**64, 1e39, None, True, "1", "", [], {}, [1], "w7w="]
)
DATA: Final = st.lists(NUMBERS, max_size=4) | st.lists(st.lists(NUMBERS, max_size=3), max_size=3) | NUMBERS
PARAMETERS: Final = st.fixed_dictionaries(
    {},
    optional={
        "binary_data_size": SIZES,
        "content_type": st.sampled_from(["base64", "str", None, 1]),
        "binary_data": st.booleans() | NUMBERS,
        "classification": SIZES,
        "other": NUMBERS,
    },
)
TENSORS: Final = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["x", "x", "s", "s", "y", "", None]),
        "datatype": st.sampled_from(["FP32", "FP32", "BYTES", "BYTES", "INT64", "fp32", "", None]),
        "shape": st.sampled_from([[1, 1], [2, 1], [1], [], [1, 1, 1]]) | st.lists(SIZES, max_size=3),
    },
    optional={"data": DATA, "parameters": PARAMETERS | NUMBERS},
)
GOOD: Final = st.sampled_from(
    [
        {"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [0.5]},
        {"name": "x", "datatype": "FP32", "shape": [1, 1], "parameters": {"binary_data_size": 4}},
        {"name": "s", "datatype": "BYTES", "shape": [1, 1], "parameters": {"binary_data_size": 5}},
        {"name": "s", "datatype": "BYTES", "shape": [1, 1], "data": ["ü"]},
    ]
)
REQUESTS: Final = st.fixed_dictionaries(
    {"inputs": st.lists(TENSORS | GOOD, max_size=3)},
    optional={
        "id": st.text(max_size=3) | NUMBERS,
        "outputs": st.lists(
            st.fixed_dictionaries(
                {"name": st.sampled_from(["x_out", "s_out", "z"])}, optional={"parameters": PARAMETERS}
            ),
            max_size=3,
        ),
        "parameters": st.fixed_dictionaries({}, optional={"binary_data_output": st.booleans() | NUMBERS}),
    },
)
TAILS: Final = st.sampled_from(
    [b"", bytes(4), bytes(4) + b"\1\0\0\0\xff", b"\1\0\0\0\xff" + bytes(4), b"\xff\xff\xff\xff", bytes(9)]
)
LENGTHS: Final = st.sampled_from([b"-1", b"", b"0", b"1", b"99999999", b"9" * 19, b"x", b"1.0", b"\xb2"])


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """A model of a number and of a text."""
    graph = identity([("x", "FP32", [None, 1]), ("s", "BYTES", [None, 1])])
    return opened(tmp_path_factory.mktemp("model"), graph)


@settings(max_examples=count(300, 100_000))
@given(document=REQUESTS, tail=TAILS | st.binary(max_size=12), length=st.none() | LENGTHS | st.just(b"true"))
def test_a_lie_is_refused_or_harmless(
    both: LoadedModel, document: Any, tail: bytes, length: bytes | None
) -> None:
    """Decoding gives one tensor per input, of the signature's type and one number of rows, or a Refusal."""
    head = msgspec.json.encode(document)
    told = b"%d" % len(head) if length == b"true" else length
    try:
        request = CODEC.decode(both, {} if told is None else {JSON_LENGTH: told}, head + tail)
    except Refusal:
        return
    assert {name: array.shape for name, array in request.feeds.items()} == dict.fromkeys(
        "xs", (request.rows, 1)
    )
    assert request.feeds["x"].dtype == np.float32
    outputs = both.session.run(request.feeds)
    try:
        headers, body = CODEC.encode(request, Answer(both, "stable", "0" * 32, outputs))
    except UnanswerableError:
        return
    assert headers[0][0] == b"content-type"
    assert body


@pytest.mark.parametrize("data", [b'["\xff"]', b'[["\xff"]]', b'["a", "\xed\xa0\x80"]'])
@pytest.mark.parametrize("size", [0, 1 << 14])
def test_text_that_is_no_utf8_is_refused(tmp_path: Path, data: bytes, size: int) -> None:
    """Strings in JSON are text; bytes that are none are the client's mistake, however long the body."""
    texts = opened(tmp_path, identity([("s", "BYTES", [None, 1])]))
    body = b'{"inputs":[{"name":"s","datatype":"BYTES","shape":[%d,1],"data":%b}]}' % (
        1 + data.count(b","),
        data,
    )
    with pytest.raises(Refusal, match="not UTF-8"):
        CODEC.decode(texts, {}, body + b" " * size)
