"""Labelled accuracy of one version by river's metrics: over everything, and over the last rows.

Its state is two counts and the bits of the window, from which the metrics are fed again: no pickle. They are
made when somebody wants them, for river loads slowly (`monitor.river_parts`).
"""

from collections import deque
from typing import Any, Final

import msgspec

from groundwork import decoders
from monitor.river_parts import accuracy, rolling_accuracy

WINDOW: Final = 1_000


class _Saved(msgspec.Struct, frozen=True, array_like=True, tag="accuracy-1"):
    """Counts of everything, and the window's bits, oldest first."""

    right: int
    wrong: int
    window: bytes


class LabelAccuracy:
    """How often the labelled predictions of one version were right."""

    def __init__(self) -> None:
        self._bits: deque[int] = deque(maxlen=WINDOW)
        self._metrics: tuple[Any, Any] | None = None
        self.right = 0
        self.wrong = 0

    def update(self, right: bool) -> None:  # noqa: FBT001  one bit of the stream
        """Take in one labelled prediction."""
        overall, rolling = self._fed()
        overall.update(1, int(right))
        rolling.update(1, int(right))
        self._bits.append(right)
        self.right += right
        self.wrong += not right

    @property
    def overall(self) -> float | None:
        """The share of right predictions of all labelled ones; None without any."""
        return float(self._fed()[0].get()) if self.right + self.wrong else None

    @property
    def recent(self) -> float | None:
        """The same over the last WINDOW labelled ones."""
        return float(self._fed()[1].get()) if self._bits else None

    def state(self) -> bytes:
        """Everything `restore` needs."""
        return msgspec.msgpack.encode(_Saved(self.right, self.wrong, bytes(self._bits)))

    def restore(self, state: bytes) -> None:
        """Go on from `state`."""
        saved = decoders.msgpack_of(_Saved).decode(state)
        self._metrics = None
        self.right, self.wrong = saved.right, saved.wrong
        self._bits = deque(saved.window, maxlen=WINDOW)

    def _fed(self) -> tuple[Any, Any]:
        """Both metrics, over everything and over the window, with all that came before."""
        if self._metrics is None:
            overall, rolling = accuracy(), rolling_accuracy(WINDOW)
            if self.right:
                overall.update(1, 1, self.right)
            if self.wrong:
                overall.update(1, 0, self.wrong)
            for bit in self._bits:
                rolling.update(1, bit)
            self._metrics = overall, rolling
        return self._metrics
