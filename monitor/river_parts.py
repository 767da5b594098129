"""The parts of river that the monitor uses, loaded when a labelled row first wants them.

river brings scipy with it: half a second of a processor and 60 MB, of which a start, and a monitor that is
never told how its predictions turned out, need nothing. Only this file imports river.
"""

from typing import Any


def adwin(delta: float) -> Any:
    """A new ADWIN at this confidence."""
    from river.drift import ADWIN  # noqa: PLC0415  see above

    return ADWIN(delta=delta)  # type: ignore[no-untyped-call]  # river has no types here


def accuracy() -> Any:
    """A new Accuracy, over everything."""
    from river.metrics import Accuracy  # noqa: PLC0415  see above

    return Accuracy()  # type: ignore[no-untyped-call]  # river has no types here


def rolling_accuracy(window: int) -> Any:
    """A new Accuracy over the last `window` updates."""
    from river.metrics import Accuracy  # noqa: PLC0415  see above
    from river.utils import Rolling  # noqa: PLC0415  see above

    return Rolling(Accuracy, window_size=window)
