"""Bodies that are no JSON, and mean some."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.missing import decoded, with_nulls
from tests.counts import count

WORDS = st.text(st.sampled_from('NaN"\\[],é '), max_size=8)
VALUES = st.recursive(
    st.none() | st.just(float("nan")) | st.integers(-9, 9) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=12,
)


def null(_word: str) -> None:
    """What stands for NaN."""


@settings(max_examples=count(200, 20_000))
@given(VALUES, st.booleans())
def test_what_python_writes_is_read(value: Any, ascii_only: bool) -> None:  # noqa: FBT001  hypothesis gives it
    """Whatever strings stand around them, NaN and nothing else is null, also behind a byte order mark."""
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    wanted = json.loads(body, parse_constant=null)
    assert json.loads(with_nulls(body)) == wanted
    assert decoded(msgspec.json.decode, body) == wanted
    assert decoded(msgspec.json.decode, memoryview(body)) == wanted
    assert decoded(msgspec.json.decode, b"\xef\xbb\xbf" + body) == wanted


@pytest.mark.parametrize(
    "body",
    [b"[NaNs]", b"[-NaN]", b"[nan]", b"[Infinity]", b'["NaN" NaN', b"NaN" * 3, b'["NaN', b"\xef\xbb\xbf" * 2],
)
def test_what_is_no_json_besides_stays_so(body: bytes) -> None:
    """Nothing but the word itself is read, in its place."""
    with pytest.raises(msgspec.DecodeError):
        decoded(msgspec.json.decode, body)


def test_a_body_of_nothing_else_is_refused() -> None:
    """More of them than there may be rows are not looked at."""
    body = b"[" + b"NaN," * (1 << 20) + b"NaN]"
    with pytest.raises(msgspec.DecodeError):
        decoded(msgspec.json.decode, body)
