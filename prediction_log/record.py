"""What one row of the log says: kinds, metadata, and the columns a frame is made of.

Rules of this file:

* The numbers of the enumerations and the names and dtypes of the metadata columns are frozen: they are in
  files people keep. A meaning is added under a new number or a new name, and none is ever used again.
* One row is one *instance*: a request of 256 rows is 256 rows that share one prediction id and differ in
  `row`.
* A schema names its columns once. A model's input that is called like a metadata column (`time`, say) gives
  way: it is stored as `input.time` and remembers its own name in `source`.

It knows nothing of bytes, files or models; `frame.py` lays these columns out.
"""

import math
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Final, Literal, TypeAlias

import msgspec

from prediction_log.errors import FrameError

Role: TypeAlias = Literal["input", "output", "meta"]

VARIABLE: Final = "bytes"
"""The dtype of a column whose values are byte strings of any length."""

FIXED_DTYPES: Final = frozenset(
    {"|b1", "|u1", "|i1", "<u2", "<u4", "<u8", "<i2", "<i4", "<i8", "<f2", "<f4", "<f8"},
)
"""The fixed-width dtypes a column may have, as numpy writes them: always little-endian."""

ALL_ROWS: Final = 2**32 - 1
"""In a deletion: every row of the prediction id."""


class Kind(IntEnum):
    """What the rows of a frame are. A reader skips and counts a number it does not know."""

    __hash__ = int.__hash__  # an enumeration's own is a call in Python, at every look-up
    PREDICTION = 1
    REJECT = 2
    PAIR = 3
    LABEL = 4
    LOSS = 5
    DELETION = 6


class Arm(IntEnum):
    """Why this version answered."""

    __hash__ = int.__hash__  # as above
    STABLE = 1
    CANDIDATE = 2
    SHADOW = 3
    PINNED = 4


class Outcome(IntEnum):
    """How it ended."""

    OK = 1
    REJECTED = 2
    FAILED = 3


class Kept(IntEnum):
    """Why the row is in the log: drawn by the sampling rate, or kept whatever the draw.

    ALWAYS is not for drift counts: those rows are no sample of the traffic.
    """

    SAMPLE = 1
    ALWAYS = 2


class Validity(IntEnum):
    """Whether a value is there, and if not, why not."""

    PRESENT = 0
    MISSING = 1
    WITHHELD = 2
    DELETED = 3


class ValueKind(IntEnum):
    """Which of a label's columns holds its value (a truth value is kept in `integer`)."""

    INTEGER = 1
    NUMBER = 2
    TEXT = 3
    BOOL = 4


class ColumnSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """One column: its unique name in the schema, its dtype, the shape of one row, and its role.

    `dtype` is one of FIXED_DTYPES or VARIABLE. `source` is the model's own name for the column where that
    name was taken; empty otherwise. `hashed` names the key under which every value was replaced by its keyed
    hash (empty: values are as they were); `withheld` says that no value was recorded at all.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    role: Role
    source: str = ""
    hashed: str = ""
    withheld: bool = False

    @property
    def width(self) -> int:
        """Elements per row: the product of the shape, 1 for a scalar."""
        return math.prod(self.shape)

    @property
    def origin(self) -> str:
        """The column's name as its model says it."""
        return self.source or self.name


