"""Tests of monitor.loop."""

import pytest

from monitor.loop import FEWEST, FRAMES, LONG_S, portion


@pytest.mark.parametrize("costs", [1e-5, 1e-3, 0.01, 0.05, 0.1, 1.0])
def test_a_round_is_no_longer_than_others_can_wait(costs: float) -> None:
    """However much a frame costs: soon a round is short enough, or has the fewest, and stays so."""
    frames, taken = FRAMES, []
    for _ in range(12):
        taken.append(frames * costs)
        frames = portion(frames, taken[-1])
        assert FEWEST <= frames <= FRAMES
    assert all(took <= max(LONG_S, FEWEST * costs) for took in taken[5:])


def test_cheap_frames_are_read_in_large_rounds_again() -> None:
    """What was dear for a while does not keep rounds small: each pays for a commit."""
    frames = FEWEST
    for _ in range(6):
        frames = portion(frames, 0.001)
    assert frames == FRAMES
