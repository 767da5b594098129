"""Elements of BYTES tensors, as bytes and as text."""

import base64

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.errors import InvalidInputError
from gateway.text import bytes_of, escaped, from_base64, plain, text_of, to_base64
from tests.counts import count

AWKWARD = st.text(st.sampled_from("aü€\U0010ff7f\U0010ff80\U0010fff4\U0010ffbe\U0010ffff"))


@settings(max_examples=count(200, 20_000))
@given(st.binary(max_size=20) | AWKWARD.map(str.encode))
@example(bytes(range(256)))
@example("\U0010ff80\U0010ffff".encode())
@example(b"\xed\xa0\x80\xff\xf4\x8f\xbe")
def test_bytes_come_back(data: bytes) -> None:
    """Whatever the bytes, their text stands for exactly them, and is text that a runtime can hold."""
    text = text_of(data)
    text.encode()
    assert bytes_of(text) == data
    assert from_base64(base64.b64encode(data)) == text
    assert to_base64(text) == base64.b64encode(data).decode()


@given(AWKWARD)
def test_text_is_its_own(text: str) -> None:
    """Text is itself but for the reserved characters, and comes back as it was."""
    assert escaped(text) == text_of(text.encode())
    assert plain(escaped(text)) == text
    assert (escaped(text) == text) is all(one < "\U0010ff80" for one in text)


def test_what_is_no_text_is_told() -> None:
    """Bytes that are no UTF-8 are no text, and what is not base64 is refused."""
    with pytest.raises(UnicodeDecodeError):
        plain(text_of(b"a\xff"))
    for wrong in ("%", "a", None, 3, "ü", ["YQ=="]):
        with pytest.raises(InvalidInputError, match="is not base64"):
            from_base64(wrong)
