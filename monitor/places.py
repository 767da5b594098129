"""What ids say of their rows: under which key the ledger has them, and whether the log was read past them.

A row that is not in the ledger by then is not to come: it was not drawn, or was lost, or failed. Of rows that
are to come, and of ids that are not ours, nothing is known.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from monitor.keys import Keys, beginning, of_place
from monitor.streams import StreamEnds
from prediction_log.frame import Frame


class Places:
    """The keys of a folder's ids, and how far its streams were read; used by the pipeline's thread."""

    def __init__(self, keys: Keys, ends: StreamEnds) -> None:
        self._keys = keys
        self._ends = ends

    def keys(self, identifiers: npt.NDArray[np.uint8]) -> list[int]:
        """The keys of ids, uint8 [rows, 16]."""
        return self._keys.of(identifiers)

    def passed(self, identifiers: npt.NDArray[np.uint8], rows: Iterable[int]) -> list[int | None]:
        """The first key of each row's stream where that was read past the row; None where it is to come.

        `rows` are counted within the requests that the ids name.
        """
        found = zip(self._keys.of(identifiers), self._keys.places(identifiers), rows, strict=True)
        return [
            beginning(key) if self._ends.passed(incarnation, stream, sequence + row) else None
            for key, (incarnation, stream, sequence), row in found
        ]

    def is_passed(self, identifier: bytes, row: int) -> bool:
        """Whether the log was read past this row."""
        return self.passed(np.frombuffer(identifier, np.uint8).reshape(1, 16), [row]) != [None]

    def span(self, frame: Frame) -> tuple[int, int]:
        """The keys, from and up to, of the rows that the log was read past with this frame, the last taken.

        Those before were asked about with the frames before; whoever asked again at each frame would go
        through all labels ever kept that name a row which their request does not have.
        """
        first, last = ((frame.incarnation, frame.stream, place) for place in (self._ends.before, frame.end))
        return of_place(*first), of_place(*last)
