"""Tests of gateway.bfloat16."""

import ml_dtypes
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.bfloat16 import cut, rounded, widened


@given(st.lists(st.floats(width=32), min_size=1, max_size=20))
def test_numbers_round_as_everywhere(numbers: list[float]) -> None:
    """To the nearest, of two as near to the even one; a NaN stays one, and what is too large is infinite."""
    drawn = np.array(numbers, "<f4")
    wanted = drawn.astype(ml_dtypes.bfloat16).astype("<f4")
    np.testing.assert_array_equal(widened(rounded(drawn)), wanted)


@given(st.lists(st.integers(0, 2**16 - 1), min_size=1, max_size=20))
def test_halves_are_numbers_of_their_own(halves: list[int]) -> None:
    """Widened and cut again they are the same bits."""
    bits = np.array(halves, "<u2")
    assert cut(widened(bits)).tolist() == bits.tolist()


@given(st.lists(st.floats(allow_nan=False, width=32), min_size=1, max_size=20))
def test_what_is_cut_is_no_farther_from_zero(numbers: list[float]) -> None:
    """Nothing becomes infinite that was not."""
    drawn = np.array(numbers, "<f4")
    assert (np.abs(widened(cut(drawn))) <= np.abs(drawn)).all()
