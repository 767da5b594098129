"""What a version does before anybody waits for it: runs of several lengths timed, joined runs compared.

Inputs that are compared are rows that differ in every element, whatever its datatype: the reference profile's
means moved by its deviations, its values and categories drawn from, else small numbers, always the same.
Whether rows are independent is looked at, not assumed: a graph may well have a batch axis and still let one
row change another's answer. Where a graph refuses such rows, the typical ones of the warm-up are timed and
nothing is known about independence.

Blocks while it runs: call it off the event loop. It takes tens of milliseconds for a small model, and for a
large one about MOST_SECONDS, or two runs of one row where these take longer: what would not fit into the
rest of that time is not tried.
"""

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

import numpy as np

from gateway import bfloat16
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
_LONG_SIZE: Final = 64
"""Each size that a model leaves to the request, where a long row is timed; less where it leaves many."""
_LONG_EXTENT: Final = 4096
_COMPARED: Final = 16
_FEWEST_COMPARED: Final = 2
# Shares of the time: of all of it for the first runs, and of what is left for comparing.
_FOR_FIRST: Final = 0.25
_FOR_COMPARING: Final = 0.85
# numpy's own generators take 80 ms to import, in every worker; these need not be good, only different.
_STEP: Final = 12.9898
_SPREAD: Final = math.sqrt(2)
# Multiples of these leave out no part of what lies between 0 and 1, and neighbours are far apart.
_PLACE_SHARE: Final = 0.6180339887498949
_ELEMENT_SHARE: Final = 0.7548776662466927
_HALF: Final = 0.5
_TOLERANCES: Final = {
    Datatype.FP64: 1e-9,
    Datatype.FP32: 1e-4,
    Datatype.FP16: 2e-2,
    Datatype.BF16: 5e-2,
}
_LEVELS: Final = (3, 2)
"""From so many whole numbers, from 0 on, rows are made where no profile is; from fewer where a graph refuses
them: what looks into a table may have a short one."""

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
    if alone is None:
        return Measured((), handoff)
    steep = _steepness(session, tensors, profile, alone, first, seconds)
    if not all(tensor.batched for tensor in tensors):
        return Measured(((1, alone),), handoff, steep=steep)
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
    return Measured(tuple(times), handoff, agreement, deviation, steep)


def made_up(signature: Signature, place: int) -> Feeds:
    """One row that differs from those of other places, of values that most graphs accept."""
    return _differing([Tensor(spec) for spec in signature.inputs], None, place, _LEVELS[-1])


def _steepness(
    session: Studied,
    tensors: list[Tensor],
    profile: Profile | None,
    alone: float,
    ends: float,
    seconds: Clock,
) -> float:
    """What each further element costs of a row whose length is left to the request: of one that is long.

    0 where nothing is left to it; as much as the smallest row where a long one cannot be timed.
    """
    if all(tensor.row_shape is not None for tensor in tensors):
        return 0.0
    most = max(tensor.shape[tensor.batched :].count(-1) for tensor in tensors)
    size = min(_LONG_SIZE, int(_LONG_EXTENT ** (1 / most)))
    feeds = {tensor.name: typical(tensor, 1, profile, size) for tensor in tensors}
    extent = max(feeds[tensor.name].size // typical(tensor, 1, profile).size for tensor in tensors)
    if seconds() + alone * extent > ends:
        return alone
    found = _fastest(session, feeds, _ROUNDS, ends, seconds)
    return alone if found is None else max(0.0, found - alone) / (extent - 1)


def _agreement(
    session: Studied, tensors: list[Tensor], profile: Profile | None, count: int
) -> tuple[Agreement, float]:
    for levels in _LEVELS:
        with contextlib.suppress(RunError, InvalidInputError):
            return compare(session, [_differing(tensors, profile, place, levels) for place in range(count)])
    return "unknown", 0.0


def compare(session: Studied, singles: list[Feeds]) -> tuple[Agreement, float]:
    """Whether requests come out joined as they come out alone, and the largest relative difference.

    Requests that all come out alike show nothing: a graph may tell its rows apart where these do not differ.
    """
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
    if worst:
        return "close", worst
    return ("alike" if all(_equal(alone[0], one) for one in alone[1:]) else "exact"), 0.0


def _equal(left: Sequence[Array], right: Sequence[Array]) -> bool:
    return all(bool(np.array_equal(one, other)) for one, other in zip(left, right, strict=True))


def deviation_of(datatype: Datatype, left: Array, right: Array) -> float:
    """The largest difference relative to the largest value; infinite between what is no number."""
    if left.shape != right.shape:
        return math.inf
    if datatype not in _TOLERANCES:
        return 0.0 if bool((left == right).all()) else math.inf
    if datatype is Datatype.BF16:
        left, right = bfloat16.widened(left), bfloat16.widened(right)
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


def _typical(tensors: list[Tensor], rows: int, profile: Profile | None) -> Feeds:
    """So many typical rows."""
    return {tensor.name: typical(tensor, rows, profile) for tensor in tensors}


def _differing(tensors: list[Tensor], profile: Profile | None, place: int, levels: int) -> Feeds:
    """One row that differs from those of other places."""
    feeds = _typical(tensors, 1, profile)
    known = {column.name: column for column in profile.columns} if profile is not None else {}
    return {tensor.name: _moved(tensor, feeds[tensor.name], known, place, levels) for tensor in tensors}


def _moved(tensor: Tensor, array: Array, known: Mapping[str, Any], place: int, levels: int) -> Array:
    elements = np.arange(1, array.size + 1)
    shares: Array = ((place + 1) * _PLACE_SHARE + elements * _ELEMENT_SHARE) % 1.0
    moved: Array
    if tensor.datatype is Datatype.BOOL:
        return (shares < _HALF).reshape(array.shape)
    if not known and tensor.dtype.kind in "iu" and tensor.datatype is not Datatype.BF16:
        return (shares * levels).astype(array.dtype).reshape(array.shape)
    columns = [known.get(name) for name in element_names(tensor.name, array.shape[1:])]
    if tensor.datatype not in _TOLERANCES:
        values = [
            _drawn(tensor, column, share, levels) for column, share in zip(columns, shares, strict=True)
        ]
        return np.array(values, dtype=array.dtype).reshape(array.shape)
    spread = np.array([_deviation(column) for column in columns])
    noise = _SPREAD * np.sin(_STEP * (place + 1) * elements) * spread
    if tensor.datatype is Datatype.BF16:
        moved = bfloat16.cut((bfloat16.widened(array).ravel() + noise).astype("<f4"))
    else:
        moved = (array.ravel() + noise).astype(array.dtype)
    return moved.reshape(array.shape)


def _drawn(tensor: Tensor, column: Any, share: float, levels: int) -> int | str:
    """What lies at `share` (0 to 1) of the values that a whole number or a text is known to have."""
    choices: Sequence[Any] = range(levels)
    if isinstance(column, CategoricalColumn) and column.categories:
        choices = column.categories
    elif isinstance(column, NumericColumn) and column.edges:
        choices = column.edges
    chosen = choices[min(int(share * len(choices)), len(choices) - 1)]
    if tensor.datatype is Datatype.BYTES:
        return str(chosen)
    if not isinstance(chosen, int | float):
        return 0
    if isinstance(column, NumericColumn):
        chosen = min(chosen, column.maximum)
    limits = np.iinfo(tensor.dtype)
    return min(max(int(chosen), int(limits.min)), int(limits.max))


def _deviation(column: Any) -> float:
    if not isinstance(column, NumericColumn):
        return 1.0
    return math.sqrt(column.m2 / column.n) if column.n else 1.0
