"""Tests of groundwork.dates."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from groundwork.dates import rfc3339, unix_ns

NOW = 1_793_874_131_402_999_999


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (NOW, "2026-11-05T10:22:11.402Z"),
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (2**63 - 1, "2262-04-11T23:47:16.854Z"),
    ],
)
def test_times_are_written_in_one_form(time: int, text: str) -> None:
    """UTC, with three digits of a second, cut and not rounded; before 1970 and at the end of 64 bits too."""
    assert rfc3339(time) == text


@given(some.integers(-(2**63), 2**63 - 1))
def test_a_written_time_is_read_to_the_millisecond(time: int) -> None:
    """Nothing is lost on the way but what is not written."""
    assert unix_ns(rfc3339(time)) == time // 1_000_000 * 1_000_000


def test_another_zone_is_the_same_time() -> None:
    """A text with an offset is read by it; one without any names no moment."""
    assert unix_ns("2026-11-05T12:22:11.402+02:00") == NOW // 1_000_000 * 1_000_000
    with pytest.raises(TypeError):
        unix_ns("2026-11-05T12:22:11.402")
