"""Labelled accuracy of one version by river's metrics: over everything, and over the last rows.

Its state is two counts and the bits of the window, from which the metrics are fed again: no pickle.
"""

from collections import deque
from typing import Any, Final

import msgspec
from river.metrics import Accuracy
from river.utils import Rolling

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
        self._overall: Any = Accuracy()  # type: ignore[no-untyped-call]  # river has no types here
        self._rolling: Any = Rolling(Accuracy, window_size=WINDOW)
        self.right = 0
        self.wrong = 0

    def update(self, right: bool) -> None:  # noqa: FBT001  one bit of the stream
        """Take in one labelled prediction."""
        self._bits.append(right)
        self._overall.update(1, int(right))
        self._rolling.update(1, int(right))
        self.right += right
        self.wrong += not right

    @property
    def overall(self) -> float | None:
        """The share of right predictions of all labelled ones; None without any."""
        return float(self._overall.get()) if self.right + self.wrong else None

    @property
    def recent(self) -> float | None:
        """The same over the last WINDOW labelled ones."""
        return float(self._rolling.get()) if self._bits else None

    def state(self) -> bytes:
        """Everything `restore` needs."""
        return msgspec.msgpack.encode(_Saved(self.right, self.wrong, bytes(self._bits)))

    def restore(self, state: bytes) -> None:
        """Go on from `state`."""
        saved = msgspec.msgpack.decode(state, type=_Saved)
        self.__init__()  # type: ignore[misc]  # every field starts anew
        self.right, self.wrong = saved.right, saved.wrong
        if saved.right:
            self._overall.update(1, 1, saved.right)
        if saved.wrong:
            self._overall.update(1, 0, saved.wrong)
        for bit in saved.window:
            self._bits.append(bit)
            self._rolling.update(1, bit)
