"""Tests of monitor.columns."""

import numpy as np
import pytest
from msgspec.structs import replace

from monitor.blocks import MISSING, PRESENT, WITHHELD
from monitor.columns import Layout, unwatched
from prediction_log.frame import Frame, decode, encode
from prediction_log.record import ColumnSpec, Kind, Validity, prediction_schema
from registry_client.profiling import build_profile
from tests.monitor.worlds import meta


def layout() -> Layout:
    """Two elements of one tensor, a whole number, and a text."""
    rng = np.random.default_rng(0)
    return Layout(
        build_profile(
            {
                "x": rng.normal(size=(50, 2)).astype("<f4"),
                "n": rng.integers(0, 5, 50),
                "s": np.array(["a", "b"] * 25, object),
            },
            {},
        )
    )


def frame(validity: np.ndarray | None = None) -> Frame:
    """Four rows with every kind of oddity."""
    schema = prediction_schema("m", "1", "", [("x", "<f4", (2,)), ("n", "<i8", ()), ("s", "bytes", ())], [])
    columns = {
        **meta(4, np.zeros((4, 16), "|u1"), np.arange(4)),
        "x": [[1, 2], [np.nan, 3], [np.inf, -np.inf], [4, 5]],
        "n": [1, 2, 3, 4],
        "s": [b"a", b"", b"\xff", b"b"],
    }
    return decode(
        encode(
            Kind.PREDICTION,
            schema,
            columns,
            rows=4,
            incarnation=1,
            stream=1,
            first=0,
            validity=validity,
        )
    )


def test_what_is_not_finite_or_empty_is_missing() -> None:
    """NaN, both infinities and the empty text are missing; a text nobody listed is one past the last."""
    found = layout()
    rows = found.rows(frame(), np.arange(4))
    x0 = [column.name for column in found.numeric].index("x[0]")
    assert rows.validity[:, x0].tolist() == [PRESENT, MISSING, MISSING, PRESENT]
    text = len(found.numeric)
    assert rows.validity[:, text].tolist() == [PRESENT, MISSING, PRESENT, PRESENT]
    assert rows.codes[2, 0] == len(found.categorical[0].categories)


def test_withheld_and_deleted_values_are_not_missing() -> None:
    """What the policy withheld or a person had deleted counts neither as a value nor as missing."""
    validity = np.zeros((4, 3), np.uint8)
    validity[0, :] = Validity.WITHHELD
    validity[1, :] = Validity.DELETED
    validity[3, :] = Validity.MISSING
    rows = layout().rows(frame(validity), np.arange(4))
    assert (rows.validity[:2] == WITHHELD).all()
    assert (rows.validity[3] == MISSING).all()


def test_only_the_chosen_rows_are_taken() -> None:
    """Rows come in the order they were chosen in, with their own times."""
    rows = layout().rows(frame(), np.array([3, 0]))
    assert rows.times.tolist() == [3, 0]
    assert len(rows) == 2


def test_a_column_the_frame_lacks_is_withheld() -> None:
    """A frame without a column says nothing about it."""
    schema = prediction_schema("m", "1", "", [("n", "<i8", ())], [])
    columns = {**meta(1, np.zeros((1, 16), "|u1"), np.arange(1)), "n": [1]}
    bare = decode(encode(Kind.PREDICTION, schema, columns, rows=1, incarnation=1, stream=1, first=0))
    found = layout()
    flags = dict(
        zip(
            [*(column.name for column in found.numeric), *(column.name for column in found.categorical)],
            found.rows(bare, np.arange(1)).validity[0].tolist(),
            strict=True,
        )
    )
    assert flags.pop("n") == PRESENT
    assert set(flags.values()) == {WITHHELD}


@pytest.mark.parametrize("rows", [0, 1])
def test_few_rows_are_no_special_case(rows: int) -> None:
    """No row and one row give arrays of that length."""
    assert len(layout().rows(frame(), np.arange(rows))) == rows


def test_hashed_and_withheld_columns_are_not_watched_and_that_is_said() -> None:
    """A hash is no category of the profile: it is neither a new value nor a missing one."""
    plain = frame(np.array([[0, Validity.WITHHELD, 0]] * 4, np.uint8))
    columns: dict[str, ColumnSpec] = {column.name: column for column in plain.schema.columns}
    columns["s"] = replace(columns["s"], hashed="0a1b2c3d")
    columns["n"] = replace(columns["n"], withheld=True)
    treated = replace(plain, schema=replace(plain.schema, columns=tuple(columns.values())))
    rows = layout().rows(treated, np.arange(4))
    assert unwatched(treated.schema) == {
        "n": "withheld by policy",
        "s": "hashed by policy; the reference profile is not",
    }
    found = layout()
    names = [column.name for column in found.numeric] + [column.name for column in found.categorical]
    for name in ("n", "s"):
        assert (rows.validity[:, names.index(name)] == WITHHELD).all()
    assert (rows.validity[:, names.index("x[0]")] != WITHHELD).all()
    assert unwatched(plain.schema) == {}
