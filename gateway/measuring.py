"""What a version does before anybody waits for it: runs of several lengths timed, joined runs compared.

Inputs are rows that differ: the reference profile's means moved by its deviations and its categories in turn,
else small numbers from a fixed seed. Whether rows are independent is looked at, not assumed: a graph may well
have a batch axis and still let one row change another's answer. Where a graph refuses such rows, the typical
ones of the warm-up are timed and nothing is known about independence.

Blocks for as long as the runs take, some tens of milliseconds for a run of one: call it off the event loop.
"""

import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np

from gateway.errors import InvalidInputError, RunError
from gateway.inference import Array
from gateway.joining import Feeds, join, split
from gateway.schedule import Agreement, Measured, Times, joins, lengths
from gateway.session import Session
from gateway.tensors import Tensor
from gateway.warmup import typical
from registry_client.profile import CategoricalColumn, NumericColumn, Profile
from registry_client.signature import Datatype, element_names

_ROUNDS: Final = 3
_HAND_OVERS: Final = 20
_LONG_SECONDS: Final = 0.1
"""After a run this long no longer ones are tried: loading is to take seconds, not minutes."""
_COMPARED: Final = 16
_TOLERANCES: Final = {
    Datatype.FP64: 1e-9,
    Datatype.FP32: 1e-4,
    Datatype.FP16: 2e-2,
    Datatype.BF16: 5e-2,
}
_BITS: Final = 16

Clock = Callable[[], float]


def study(session: Session, profile: Profile | None, most_rows: int, seconds: Clock) -> Measured:
    """Measure a version that was just opened; `seconds` is a monotonic clock."""
    tensors = [Tensor(spec) for spec in session.signature.inputs]
    handoff = _handoff(seconds)
    if joins(session.signature) is not None:
        times = _times(session, lambda _rows: _typical(tensors, 1, profile), [1], seconds)
        return Measured(times, handoff)
    singles = [_typical(tensors, 1, profile, place) for place in range(min(most_rows, _COMPARED))]
    try:
        agreement, deviation = compare(session, singles)
    except (RunError, InvalidInputError):
        agreement, deviation = "unknown", 0.0
    times = _times(session, lambda rows: _typical(tensors, rows, profile), lengths(most_rows), seconds)
    return Measured(times, handoff, agreement, deviation)


def compare(session: Session, singles: list[Feeds]) -> tuple[Agreement, float]:
    """Whether requests come out joined as they come out alone, and the largest relative difference."""
    alone = [session.run(feeds) for feeds in singles]
    worst = 0.0
    for count in {min(3, len(singles)), len(singles)}:
        parts = split(session.run(join(singles[:count])), [1] * count)
        if parts is None:
            return "differs", math.inf
        for one, joined in zip(alone, parts, strict=False):
            for spec, left, right in zip(session.signature.outputs, one, joined, strict=True):
                found = deviation_of(spec.datatype, left, right)
                if found > _TOLERANCES.get(spec.datatype, 0.0):
                    return "differs", found
                worst = max(worst, found)
    return ("close" if worst else "exact"), worst


def deviation_of(datatype: Datatype, left: Array, right: Array) -> float:
    """The largest difference relative to the largest value; infinite between what is no number."""
    if left.shape != right.shape:
        return math.inf
    if datatype not in _TOLERANCES:
        return 0.0 if bool((left == right).all()) else math.inf
    if datatype is Datatype.BF16:
        left, right = ((bits.astype(np.uint32) << _BITS).view(np.float32) for bits in (left, right))
    if left.tobytes() == right.tobytes():
        return 0.0
    left, right = left.astype(np.float64), right.astype(np.float64)
    finite = np.isfinite(left)
    if not np.array_equal(left[~finite], right[~finite], equal_nan=True):
        return math.inf
    scale = float(np.abs(left[finite]).max(initial=0.0)) or 1.0
    return float(np.abs(left[finite] - right[finite]).max(initial=0.0)) / scale


def _handoff(seconds: Clock) -> float:
    """The least time to a thread and back."""
    with ThreadPoolExecutor(1, "measure") as pool:
        times = []
        for _ in range(_HAND_OVERS):
            began = seconds()
            pool.submit(seconds).result()
            times.append(seconds() - began)
    return min(times)


def _times(session: Session, feeds: Callable[[int], Feeds], rows: list[int], seconds: Clock) -> Times:
    """The quickest of some runs of each length; shorter when runs are long, empty when none succeeds."""
    found: list[tuple[int, float]] = []
    for count in rows:
        made = feeds(count)
        times: list[float] = []
        try:
            for _ in range(_ROUNDS):
                began = seconds()
                session.run(made)
                times.append(seconds() - began)
        except (RunError, InvalidInputError):
            break
        found.append((count, min(times)))
        if min(times) > _LONG_SECONDS:
            break
    return tuple(found)


def _typical(tensors: list[Tensor], rows: int, profile: Profile | None, place: int | None = None) -> Feeds:
    """So many typical rows; with `place` rows that differ by it."""
    feeds = {tensor.name: typical(tensor, rows, profile) for tensor in tensors}
    if place is None:
        return feeds
    known = {column.name: column for column in profile.columns} if profile is not None else {}
    source = np.random.default_rng(place)
    return {tensor.name: _moved(tensor, feeds[tensor.name], known, place, source) for tensor in tensors}


def _moved(
    tensor: Tensor, array: Array, known: Mapping[str, Any], place: int, source: np.random.Generator
) -> Array:
    row_shape = array.shape[1:]
    columns = [known.get(name) for name in element_names(tensor.name, row_shape)]
    if tensor.datatype is Datatype.BYTES:
        values = [
            column.categories[place % len(column.categories)]
            if isinstance(column, CategoricalColumn) and column.categories
            else str(value)
            for column, value in zip(columns, array.ravel().tolist(), strict=True)
        ]
        return np.array(values, dtype=object).reshape(array.shape)
    if tensor.datatype not in _TOLERANCES or tensor.datatype is Datatype.BF16:
        return array
    spread = [_deviation(column) if isinstance(column, NumericColumn) else 1.0 for column in columns]
    noise = source.standard_normal(array.size) * np.array(spread)
    moved: Array = (array.ravel() + noise).astype(array.dtype).reshape(array.shape)
    return moved


def _deviation(column: NumericColumn) -> float:
    return math.sqrt(column.m2 / column.n) if column.n else 1.0
