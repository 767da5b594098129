"""What time it is in the log: a pure function of its frames, which one wrong record time cannot move far.

A record time is what the worker's clock said, and clocks are wrong: one row from the next century, a host
that starts thirty days late, a step back. Nothing here reads a clock; two runs over one log agree.

Rules:
1. A frame speaks with the median of its rows' times. Within NEAR of what is believed it moves that forward
   only. Farther away it is believed at once when it has WITNESSES rows, and otherwise when the frame after
   it lies on the same side: one row never moves the time by more than NEAR.
2. Rows whose time lies farther than NEAR from what is believed are taken for having the nearest time that
   does not, and counted.
3. What ends or forgets something goes by *passed* time: it adds up the forward moves, each for at most the
   tenth part of the span that may be ended. A wrong clock therefore ages nothing by more than a tenth, a
   step back ages nothing at all, and a silence counts as one step.
"""

from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from groundwork import decoders

Times = npt.NDArray[np.int64]

NEAR: Final = 3_600 * 10**9
"""An hour in ns: how far apart frames of one log may be."""
WITNESSES: Final = 3
_PART: Final = 10
_LATEST: Final = 2**63 - 1


class _Saved(msgspec.Struct, frozen=True, array_like=True, tag="log-time-1"):
    """The state as it is stored; times in unix ns, 0 before the first frame."""

    now: int = 0
    doubted: int = 0
    kept: int = 0
    used: int = 0


class LogTime:
    """The time of one log, owned by whoever reads it frame by frame."""

    def __init__(self, *, keep_ns: int, idle_ns: int) -> None:
        """`keep_ns` is how long something is kept, `idle_ns` how long something may be unused."""
        self._largest = (keep_ns // _PART, idle_ns // _PART)
        self._state = _Saved()

    @property
    def now(self) -> int:
        """The record time that is believed (unix ns); 0 before the first frame."""
        return self._state.now

    @property
    def kept(self) -> int:
        """Passed time for what is kept: begins at the first frame's time, in steps of a tenth of keep."""
        return self._state.kept

    @property
    def used(self) -> int:
        """Passed time for what may be unused: the same, in steps of a tenth of idle."""
        return self._state.used

    def take(self, times: npt.NDArray[Any]) -> tuple[Times, int]:
        """Move on by one frame's record times; the times to use instead, and how many of them differ."""
        if not len(times):
            return times, 0
        middle = int(np.partition(times, len(times) // 2)[len(times) // 2])
        self._move(middle, len(times))
        now = self._state.now
        held = np.clip(times, now - NEAR, now + NEAR)
        return held, int(np.count_nonzero(held != times))

    def _move(self, middle: int, rows: int) -> None:
        was = self._state
        if not was.now:
            self._state = _Saved(middle, 0, middle, middle)
            return
        step = middle - was.now
        if abs(step) <= NEAR:
            self._go(max(step, 0))
        elif rows >= WITNESSES:
            self._go(step)
        elif was.doubted and (was.doubted > was.now) == (step > 0):
            # Two of one mind: the one nearer to what was believed is believed now.
            self._go(min(step, was.doubted - was.now, key=abs))
        else:
            self._state = msgspec.structs.replace(was, doubted=middle)

    def _go(self, step: int) -> None:
        was = self._state
        kept, used = (min(max(step, 0), most) for most in self._largest)
        # A log that begins at the end of time must not pass it: what is kept there has to be stored.
        self._state = _Saved(was.now + step, 0, min(was.kept + kept, _LATEST), min(was.used + used, _LATEST))

    def state(self) -> bytes:
        """Everything `restore` needs."""
        return msgspec.msgpack.encode(self._state)

    def restore(self, state: bytes) -> None:
        """Go on from `state`."""
        self._state = decoders.msgpack_of(_Saved).decode(state)


def later(before: int, now: int) -> int:
    """The later of two times, unless the clock was set back by more than NEAR since `before`."""
    return now if before - now > NEAR else max(before, now)
