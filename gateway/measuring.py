"""What a version does before anybody waits for it: runs of several lengths timed, joined runs compared.

Inputs are rows that differ: the reference profile's means moved by its deviations and its categories in turn,
else small numbers, always the same. Whether rows are independent is looked at, not assumed: a graph may well
have a batch axis and still let one row change another's answer. Where a graph refuses such rows, the typical
ones of the warm-up are timed and nothing is known about independence.

Blocks while it runs: call it off the event loop. It takes tens of milliseconds for a small model, and for a
large one about MOST_SECONDS, or two runs of one row where these take longer: what would not fit into the
rest of that time is not tried.
"""

import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

import numpy as np

from gateway.errors import InvalidInputError, RunError
from gateway.inference import Array
from gateway.joining import Feeds, join, split
from gateway.schedule import Agreement, Measured, joins, lengths
from gateway.tensors import Tensor
from gateway.warmup import typical
from groundwork.elements import element_names
from registry_client.profile import CategoricalColumn, NumericColumn, Profile
from registry_client.signature import Datatype, Signature

MOST_SECONDS: Final = 0.95
_ROUNDS: Final = 3
_FIRST_ROUNDS: Final = 5
_HAND_OVERS: Final = 20
_LONG_ROWS: Final = 64
"""Timed whatever the longest batch is: what many rows cost decides whether the loop runs them."""
_COMPARED: Final = 16
_FEWEST_COMPARED: Final = 2
# Shares of the time: of all of it for the first runs, and of what is left for comparing.
_FOR_FIRST: Final = 0.25
_FOR_COMPARING: Final = 0.85
# numpy's own generators take 80 ms to import, in every worker; these need not be good, only different.
_STEP: Final = 12.9898
_SPREAD: Final = math.sqrt(2)
_TOLERANCES: Final = {
    Datatype.FP64: 1e-9,
    Datatype.FP32: 1e-4,
    Datatype.FP16: 2e-2,
    Datatype.BF16: 5e-2,
}
_BITS: Final = 16

Clock = Callable[[], float]


class Studied(Protocol):
    """As much of a session as is measured; its runs may wait for a moment that suits them."""

    signature: Signature

    def run(self, feeds: Feeds) -> list[Array]:
        """Every output, in the signature's order."""
        ...


def study(session: Studied, profile: Profile | None, most_rows: int, seconds: Clock) -> Measured:
    """Measure a version that was just opened; `seconds` is a monotonic clock."""
    tensors = [Tensor(spec) for spec in session.signature.inputs]
    handoff = _handoff(seconds)
    began = seconds()
    ends, first = began + MOST_SECONDS, began + _FOR_FIRST * MOST_SECONDS
    alone = _fastest(session, _typical(tensors, 1, profile), _FIRST_ROUNDS, first, seconds)
    if alone is None or not all(tensor.batched for tensor in tensors):
        return Measured(() if alone is None else ((1, alone),), handoff)
    agreement: Agreement = "unknown"
    deviation = 0.0
    if joins(session.signature) is None:
        # Each is run once alone and at most twice with others.
        fit = int(_FOR_COMPARING * (ends - seconds()) / (3 * alone)) if alone > 0 else _COMPARED
        if fit < _FEWEST_COMPARED:
            agreement = "untried"
        else:
            agreement, deviation = _agreement(session, tensors, profile, min(most_rows, _COMPARED, fit))
    times = [(1, alone)]
    for rows in sorted({*lengths(most_rows), _LONG_ROWS})[1:]:
        expected = times[-1][1] * rows / times[-1][0]
        if seconds() + expected > ends:
            break
        found = _fastest(session, _typical(tensors, rows, profile), _ROUNDS, ends, seconds)
        if found is None:
            break
        times.append((rows, found))
    return Measured(tuple(times), handoff, agreement, deviation)


def _agreement(
    session: Studied, tensors: list[Tensor], profile: Profile | None, count: int
) -> tuple[Agreement, float]:
    try:
        return compare(session, [_typical(tensors, 1, profile, place) for place in range(count)])
    except (RunError, InvalidInputError):
        return "unknown", 0.0


def compare(session: Studied, singles: list[Feeds]) -> tuple[Agreement, float]:
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


def _fastest(session: Studied, feeds: Feeds, rounds: int, ends: float, seconds: Clock) -> float | None:
    """The quickest of so many runs, of fewer where time is up and of two at least; None where one fails."""
    times: list[float] = []
    try:
        while len(times) < rounds and (len(times) < 2 or seconds() + times[-1] < ends):  # noqa: PLR2004  the first warms up
            began = seconds()
            session.run(feeds)
            times.append(seconds() - began)
    except (RunError, InvalidInputError):
        return None
    return min(times)


def _typical(tensors: list[Tensor], rows: int, profile: Profile | None, place: int | None = None) -> Feeds:
    """So many typical rows; with `place` rows that differ by it."""
    feeds = {tensor.name: typical(tensor, rows, profile) for tensor in tensors}
    if place is None:
        return feeds
    known = {column.name: column for column in profile.columns} if profile is not None else {}
    return {tensor.name: _moved(tensor, feeds[tensor.name], known, place) for tensor in tensors}


def _moved(tensor: Tensor, array: Array, known: Mapping[str, Any], place: int) -> Array:
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
    noise = _SPREAD * np.sin(_STEP * (place + 1) * np.arange(1, array.size + 1)) * np.array(spread)
    moved: Array = (array.ravel() + noise).astype(array.dtype).reshape(array.shape)
    return moved


def _deviation(column: NumericColumn) -> float:
    return math.sqrt(column.m2 / column.n) if column.n else 1.0
