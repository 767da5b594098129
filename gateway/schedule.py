"""How a version is run: on the loop, joined with others, or one by one in threads; from what was measured.

Rules:

1. A run cheaper than handing it to a thread stays on the loop. So does one that is within `runs.inline` and
   would not get cheaper by being joined with others.
2. Requests are joined only along a batch axis that every input and every output has, only where made-up rows
   came out of a joined run as they come out alone, and only up to the length from which on a longer run is
   no cheaper per row.
3. A run waits for more requests no longer than one run lasts, only where joining saves most of one, and only
   where at least two requests were in flight.

Pure functions over values; what is learnt while a version runs is in `gateway.estimates`.
"""

import functools
import itertools
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from gateway.run_settings import RunSettings
from registry_client.signature import Signature, TensorSpec

Times = tuple[tuple[int, float], ...]
"""(rows, seconds) of measured runs, rows ascending; empty when nothing is known."""
Agreement = Literal["exact", "close", "differs", "alike", "unknown", "untried"]
Mode = Literal["inline", "batched", "queued"]

_WORTH: Final = 0.9
"""A longer batch is worth it where its rows cost less than this share of a shorter one's."""
_HALF: Final = 0.5
_MILLISECOND: Final = 1e-3


class Measured(msgspec.Struct, frozen=True):
    """What a version was seen to do when it was loaded.

    `times` of runs by rows; `handoff`: seconds to hand a run to a thread and to come back; `agreement`
    between joined and single runs (alike: all of them gave the same, which shows nothing; unknown: they
    failed; untried: they would take too long), and `deviation`, the largest relative one. `steep`: seconds
    that each further element costs where the length of a row is left to the request. `opening`: seconds of
    processor to open the graph, `copied`: from its optimised copy.
    """

    times: Times = ()
    handoff: float = 0.0
    agreement: Agreement = "unknown"
    deviation: float = 0.0
    steep: float = 0.0
    opening: float = 0.0
    copied: bool = False


class Schedule(msgspec.Struct, frozen=True):
    """The choice for one version in one worker.

    `inline_rows`: the most rows that run on the loop (-1: none); `batch_rows`: the most rows of a joined run
    (1: never joined); `reason`: why, in one line.
    """

    mode: Mode = "queued"
    inline_rows: int = -1
    batch_rows: int = 1
    reason: str = "nothing was measured"
    measured: Measured = Measured()


def seconds_for(times: Times, rows: int) -> float:
    """The expected seconds of a run of `rows`: between two measured sizes on a line, beyond the last too."""
    if not times:
        return 0.0
    place = bisect_left(times, (rows, -1.0))
    if place < len(times) and times[place][0] == rows:
        return times[place][1]
    if len(times) == 1 or place == 0:
        return times[min(place, len(times) - 1)][1]
    (low, before), (high, after) = times[place - 1 : place + 1] if place < len(times) else times[-2:]
    return before + max(0.0, after - before) * (rows - low) / (high - low)


def best_rows(times: Times) -> int:
    """The smallest measured size that no longer one beats by a tenth per row; 1 when nothing is known."""
    per_row = [(rows, seconds / rows) for rows, seconds in times]
    for place, (rows, cost) in enumerate(per_row):
        if all(longer >= _WORTH * cost for _, longer in per_row[place + 1 :]):
            return rows
    return 1


def joins(signature: Signature) -> str | None:
    """Why requests of this signature cannot be joined; None when they can."""
    for role, specs in (("input", signature.inputs), ("output", signature.outputs)):
        for spec in specs:
            if spec.shape[:1] != (-1,):
                return f"{role} {spec.name!r} has no batch axis"
    if not _open(signature.inputs):
        loose = [spec.name for spec in signature.outputs if _open((spec,))]
        if loose:
            return f"the size of output {loose[0]!r} depends on more than the number of rows"
    return None


def decide(signature: Signature, measured: Measured, inline_rows: int, runs: RunSettings) -> Schedule:
    """The choice for a version; `inline_rows` is how many rows fit into `runs.inline`."""
    times, handoff = measured.times, measured.handoff
    obstacle = _obstacle(signature, measured, runs)
    rows = 1 if obstacle else best_rows(tuple([one for one in times if one[0] <= runs.batch_rows]))
    alone, shared = seconds_for(times, 1), seconds_for(times, rows) / rows
    if obstacle is None and rows == 1:
        obstacle = "rows of a longer run cost no less"
    told = f"a run of one row takes {_told(alone)}"
    if inline_rows >= 1 and alone <= handoff:
        reason = f"{told}, a hand-off {_told(handoff)}"
        return Schedule("inline", inline_rows, rows, reason, measured)
    if inline_rows >= 1 and shared > _HALF * alone:
        reason = f"{told}, within runs.inline; {obstacle or f'a row in {rows} still {_told(shared)}'}"
        return Schedule("inline", inline_rows, rows, reason, measured)
    if rows > 1:
        return Schedule("batched", -1, rows, f"{told}, a row in {rows} {_told(shared)}", measured)
    told = told if times else "made-up rows could not be run"
    return Schedule("queued", inline_rows if times else -1, 1, f"{told}; {obstacle}", measured)


