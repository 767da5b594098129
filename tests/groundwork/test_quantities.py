"""Durations, sizes, percentages."""

import contextlib
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundwork.errors import SettingsError
from groundwork.quantities import parse_bytes, parse_duration, parse_percent


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("500ms", 0.5),
        ("250us", 0.00025),
        ("7µs", 0.000007),
        ("30s", 30),
        ("1.5 s", 1.5),
        ("2m", 120),
        ("1h30m", 5400),
        ("1d 1s", 86401),
        (" 2m ", 120),
    ],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    """Every unit, alone and together."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "-5s", "5 parsecs", "1h30", "5ss", "1e3s", "nan", "s5"])
def test_a_duration_without_a_clear_meaning_is_refused(text: str) -> None:
    """A bare number, an unknown unit and leftovers are errors that show what was found."""
    with pytest.raises(SettingsError, match="wanted a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4096", 4096),
        ("12B", 12),
        ("64kB", 64_000),
        ("64KiB", 65_536),
        ("1.5MiB", 1_572_864),
        ("256MB", 256_000_000),
        ("256 MiB", 268_435_456),
        ("2GiB", 2**31),
        ("1TiB", 2**40),
        ("3GB", 3 * 10**9),
    ],
)
def test_a_size_is_read_in_bytes(text: str, size: int) -> None:
    """Thousands without an i, 1024s with one, bytes without a unit."""
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "-1", "1.5", "0.0001kB", "5 apples", "1e6", "64K"])
def test_a_size_without_a_clear_meaning_is_refused(text: str) -> None:
    """Unknown units, parts of a byte and half-written units are errors."""
    with pytest.raises(SettingsError, match="wanted"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("value", "share"),
    [
        ("0", Fraction(0)),
        ("0.1", Fraction(1, 1000)),
        ("5 %", Fraction(1, 20)),
        (12.5, Fraction(1, 8)),
        (100, 1),
    ],
)
def test_a_percentage_is_an_exact_share(value: str | float, share: Fraction) -> None:
    """0.1 percent is a thousandth, to the last digit."""
    assert parse_percent(value) == share


@pytest.mark.parametrize("value", ["", "-1", "100.1", 101, "five", float("nan"), "1e1"])
def test_a_percentage_outside_the_hundred_is_refused(value: str | float) -> None:
    """Only 0 to 100, and only numbers."""
    with pytest.raises(SettingsError, match="wanted a percentage"):
        parse_percent(value)


@given(st.text(max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text makes a parser fail in any other way."""
    for parse in (parse_duration, parse_bytes, parse_percent):
        with contextlib.suppress(SettingsError):
            assert parse(text) >= 0
