"""What the log says it has lost: counted by its reason, and only as far as it had not been read before."""

from monitor import metrics
from monitor.reach import Reach
from prediction_log import damage
from prediction_log.errors import LogError
from prediction_log.frame import Frame
from prediction_log.reading import RETENTION
from prediction_log.record import Kind
from prediction_log.transport import START, Offset


class Losses:
    """The frames of kind LOSS, told to what knows how far was read."""

    def __init__(self, reach: Reach, tally: metrics.Tally) -> None:
        self._reach = reach
        self._tally = tally

    def take(self, frame: Frame) -> None:
        """Count what one frame tells of."""
        reasons = frame.strings("reason").tolist()
        kinds = frame.array("kind").tolist()
        uptos = frame.strings("upto").tolist()
        for kind, count, reason, upto in zip(
            kinds, frame.array("count").tolist(), reasons, uptos, strict=True
        ):
            if reason == RETENTION:
                self._dropped(upto, count)
                continue
            name = Kind(kind).name.lower() if kind in set(Kind) else "unknown"
            told = reason.decode("ascii", errors="replace")
            if reason in damage.REASONS:
                gone = self._reach.damaged(_place(upto).segment, count)
                self._tally.add(metrics.DROPPED, gone.read, read="yes")
                count = gone.unread  # noqa: PLW2901  what was read before was not lost here
            self._tally.add(metrics.LOST, count, model="", version="", kind=name, reason=told)

    def _dropped(self, upto: bytes, count: int) -> None:
        """Rows that the log's limits dropped: a loss only as far as they were not read."""
        place = _place(upto)
        if place == START:
            self._tally.add(metrics.BAD_FRAMES, 1, reason="a retention without its offset")
            return
        gone = self._reach.dropped(place, count)
        self._tally.add(metrics.DROPPED, gone.read, read="yes")
        self._tally.add(metrics.DROPPED, gone.unread, read="no")


def _place(upto: bytes) -> Offset:
    """The offset that a loss names; the start where it names none."""
    try:
        return Offset.parse(upto.decode("ascii", errors="replace"))
    except LogError:
        return START
