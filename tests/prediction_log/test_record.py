"""The record: schemas name each column once, and elements are named one way everywhere."""

import pytest

from prediction_log import record
from prediction_log.errors import FrameError


def test_a_value_column_gives_way_to_metadata() -> None:
    """An input called like a metadata column is stored under another name and remembers its own."""
    schema = record.prediction_schema(
        "m", "1", "d", [("time", "<f8", ())], [("time", "<f8", ()), ("y", "|b1", ())]
    )
    assert [(column.name, column.origin, column.role) for column in schema.values] == [
        ("input.time", "time", "input"),
        ("output.time", "time", "output"),
        ("y", "y", "output"),
    ]
    assert schema.columns[: len(record.META)] == record.META


def test_a_pair_has_both_sides_of_every_output() -> None:
    """A pair's schema is of the candidate, names its partner, and has each output twice."""
    schema = record.pair_schema("m", "1", "2", [("label", "<i8", ()), ("p", "<f4", (2,))])
    assert (schema.version, schema.partner) == ("2", "1")
    assert [column.name for column in schema.values] == [
        "stable.label",
        "stable.p",
        "candidate.label",
        "candidate.p",
    ]


def test_a_dtype_nobody_could_read_is_refused() -> None:
    """Only the frozen dtypes can be recorded."""
    with pytest.raises(FrameError, match="dtype '>f4'"):
        record.prediction_schema("m", "1", "d", [("x", ">f4", ())], [])
