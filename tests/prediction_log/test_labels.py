"""Labels: typed values that come back as they were sent."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prediction_log import frame, labels, record
from prediction_log.errors import LabelError
from prediction_log.labels import LabelRow
from prediction_log.record import Kind
from tests.prediction_log import samples

_values = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=20)
_rows = st.builds(
    LabelRow,
    value=_values,
    time=st.integers(0, 2**62),
    id=st.binary(min_size=16, max_size=16),
    row=st.integers(0, 2**32 - 1),
    client_id=st.binary(min_size=1, max_size=10),
)


@given(st.lists(_rows, max_size=5))
def test_a_label_comes_back_as_it_was_sent(rows: list[LabelRow]) -> None:
    """Value, type of value, and target of every label survive the frame."""
    body = samples.make_frame(
        0, len(rows), kind=Kind.LABEL, schema=record.label_schema("m"), columns=labels.label_columns(rows)
    )
    found = labels.read_labels(frame.decode(body))
    assert found == rows
    assert [type(label.value) for label in found] == [type(label.value) for label in rows]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": 2**63}, "fits 64 bits; found one of 64 bits"),
        ({"value": "x" * 5000}, "at most 4096 bytes"),
        ({"id": b"short"}, "16 bytes"),
        ({"id": labels.NO_ID}, "found neither"),
        ({"row": -1}, "found row -1"),
    ],
)
def test_a_label_that_cannot_be_recorded_is_refused(change: dict[str, Any], message: str) -> None:
    """The error says which limit was passed; nothing is rounded or cut."""
    with pytest.raises(LabelError, match=message):
        labels.label_columns([msgspec.structs.replace(LabelRow(1, 1, b"i" * 16), **change)])


def test_a_value_kind_of_a_later_version_is_left_out() -> None:
    """A label whose value kind is not known is not given another meaning."""
    columns = dict(labels.label_columns([LabelRow(1, 1, b"i" * 16)])) | {"value_kind": [9]}
    body = samples.make_frame(0, 1, kind=Kind.LABEL, schema=record.label_schema("m"), columns=columns)
    assert labels.read_labels(frame.decode(body)) == []
