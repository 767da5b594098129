"""Tests of groundwork.series."""

import pytest

from groundwork.series import SeriesKey, decoded, encoded

KEY = SeriesKey("s", ())


@pytest.mark.parametrize("kind", ["counter", "gauge"])
def test_a_name_comes_back_from_its_bytes(kind: str) -> None:
    """Name, labels and kind, whatever is written in them."""
    key = SeriesKey("requests_total", (("arm", "stable"), ("model", "märz\n")), kind)
    assert decoded(encoded(key)) == key


@pytest.mark.parametrize("label", [b"", b"\xc1", encoded(SeriesKey("s", (), "sum")), encoded(KEY)[:-1]])
def test_bytes_that_are_no_name_are_none(label: bytes) -> None:
    """Nor a kind that nobody knows, nor a part of a name."""
    assert decoded(label) is None
