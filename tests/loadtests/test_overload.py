"""What counts as having stood overload."""

import pytest

from loadtests.overload import Outcome


@pytest.mark.parametrize(
    ("served", "p99", "good"), [(95.0, 0.09, True), (89.0, 0.09, False), (95.0, 0.11, False)]
)
def test_goodput_is_answers_in_time(served: float, p99: float, *, good: bool) -> None:
    """Nine tenths of the peak and a 99th percentile within the deadline, both."""
    found = Outcome(100.0, 300.0, served, 200.0, p99, 0.1)
    assert found.good is good
    assert "3.0 x" in str(found)
