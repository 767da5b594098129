"""How the outputs of two versions become columns of shadow pairs: planned once per pair, then copied by name.

Rules: a pair keeps the outputs that both versions have, alike in dtype and row shape; how each becomes a
column, `gateway.recording` says. What did not come out is MISSING there too.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gateway.inference import Array
from gateway.model import LoadedModel
from gateway.recording import Marks, Side, Validities, plain_row, value_column
from gateway.tensors import Tensor
from gateway.withholding import NOTHING, Withheld
from prediction_log.quick_pair import is_pair
from prediction_log.record import pair_schema


class PairPlan:
    """The columns of shadow pairs of two versions: the outputs that both have, alike in dtype and shape."""

    def __init__(self, stable: LoadedModel, candidate: LoadedModel, withheld: Withheld = NOTHING) -> None:
        theirs = {value_column(tensor): place for place, tensor in enumerate(candidate.outputs)}
        self._shared = [
            (place, theirs[value_column(tensor)])
            for place, tensor in enumerate(stable.outputs)
            if value_column(tensor) in theirs
        ]
        columns = [value_column(stable.outputs[place]) for place, _ in self._shared]
        self.schema = withheld.marked(pair_schema(stable.name, stable.version, candidate.version, columns))
        values, count = self.schema.values, len(columns)
        self._stable = Side([stable.outputs[a] for a, _ in self._shared], values[:count], 0, withheld)
        self._candidate = Side(
            [candidate.outputs[b] for _, b in self._shared], values[count:], count, withheld
        )
        self._validity = Marks(len(values), [*self._stable.dropped, *self._candidate.dropped])
        self._quick = is_pair(self.schema)
        self._plain_stable = tuple(_plain(a, stable.outputs[a]) for a, _ in self._shared)
        self._plain_candidate = tuple(_plain(b, candidate.outputs[b]) for _, b in self._shared)

    def plainly(
        self, stable: Sequence[Sequence[Array]], candidate: Sequence[Sequence[Array]]
    ) -> list[bytes] | None:
        """Every value column of pairs of one row each; None where one is not as plain as they mostly are."""
        if not self._quick:
            return None
        found = []
        for runs, parts in ((stable, self._plain_stable), (candidate, self._plain_candidate)):
            for place, shape, dtype in parts:
                rows = []
                for outputs in runs:
                    array = outputs[place]
                    if array.shape != shape or array.dtype != dtype:
                        return None
                    rows.append(array.tobytes())
                found.append(b"".join(rows))
        return found

    def fill(
        self,
        into: dict[str, Any],
        stable: Sequence[Array] | None,
        candidate: Sequence[Array] | None,
        rows: int,
    ) -> Validities | None:
        """Put both sides' outputs into `into`; None stands for a run that failed. Returns their validity."""
        odd: list[int] = []
        if stable is None:
            odd += self._stable.places
        else:
            odd += self._stable.fill(into, [stable[a] for a, _ in self._shared], rows)
        if candidate is None:
            odd += self._candidate.places
        else:
            odd += self._candidate.fill(into, [candidate[b] for _, b in self._shared], rows)
        return self._validity.of(odd)


def _plain(place: int, tensor: Tensor) -> tuple[int, tuple[int, ...] | None, np.dtype[Any]]:
    """Where a tensor is among a run's outputs, and the shape and dtype of one plain row of it."""
    return place, plain_row(tensor), tensor.dtype
