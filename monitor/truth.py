"""What a version predicted, what the label says, and whether the two are the same, or which of two is closer.

Rules: whole numbers, truth values and whole floats compare as numbers; texts compare as texts; a text label
of a number ("1" from a CSV file) is read as that number, and one of "nan" as no value. What cannot be
compared is neither right nor wrong: None. The predicted class stands in the output the manifest names, or
else in one called label or output_label. One that was withheld, hashed or deleted is no value.
"""

import functools
import math
import re
from typing import Any, Final, TypeAlias

import numpy.typing as npt

from prediction_log.frame import Frame, Strings
from prediction_log.record import ColumnSpec, Validity, ValueKind
from registry_client.manifest import Manifest
from registry_client.profile import category_text

Value: TypeAlias = int | float | str | None
"""A predicted or true value as it is compared and stored; None is no value."""

_LEAST: Final = -(2**63)
_MOST: Final = 2**63 - 1
"""What SQLite holds as an integer; a larger number, whole or not, is kept as a float."""
_WHOLE: Final = re.compile(r"\s*[-+]?[0-9]{1,19}\s*")
_FALLBACK: Final = ("label", "output_label")


def plain(value: Any) -> Value:
    """A decoded value in its stored form: bool and whole floats as int, bytes as text, NaN as none.

    Whatever a frame holds, SQLite holds what is returned.
    """
    if isinstance(value, bytes):
        return category_text(value)
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        if value != value:  # noqa: PLR0124  NaN is no value
            return None
        # A Python integer compares exactly with a float, so the bounds are not rounded.
        return int(value) if value.is_integer() and _LEAST <= value <= _MOST else value
    if isinstance(value, int) and not _LEAST <= value <= _MOST:
        return float(value)
    return value if isinstance(value, int | str) else None


def same(predicted: Value, label: Value) -> bool | None:
    """Whether the prediction was right; None when the two cannot be compared."""
    if isinstance(predicted, str) and isinstance(label, str):
        return predicted == label
    left, right = _number(predicted), _number(label)
    return None if left is None or right is None else left == right


def closer(one: Value, other: Value, label: Value) -> tuple[bool, bool] | None:
    """Of two predicted numbers, whether each is as close to the label as the other: one is, or both are.

    What is no number is farther than any; None where the label is none, or infinite.
    """
    true = _number(label)
    if true is None or not math.isfinite(true):
        return None
    first, second = _distance(one, true), _distance(other, true)
    return first <= second, second <= first


def _distance(value: Value, true: float) -> float:
    number = _number(value)
    return math.inf if number is None else abs(number - true)


@functools.lru_cache(maxsize=256)
def classes_of(names: tuple[str, ...]) -> frozenset[Value]:
    """The values that are `same` as one of a version's classes, which the manifest names."""
    numbers = (_number(name) for name in names)
    return frozenset(names) | frozenset(number for number in numbers if number is not None)


def _number(value: Value) -> float | None:
    """The number that is meant; a text is read as that of a CSV file is, a whole one exactly."""
    if not isinstance(value, str):
        return value
    if "_" in value or not value.isascii():
        return None  # numbers to Python, and to nobody else
    if _WHOLE.fullmatch(value):
        return int(value)
    try:
        number = float(value)
    except ValueError:
        return None
    return None if math.isnan(number) else number  # NaN is how tables write that nothing is known


def predictions(frame: Frame, manifest: Manifest | None, *, side: str = "") -> list[Value]:
    """The predicted class of every row; None for each where there is none to be right or wrong about.

    `side` is "stable." or "candidate." in a frame of pairs.
    """
    return [None] * frame.rows if is_regression(manifest) else answers(frame, manifest, side=side)


def is_regression(manifest: Manifest | None) -> bool:
    """Whether a version predicts numbers, which are not right or wrong but closer or farther."""
    return manifest is not None and manifest.task == "regression"


def answers(frame: Frame, manifest: Manifest | None, *, side: str = "") -> list[Value]:
    """The predicted class or number of every row, as `predictions`; of a regression NaN is infinitely far."""
    names = (manifest.label_output,) if manifest is not None and manifest.label_output else _FALLBACK
    for column in frame.schema.columns:
        if (
            column.role == "output"
            and column.width == 1
            and column.origin in {f"{side}{name}" for name in names}
        ):
            return _plain_column(frame, column, math.inf if is_regression(manifest) else None)
    return [None] * frame.rows


def _plain_column(frame: Frame, column: ColumnSpec, nan: Value) -> list[Value]:
    if column.hashed or column.withheld:
        return [None] * frame.rows
    flat = _flat(frame.columns[column.name])
    values = [nan if value != value else plain(value) for value in flat]  # noqa: PLR0124  NaN alone is not itself
    if frame.validity is None:
        return values
    marks = frame.validity[:, frame.schema.values.index(column)].tolist()
    return [value if mark < Validity.WITHHELD else None for value, mark in zip(values, marks, strict=True)]


def _flat(values: npt.NDArray[Any] | Strings) -> list[Any]:
    flat: list[Any] = values.tolist() if isinstance(values, Strings) else values.reshape(-1).tolist()
    return flat


def labels(frame: Frame) -> list[Value]:
    """The value of every row of a frame of labels; None where its kind is unknown."""
    kinds = frame.array("value_kind").tolist()
    texts = frame.strings("text").tolist() if ValueKind.TEXT in kinds else []
    whole = frame.array("integer").tolist()
    numbers = frame.array("number").tolist()
    return [_label(kind, index, whole, numbers, texts) for index, kind in enumerate(kinds)]


def _label(kind: int, index: int, whole: list[int], numbers: list[float], texts: list[bytes]) -> Value:
    if kind in {ValueKind.INTEGER, ValueKind.BOOL}:
        return whole[index]
    if kind == ValueKind.NUMBER:
        return plain(numbers[index])
    return plain(texts[index]) if kind == ValueKind.TEXT else None
