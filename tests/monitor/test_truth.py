"""Tests of monitor.truth."""

import pytest

from monitor.truth import Value, plain, same


@pytest.mark.parametrize(
    ("predicted", "label", "right"),
    [
        (1, 1, True),
        (1, 0, False),
        (1, 1.0, True),
        ("yes", "yes", True),
        ("yes", "Yes", False),
        (1, "1", True),
        (1, "1.0", True),
        ("1", 1, True),
        (1, "one", None),
        (None, 1, None),
        (1, None, None),
    ],
)
def test_what_is_the_same(predicted: Value, label: Value, right: bool | None) -> None:  # noqa: FBT001  a case
    """Numbers compare as numbers, texts as texts, and what cannot be compared is neither right nor wrong."""
    assert same(predicted, label) is right


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (True, 1),
        (2.0, 2),
        (2.5, 2.5),
        (float("nan"), None),
        (b"a", "a"),
        (b"\xff", "\\xff"),
        (2**64, float(2**64)),
        ([1], None),
    ],
)
def test_how_values_are_stored(value: object, stored: Value) -> None:
    """Truth values and whole numbers become integers, bytes text, and what is no value nothing."""
    assert plain(value) == stored
    assert type(plain(value)) is type(stored)
