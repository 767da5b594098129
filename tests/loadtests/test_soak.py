"""A soak's minutes are alike: whole cycles, with the same windows in each."""

import pytest

from loadtests.soak import LOOKS, Course, Outcome
from loadtests.spread import Spread


def test_minutes_are_made_of_whole_cycles_of_windows() -> None:
    """So many windows are a minute, in order; nothing is counted twice or left out."""
    windows = []
    for place in range(3 * LOOKS):
        window = Spread()
        for _ in range(place):
            window.took((1 + place // LOOKS) * 1_000_000)
        windows.append(window)
    minutes = Outcome(windows=windows).minutes
    assert [minute.percentile(50) / 1e3 for minute in minutes] == pytest.approx([1, 2, 3], rel=0.01)
    assert sum(minute.done for minute in minutes) == sum(range(3 * LOOKS))


def test_the_warm_up_is_before_the_start() -> None:
    """A course counts its seconds from the first cycle that is judged."""
    course = Course(start=1 << 62, cycle=60.0, count=20)
    assert course.now() < 0
    assert course.window * LOOKS == course.cycle > course.warm_up > 0
