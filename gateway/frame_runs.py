"""What of a frame of predictions is run again by another version, in which runs, and what came of them.

Rules:

1. A request is run again where its row says that the arm answered it well, under the revision, and where its
   id is drawn for the shadow's share (bytes 4 to 7 of it: the first four draw what is recorded).
2. Inputs and given outputs are views of the frame, copied only where some of its rows are left out.
3. Requests are one run up to ROWS rows, which is longer than the longest batch of callers, for nobody waits
   (not where `runs.batching` is exact: then as long as theirs); none is cut. What fails, or gives what its
   graph did not promise, is given back as single jobs, so that each request stands for itself.

Pure but for the runs themselves.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from gateway.beside import Job, size_of
from gateway.errors import InvalidInputError, RunError
from gateway.inference import Array
from gateway.model import LoadedModel
from gateway.stream import Noted
from gateway.ways import Way
from prediction_log.frame import Frame
from prediction_log.record import ColumnSpec, Outcome
from prediction_log.sampling import FULL

ROWS: Final = 512
"""The most rows of a run, and of what one turn of the loop records: some 30 µs."""
_DRAWN_BY: Final = slice(4, 8)
_META: Final = ("id", "row", "time", "revision")


class Wanted(msgspec.Struct, frozen=True, eq=False):
    """Which rows of a frame a way compares, and what it leaves out.

    `met`: the ids to be left out that the frame has; `odd`: how many requests are not whole in the log.
    """

    rows: Array
    requests: int
    met: Collection[bytes]
    odd: int


class Chosen(msgspec.Struct, frozen=True, eq=False):
    """The rows of a frame that a way compares: all arrays have as many; whole requests, in their order."""

    meta: dict[str, Array]
    feeds: dict[str, Array]
    outputs: list[Array]

    @property
    def rows(self) -> int:
        """How many rows."""
        return len(self.meta["row"])

    @property
    def requests(self) -> int:
        """How many requests."""
        return int(np.count_nonzero(self.meta["row"] == 0))

    def part(self, first: int, end: int) -> "Chosen":
        """Some of the rows, as views."""
        return Chosen(
            {name: array[first:end] for name, array in self.meta.items()},
            {name: array[first:end] for name, array in self.feeds.items()},
            [array[first:end] for array in self.outputs],
        )


class Found(msgspec.Struct, frozen=True, eq=False):
    """What came of one run: what was given, and what the other version gave for it, row by row."""

    given: Chosen
    outputs: list[Array]
    requests: int


def wanted(frame: Frame, way: Way, left_out: Collection[bytes]) -> Wanted:
    """Which rows are to be run again. Some 20 µs."""
    rows = frame.array("arm") == way.arm
    rows &= frame.array("revision") == way.revision
    ids, begins = frame.array("id"), frame.array("row") == 0
    met = _among(ids, rows, left_out) if left_out else {}
    for place in met:
        rows[place] = False
    rows &= frame.array("outcome") == Outcome.OK
    if way.share < FULL:
        rows &= _drawn(ids, way.share)
    odd = 0
    if frame.validity is not None:
        whole = ~frame.validity.any(axis=1)
        odd = int(np.count_nonzero(rows & begins & ~whole))
        rows &= whole
    return Wanted(rows, int(np.count_nonzero(rows & begins)), frozenset(met.values()), odd)


def chosen(frame: Frame, rows: Array) -> Chosen:
    """These rows of the frame."""
    everything = bool(rows.all())

    def taken(name: str) -> Array:
        array = frame.array(name)
        return array if everything else array[rows]

    inputs = _values(frame, "input")
    return Chosen(
        {name: taken(name) for name in _META},
        {column.origin: taken(column.name) for column in inputs},
        [taken(column.name) for column in _values(frame, "output")],
    )


def run(way: Way, given: Chosen, most: int = ROWS) -> tuple[list[Found], list[Job]]:
    """Run all of it: what was found, in order, and the jobs that have to be run one by one. In a thread."""
    found, odd = [], []
    for part in parts(given, most):
        outputs = _outputs(way.beside, part)
        if outputs is None:
            odd += list(jobs(way, part))
        else:
            found.append(Found(part, outputs, part.requests))
    return found, odd


def parts(given: Chosen, most: int) -> Iterator[Chosen]:
    """Whole requests of at most so many rows together; a longer request is a part of its own."""
    begins = np.flatnonzero(given.meta["row"] == 0)
    ends = np.append(begins[1:], given.rows)
    at = 0
    while at < given.rows:
        place = int(np.searchsorted(ends, at + most, side="right"))
        end = int(ends[place - 1]) if place and ends[place - 1] > at else int(ends[place])
        yield given if (at, end) == (0, given.rows) else given.part(at, end)
        at = end


def jobs(way: Way, given: Chosen) -> Iterator[Job]:
    """Every request by itself, as if it had just been answered."""
    for one in parts(given, 1):
        meta = one.meta
        noted = Noted(meta["id"][0].tobytes(), int(meta["time"][0]), 0, way.arm, way.revision)
        size = size_of(one.feeds, one.outputs)
        yield Job(way.answered, way.beside, noted, one.feeds, one.outputs, one.rows, size, way.evidence)


def _outputs(beside: LoadedModel, part: Chosen) -> list[Array] | None:
    """What the run gives; None where it fails or does not give what was promised."""
    try:
        outputs = beside.session.run(part.feeds)
    except (RunError, InvalidInputError):
        return None
    for tensor, array in zip(beside.outputs, outputs, strict=True):
        if array.shape != (part.rows, *(tensor.row_shape or ())) or array.dtype != tensor.dtype:
            return None
    return outputs


def _among(ids: Array, rows: Array, left_out: Collection[bytes]) -> dict[int, bytes]:
    """Which of these rows have such an id: place to id."""
    places = ((place, ids[place].tobytes()) for place in np.flatnonzero(rows).tolist())
    return {place: identifier for place, identifier in places if identifier in left_out}


def _drawn(ids: Array, share: int) -> Any:
    """Which of these ids are drawn under a threshold."""
    words = np.ascontiguousarray(ids[:, _DRAWN_BY]).view("<u4").reshape(-1)
    return words < np.uint64(share)


def _values(frame: Frame, role: str) -> Sequence[ColumnSpec]:
    return [column for column in frame.schema.columns if column.role == role]