class Schema(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a frame's rows are about, and its columns in the order of their buffers.

    Keys that are added in later versions of the program are ignored by earlier ones. `partner` is the other
    version of a pair (the stable one).
    """

    model: str
    version: str
    digest: str
    columns: tuple[ColumnSpec, ...]
    partner: str = ""

    @property
    def values(self) -> tuple[ColumnSpec, ...]:
        """The columns that are not metadata, in order: the columns of the validity buffer."""
        return tuple(column for column in self.columns if column.role != "meta")


ValueColumn: TypeAlias = tuple[str, str, tuple[int, ...]]
"""(name, dtype, shape of one row) of a model's input or output."""


def _meta(*columns: ValueColumn) -> tuple[ColumnSpec, ...]:
    return tuple(ColumnSpec(name, dtype, shape, "meta") for name, dtype, shape in columns)


META: Final = _meta(
    ("id", "|u1", (16,)),
    ("row", "<u4", ()),
    ("time", "<i8", ()),
    ("arm", "|u1", ()),
    ("revision", "<u8", ()),
    ("outcome", "|u1", ()),
    ("latency", "<u4", ()),
    ("kept", "|u1", ()),
    ("client_id", VARIABLE, ()),
    ("trace_id", "|u1", (16,)),
)
"""Metadata of a prediction or reject: `time` in unix nanoseconds, `latency` in microseconds."""

_REJECT: Final = _meta(
    ("status", "<u2", ()),
    ("code", VARIABLE, ()),
    ("message", VARIABLE, ()),
    ("version", VARIABLE, ()),
    ("model", VARIABLE, ()),
)
PAIR: Final = _meta(
    ("id", "|u1", (16,)),
    ("row", "<u4", ()),
    ("time", "<i8", ()),
    ("revision", "<u8", ()),
    ("answered_by", "|u1", ()),
    ("stable_outcome", "|u1", ()),
    ("candidate_outcome", "|u1", ()),
)
"""Metadata of a shadow pair, under the id of the answer; `time` in unix nanoseconds."""

_LABEL: Final = _meta(
    ("label_id", "|u1", (16,)),
    ("row", "<u4", ()),
    ("time", "<i8", ()),
    ("integer", "<i8", ()),
    ("number", "<f8", ()),
    ("text", VARIABLE, ()),
    ("value_kind", "|u1", ()),
    ("client_id", VARIABLE, ()),
)
_LOSS: Final = _meta(
    ("time", "<i8", ()),
    ("kind", "|u1", ()),
    ("incarnation", "<u4", ()),
    ("stream", "<u4", ()),
    ("count", "<u8", ()),
    ("reason", VARIABLE, ()),
    ("upto", VARIABLE, ()),
)
_DELETION: Final = _meta(
    ("id", "|u1", (16,)),
    ("row", "<u4", ()),
    ("time", "<i8", ()),
    ("reason", VARIABLE, ()),
    ("actor", VARIABLE, ()),
)


def prediction_schema(
    model: str,
    version: str,
    digest: str,
    inputs: Iterable[ValueColumn],
    outputs: Iterable[ValueColumn],
) -> Schema:
    """The schema of a version's predictions: META, then inputs, then outputs, in the order given.

    Raises FrameError on a dtype that a column cannot have.
    """
    columns = list(META)
    taken = {column.name for column in columns}
    columns += [_value_column(value, "input", taken) for value in inputs]
    columns += [_value_column(value, "output", taken) for value in outputs]
    return Schema(model, version, digest, tuple(columns))


def reject_schema(model: str) -> Schema:
    """The schema of requests that no version answered; `model` is empty where none could be told."""
    return Schema(model, "", "", META + _REJECT)


def pair_schema(model: str, stable: str, candidate: str, outputs: Sequence[ValueColumn]) -> Schema:
    """The schema of shadow pairs: both versions' outputs as `stable.<output>` and `candidate.<output>`."""
    columns = list(PAIR)
    taken = {column.name for column in columns}
    for side in ("stable", "candidate"):
        for name, dtype, shape in outputs:
            columns.append(_value_column((f"{side}.{name}", dtype, shape), "output", taken))
    return Schema(model, candidate, "", tuple(columns), partner=stable)


def label_schema(model: str) -> Schema:
    """The schema of labels.

    `label_id` is the prediction id that the label names: zeros where `client_id` names it.
    """
    return Schema(model, "", "", _LABEL)


def loss_schema() -> Schema:
    """The schema of losses that no other frame's `skipped` shows.

    `count` rows of `kind` in (`incarnation`, `stream`); `reason` is a short code. For the reason `retention`,
    `upto` is the offset up to which (inclusive) frames were dropped: a reader that was past it lost nothing.
    """
    return Schema("", "", "", _LOSS)


def deletion_schema(model: str) -> Schema:
    """The schema of deletions: the values of (`id`, `row`) are gone; ALL_ROWS means every row of the id."""
    return Schema(model, "", "", _DELETION)


def _value_column(value: ValueColumn, role: Role, taken: set[str]) -> ColumnSpec:
    name, dtype, shape = value
    if dtype != VARIABLE and dtype not in FIXED_DTYPES:
        raise FrameError(
            f"column {name!r} has dtype {dtype!r}; wanted {VARIABLE!r} or one of {sorted(FIXED_DTYPES)}",
        )
    stored = name
    while stored in taken:
        stored = f"{role}.{stored}"
    taken.add(stored)
    return ColumnSpec(stored, dtype, tuple(shape), role, "" if stored == name else name)
