"""Arrivals that are punctual to microseconds and leave the processor to others meanwhile; Linux only.

The loop's own timers are whole milliseconds. Who turns round and round instead until a request is due keeps
a processor busy all of the time, and what is measured beside it then shares the other one: its threads wait
for turns of the kernel's tick, which is most of what such a measurement sees in the 99th percentile.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import struct
import time
from types import TracebackType
from typing import Final, Self, TypeVar

from loadtests.arrivals import Arrivals, Counts

_ABSOLUTE: Final = 1  # TFD_TIMER_ABSTIME
_SECOND_NS: Final = 1_000_000_000
_SPEC: Final = struct.Struct("@4l")
"""An itimerspec: no interval, then seconds and ns."""

C = TypeVar("C", bound=Counts)


class Alarm:
    """A timer of the kernel (timerfd_create(2)) that the running loop waits for; for one who waits."""

    def __init__(self) -> None:
        """OSError where the kernel gives none."""
        self._library = ctypes.CDLL(None, use_errno=True)
        self._rung: asyncio.Future[None] | None = None
        self._file = self._library.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._file < 0:
            raise OSError(ctypes.get_errno(), "no timer")

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._file, self._ring)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._file)
        os.close(self._file)

    async def until(self, at: int) -> None:
        """Sleep until then (ns of `time.perf_counter_ns`); returns at once where that is past."""
        self._rung = asyncio.get_running_loop().create_future()
        spec = _SPEC.pack(0, 0, *divmod(max(at, 1), _SECOND_NS))
        if self._library.timerfd_settime(self._file, _ABSOLUTE, spec, None):
            raise OSError(ctypes.get_errno(), "the timer is not set")
        await self._rung

    def _ring(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._file, 8)
            if self._rung is not None and not self._rung.done():
                self._rung.set_result(None)


class Punctual(Arrivals[C]):
    """As Arrivals; `grain` means nothing here."""

    async def _run(self, seconds: float, at: int, patience: float) -> None:
        with Alarm() as self._alarm:
            await super()._run(seconds, at, patience)

    async def _sleep(self, due: int, _pause: int) -> None:
        await self._alarm.until(due)
