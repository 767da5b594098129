"""Prediction ids: unique, unguessable, and they say where their frame is."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prediction_log import ids
from prediction_log.errors import IdError
from prediction_log.ids import AHEAD, PredictionIds, StreamIds

KEY = bytes(range(16))
u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)


@given(u32, u32, u64)
def test_an_id_says_where_its_frame_is(incarnation: int, stream: int, sequence: int) -> None:
    """Decoding gives back incarnation, stream and sequence, through the text people see as well."""
    made = PredictionIds(KEY)
    identifier = made.encode(incarnation, stream, sequence)
    assert ids.parse(ids.text(identifier)) == identifier
    assert made.decode(identifier) == (incarnation, stream, sequence)


def test_ids_are_unique_and_tell_nothing_without_the_key() -> None:
    """Neighbouring sequences give ids that share no more than chance would, and other keys other ids."""
    made = PredictionIds(KEY)
    found = [made.encode(1, 1, sequence) for sequence in range(1000)]
    assert len(set(found)) == 1000
    assert len({identifier[:4] for identifier in found}) == 1000
    assert PredictionIds(bytes(16)).encode(1, 1, 0) != found[0]


@given(st.lists(st.tuples(st.integers(0, 2**40), st.integers(1, 2 * AHEAD)), min_size=1, max_size=4))
def test_ids_made_ahead_are_those_made_one_by_one(runs: list[tuple[int, int]]) -> None:
    """Asked for in runs or in leaps, each id of a stream is the one of its number."""
    made = PredictionIds(KEY)
    ahead = StreamIds(made, 3, 5)
    for first, count in runs:
        for sequence in range(first, first + count):
            assert ahead.at(sequence) == made.encode(3, 5, sequence)


@pytest.mark.parametrize(
    "written", ["", "ab", "g" * 32, "0" * 31, "0" * 33, " " + "0" * 31, "٣" * 32, "0x" + "0" * 30]
)
def test_text_that_is_no_id_is_refused(written: str) -> None:
    """Anything but 32 hexadecimal digits is an IdError, which is a ValueError."""
    with pytest.raises(IdError, match="32 hexadecimal digits"):
        ids.parse(written)
    assert issubclass(IdError, ValueError)


def test_an_id_has_sixteen_bytes() -> None:
    """Decoding another length is an IdError."""
    with pytest.raises(IdError, match="16 bytes"):
        PredictionIds(KEY).decode(b"short")


def test_a_folder_has_one_key(tmp_path: Path) -> None:
    """Whoever asks first makes the key; all who ask at once read the same, and it is private."""
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: ids.load_key(tmp_path), range(32)))
    assert len(keys) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["id.key"]
    assert stat.S_IMODE((tmp_path / "id.key").stat().st_mode) == 0o600


def test_a_damaged_key_is_an_error(tmp_path: Path) -> None:
    """A key of another length is never replaced or used: the folder's ids would change."""
    (tmp_path / "id.key").write_bytes(b"half")
    with pytest.raises(IdError, match="holds 4 bytes, wanted 16"):
        ids.load_key(tmp_path)
    with pytest.raises(IdError, match="found 3"):
        PredictionIds(b"abc")
