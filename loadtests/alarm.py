"""Sleep for less than a millisecond on an event loop whose own timers are whole ones.

uvloop's timers are libuv's, which count milliseconds. A sender that sleeps so coarsely wakes to a heap of
requests, sends them at once, and measures how the server queues heaps; one that turns round and round instead
keeps a processor from what it measures. Linux has timers that are files (timerfd_create(2)): nanoseconds,
and the loop waits for them as for a socket. Elsewhere the loop's own timer does.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import struct
import time
from types import TracebackType
from typing import Final, Self

_ABSOLUTE: Final = 1  # TFD_TIMER_ABSTIME
_SECOND_NS: Final = 1_000_000_000
_SPEC: Final = struct.Struct("@4l")
"""An itimerspec: no interval, then seconds and ns."""
_COUNT: Final = 8
"""Bytes that are to be read of a timer that has rung."""


class Alarm:
    """A timer that the running loop waits for; for one who waits."""

    def __init__(self) -> None:
        """OSError where the kernel gives none."""
        self._library = ctypes.CDLL(None, use_errno=True)
        self._rung: asyncio.Future[None] | None = None
        self._file = -1
        if hasattr(self._library, "timerfd_create"):
            self._file = self._library.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
            if self._file < 0:
                raise OSError(ctypes.get_errno(), "no timer")

    def __enter__(self) -> Self:
        if self._file >= 0:
            asyncio.get_running_loop().add_reader(self._file, self._ring)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file >= 0:
            asyncio.get_running_loop().remove_reader(self._file)
            os.close(self._file)

    async def until(self, at: int) -> None:
        """Sleep until then (ns of `time.perf_counter_ns`); returns at once where that is past.

        Some 40 µs late on Linux, up to a millisecond early or late elsewhere: look at the time again.
        """
        if self._file < 0:
            await asyncio.sleep(max(at - time.perf_counter_ns(), 0) / _SECOND_NS)
            return
        self._rung = asyncio.get_running_loop().create_future()
        spec = _SPEC.pack(0, 0, *divmod(max(at, 1), _SECOND_NS))
        if self._library.timerfd_settime(self._file, _ABSOLUTE, spec, None):
            raise OSError(ctypes.get_errno(), "the timer is not set")
        await self._rung

    def _ring(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._file, _COUNT)
            if self._rung is not None and not self._rung.done():
                self._rung.set_result(None)
