"""Keys: what is one, which it is, and that only the right text opens."""

import datetime as dt
import re

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from groundwork.errors import SettingsError
from groundwork.keys import Key, KeyBook, create, digest, parse
from tests.keys import NOW


def test_a_key_has_an_id_and_256_bits_that_are_not_kept() -> None:
    """The text is dg_, 8 digits, 64 digits; the record holds the secret's hash and nothing of the secret."""
    key, text = create("checkout", ["infer"], NOW)
    assert re.fullmatch(r"dg_[0-9a-f]{8}_[0-9a-f]{64}", text)
    secret = text.split("_")[2]
    assert key.hash == digest(secret.encode())
    assert secret not in msgspec.json.encode(key).decode()


@given(st.one_of(st.binary(max_size=120), st.from_regex(rb"\A(dg_)?[0-9a-fA-F_]{0,80}\Z")))
@example(b"dg_00000000_" + b"0" * 64 + b"\n")
@example(b"dg_00000000_" + "\u0660".encode() * 64)
def test_the_parser_takes_keys_and_nothing_else(text: bytes) -> None:
    """Whatever comes is either exactly the form, and then its two parts put together again, or None."""
    found = parse(text)
    assert (found is not None) == bool(re.fullmatch(rb"dg_[0-9a-f]{8}_[0-9a-f]{64}", text))
    if found is not None:
        assert b"dg_%s_%s" % (found[0].encode(), found[1]) == text


@given(st.integers(0, 75), st.integers(1, 255))
def test_a_text_that_differs_anywhere_opens_nothing(place: int, change: int) -> None:
    """One changed byte, wherever it is, makes it no key of ours."""
    key, text = create("a", ["infer"], NOW)
    book = KeyBook([key])
    spoilt = bytearray(text.encode())
    spoilt[place] ^= change
    assert book.find(text.encode()) is key
    assert book.find(bytes(spoilt)) is None


def test_a_secret_opens_only_with_its_own_id() -> None:
    """The secret of one key under the id of another is no key."""
    (one, first), (other, second) = create("a", ["infer"], NOW), create("a", ["read"], NOW)
    mixed = f"dg_{one.id}_{second.split('_')[2]}"
    assert KeyBook([one, other]).find(mixed.encode()) is None
    assert KeyBook([one, other]).find(first.encode()) is one


def test_several_keys_of_one_name_are_good_at_once() -> None:
    """Rotation: the old and the new key open until the old one is taken away."""
    (old, old_text), (new, new_text) = create("a", ["infer"], NOW), create("a", ["infer"], NOW)
    both, after = KeyBook([old, new]), KeyBook([new])
    assert (both.find(old_text.encode()), both.find(new_text.encode())) == (old, new)
    assert (after.find(old_text.encode()), after.find(new_text.encode())) == (None, new)


def test_a_secret_stands_once() -> None:
    """One secret under two names is refused with both: nobody could tell who showed it."""
    key, other = create("one", ["infer"], NOW)[0], create("two", ["infer"], NOW)[0]
    said = rf"keys one \({key.id}\) and two \({other.id}\) have the same secret"
    with pytest.raises(SettingsError, match=said):
        KeyBook([key, msgspec.structs.replace(other, hash=key.hash)])


def test_an_id_stands_once() -> None:
    """Two records of one id have no winner that a reader would guess."""
    key, _ = create("a", ["infer"], NOW)
    with pytest.raises(SettingsError, match=rf"keys a \({key.id}\) and a \({key.id}\) have the same id"):
        KeyBook([key, key])


@pytest.mark.parametrize(
    "change",
    [
        {"scopes": []},
        {"scopes": ["root"]},
        {"name": "a b"},
        {"hash": "sha256:00"},
        {"rate": 0.0},
        {"rate": 1e-12},
        {"x": 1},
    ],
)
def test_a_record_that_cannot_be_honoured_is_refused(change: dict[str, object]) -> None:
    """No scope, an unknown one, a wrong hash, an impossible rate or an unknown field: an error."""
    key, _ = create("a", ["infer"], NOW)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**msgspec.to_builtins(key), **change}, Key)


def test_what_people_ask_for_wrongly_is_told_in_one_line() -> None:
    """A name that is none, and a moment without a time zone, are SettingsErrors."""
    with pytest.raises(SettingsError, match="key 'a b'"):
        create("a b", ["infer"], NOW)
    with pytest.raises(SettingsError, match="timezone"):
        create("a", ["infer"], NOW, expires=dt.datetime(2024, 1, 1))  # noqa: DTZ001  that is the mistake
