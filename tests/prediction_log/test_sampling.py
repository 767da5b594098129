"""Which predictions are drawn."""

from hypothesis import given
from hypothesis import strategies as st

from prediction_log.ids import PredictionIds
from prediction_log.sampling import FULL, is_drawn, threshold

IDS = PredictionIds(bytes(range(16)))


@given(st.binary(min_size=16, max_size=16), st.floats(0, 1), st.floats(0, 1))
def test_a_lower_rate_draws_a_part_of_what_a_higher_one_draws(
    identifier: bytes, one: float, two: float
) -> None:
    """Nothing is drawn at 0, everything at 1, and a raised rate keeps what was drawn before."""
    low, high = sorted((one, two))
    assert is_drawn(identifier, threshold(high)) or not is_drawn(identifier, threshold(low))
    assert is_drawn(identifier, FULL)
    assert not is_drawn(identifier, threshold(0.0))


def test_a_rate_is_the_share_of_real_ids_that_it_draws() -> None:
    """Of 20 000 ids in a row, a rate of 0.1 draws a tenth (within five standard deviations)."""
    drawn = sum(is_drawn(IDS.encode(1, 1, sequence), threshold(0.1)) for sequence in range(20_000))
    assert abs(drawn - 2000) < 5 * 42.5
