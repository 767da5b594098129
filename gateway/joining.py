"""Several requests as one run, and each request's own part of what comes out.

Rules:

1. Rows stand in the order of the requests; every request gets exactly its rows, of every output.
2. A joined run that fails says nothing about any one request: halves are run again until each failure stands
   for the request that caused it. The others have their answers as if it had never been there.
3. Outputs that do not have as many rows as went in cannot be told apart: those requests run one by one.

Pure but for the run itself; nothing here waits.
"""

from collections.abc import Callable, Sequence

import numpy as np

from gateway.errors import InvalidInputError, RunError
from gateway.inference import Array

Feeds = dict[str, Array]
Run = Callable[[Feeds], list[Array]]
Outcome = list[Array] | RunError | InvalidInputError


def join(requests: Sequence[Feeds]) -> Feeds:
    """One tensor per input: the requests' rows one after another."""
    return {name: np.concatenate([feeds[name] for feeds in requests]) for name in requests[0]}


def split(outputs: Sequence[Array], rows: Sequence[int]) -> list[list[Array]] | None:
    """Every request's rows of every output, as views; None where an output has other rows than came in."""
    total = sum(rows)
    if any(not array.ndim or len(array) != total for array in outputs):
        return None
    parts, at = [], 0
    for count in rows:
        parts.append([array[at : at + count] for array in outputs])
        at += count
    return parts


def settle(run: Run, requests: Sequence[Feeds], rows: Sequence[int]) -> list[Outcome]:
    """What came of each request; at most 2 n runs for n requests, one where nothing fails."""
    try:
        outputs = run(requests[0] if len(requests) == 1 else join(requests))
    except (RunError, InvalidInputError) as error:
        if len(requests) == 1:
            return [error]
    else:
        parts = [list(outputs)] if len(requests) == 1 else split(outputs, rows)
        if parts is not None:
            return [*parts]
    half = len(requests) // 2
    first, second = (requests[:half], rows[:half]), (requests[half:], rows[half:])
    return [*settle(run, *first), *settle(run, *second)]
