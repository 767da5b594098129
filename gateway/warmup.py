"""Typical inputs for the first runs of a version, and what a run costs by what those took.

Typical are the values of the reference profile where there is one (mean or most frequent category), else
zeros and empty strings. A graph may well refuse such made-up rows, which condemns nothing: the version's cost
is then unknown, and its runs stay off the event loop. Runs nothing itself; `gateway.measuring` does.
"""

import math
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from gateway import bfloat16
from gateway.inference import Array
from gateway.schedule import Times
from gateway.tensors import Tensor
from groundwork.elements import element_names
from registry_client.profile import CategoricalColumn, Column, NumericColumn, Profile
from registry_client.signature import Datatype


class Cost(msgspec.Struct, frozen=True):
    """What a run was measured to cost, in seconds: `fixed` + `per_row` * rows; infinite when unknown."""

    fixed: float
    per_row: float

    def rows_within(self, seconds: float) -> int:
        """The most rows whose run is expected to take no longer than `seconds`; -1 when none does."""
        if self.seconds(1) > seconds:
            return -1
        return 1 << 40 if self.per_row <= 0 else int((seconds - self.fixed) / self.per_row)

    def seconds(self, rows: int) -> float:
        """The expected seconds of a run of `rows`."""
        return self.fixed + self.per_row * rows


UNKNOWN: Final = Cost(math.inf, 0.0)


def typical(tensor: Tensor, rows: int, profile: Profile | None, length: int = 1) -> Array:
    """A tensor of `rows` typical rows; every other size that the request chooses is `length`."""
    shape = [length if size == -1 else size for size in tensor.shape]
    row_shape = tuple(shape[1:]) if tensor.batched else tuple(shape)
    known = {column.name: column for column in profile.columns} if profile is not None else {}
    columns = [known.get(name) for name in element_names(tensor.name, row_shape)]
    row = (_texts(columns) if tensor.datatype is Datatype.BYTES else _numbers(tensor, columns)).reshape(
        row_shape
    )
    return np.ascontiguousarray(np.broadcast_to(row, (rows, *row_shape))) if tensor.batched else row


def _texts(columns: Sequence[Column | None]) -> Array:
    """The most frequent categories."""
    named = [column.categories if isinstance(column, CategoricalColumn) else () for column in columns]
    return np.array([categories[0] if categories else "" for categories in named], dtype=object)


def _numbers(tensor: Tensor, columns: Sequence[Column | None]) -> Array:
    """The means, brought into the range of the tensor's datatype: a profile may be of other data."""
    means = [column.mean if isinstance(column, NumericColumn) else 0.0 for column in columns]
    if tensor.datatype is Datatype.BF16:
        with np.errstate(over="ignore"):
            return bfloat16.cut(np.array(means, "<f4"))
    if tensor.dtype.kind not in "iu":
        with np.errstate(over="ignore"):
            return np.array(means).astype(tensor.dtype)
    limits = np.iinfo(tensor.dtype)
    return np.array([min(max(int(mean), limits.min), limits.max) for mean in means], tensor.dtype)


def cost_of(times: Times, steep: float = 0.0) -> Cost:
    """The cost by (rows, seconds) of measured runs: a line through the shortest and the longest.

    `steep` is the least that a further row costs.
    """
    if not times:
        return UNKNOWN
    (_, one), (rows, many) = times[0], times[-1]
    per_row = max(steep, (many - one) / (rows - 1) if rows > 1 else 0.0)
    return Cost(max(0.0, one - per_row), per_row)