def strayed(schedule: Schedule, inline_rows: int, seconds: float) -> Schedule:
    """The same for a version of which a run on the loop took much longer than foreseen."""
    mode = schedule.mode
    if mode == "inline" and inline_rows < 1:
        mode = "queued" if schedule.batch_rows == 1 else "batched"
    limit = f"; requests as long as one that took {_told(seconds)} do not run on the loop"
    reason = schedule.reason.partition(";")[0] + limit
    return msgspec.structs.replace(schedule, mode=mode, inline_rows=inline_rows, reason=reason)


def window(times: Times, waiting: int, ran: int, most: int) -> float:
    """How many seconds a run may wait for those that were just answered to come back.

    `waiting` rows are queued, `ran` were just answered; both together may run in one of up to `most` rows.
    It is as long as that run, or nothing where two runs would cost little more: less than half of the
    shorter one. Meanwhile the processor is not idle: the answers are written and the next requests read.
    """
    together = min(waiting + ran, most)
    first = max(1, waiting)
    if first >= together:
        return 0.0
    joined = seconds_for(times, together)
    apart = seconds_for(times, first), seconds_for(times, together - first)
    return joined if sum(apart) - joined >= _HALF * min(apart) else 0.0


@functools.lru_cache(1024)
def enough(times: Times, waiting: int, ran: int, most: int, *, aside: bool) -> int:
    """With how many rows the next run begins, where `waiting` are queued and `ran` were just answered.

    `waiting` where nothing is gained by waiting for more. With `aside` (the loop has a processor besides the
    one that runs) the fewest from which on that is so: these run while the rest are read. Without, all that
    can come, for what the loop does meanwhile would only make the run longer.
    """
    together = min(waiting + ran, most)
    if not window(times, waiting, ran, most):
        return waiting
    if not aside:
        return together
    return next(
        rows
        for rows in range(max(1, waiting), together + 1)
        if not window(times, rows, together - rows, most)
    )


def share(times: Times, rows: int, requests: int, turn: float, most: int) -> int:
    """The most rows of a run where so many are in flight, and the loop needs `turn` seconds for each request.

    A run of all of them has the loop wait while it lasts, and runs wait while the loop answers and reads. In
    two halves one is run while the loop has the other; that is done where it is a tenth quicker. Where they
    are more than one run by themselves, `most`. For a loop that has a processor besides the one that runs.
    """
    half = -(-rows * -(-requests // 2) // max(1, requests))
    if not half < rows <= most:
        return most
    joined = seconds_for(times, rows) + requests * turn
    apart = seconds_for(times, half) + seconds_for(times, rows - half)
    return half if max(apart, requests * turn) < _WORTH * joined else most


def lengths(most: int) -> list[int]:
    """The numbers of rows to measure: powers of two, and `most` itself."""
    powers = list(itertools.takewhile(lambda rows: rows < most, (1 << power for power in range(31))))
    return [*powers, max(1, most)]


def _obstacle(signature: Signature, measured: Measured, runs: RunSettings) -> str | None:
    if runs.batching == "off":
        return "runs.batching is off"
    found = joins(signature)
    if found is not None:
        return found
    if measured.agreement == "differs":
        return "rows that run together influence one another"
    if measured.agreement == "unknown":
        return "no made-up rows could be run to see whether rows are independent"
    if measured.agreement == "alike":
        return "made-up rows all came out alike, which does not show that rows are independent"
    if measured.agreement == "untried":
        return "a run takes too long to see at load whether rows are independent"
    if measured.agreement == "close" and runs.batching == "exact":
        return f"joined rows differ by {measured.deviation:.1g} of a value, and runs.batching is exact"
    return None


def _open(specs: Sequence[TensorSpec]) -> bool:
    """Whether a size beyond the batch axis is left to the request."""
    return any(-1 in spec.shape[1:] for spec in specs)


def _told(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= _MILLISECOND else f"{seconds * 1e6:.3g} µs"
