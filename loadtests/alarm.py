"""Sleep for less than a millisecond on an event loop whose own timers are whole ones.

uvloop's timers are libuv's, which count milliseconds. A sender that sleeps so coarsely wakes to a heap of
requests, sends them at once, and measures how the server queues heaps. Linux has timers that are files
(timerfd_create(2)): nanoseconds, and the loop waits for them like for a socket. Elsewhere the loop's own
timer does.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from typing import Final

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_EIGHT: Final = 8
"""Bytes of the count that a timer which has fired holds."""


class _Times(ctypes.Structure):
    """`struct itimerspec`: the interval (none here), and how long until it fires."""

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("s", ctypes.c_long),
        ("ns", ctypes.c_long),
    )


class Alarm:
    """One sleeper's timer; owned by the loop it is made on. `close` lets the file go."""

    def __init__(self) -> None:
        """Open it; OSError where the system has no file left to give."""
        self._file = -1
        self._times = _Times()
        self._fired: asyncio.Future[None] | None = None
        if hasattr(_LIBC, "timerfd_create"):
            self._file = _LIBC.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
            if self._file < 0:
                raise OSError(ctypes.get_errno(), "no timer to be had")
            asyncio.get_running_loop().add_reader(self._file, self._fire)

    async def sleep(self, nanoseconds: int) -> None:
        """Sleep for so long, one at a time; late by some tens of microseconds."""
        if self._file < 0:
            await asyncio.sleep(nanoseconds / 1e9)
            return
        self._fired = asyncio.get_running_loop().create_future()
        self._times.s, self._times.ns = divmod(max(nanoseconds, 1), 1_000_000_000)  # 0 would never fire
        _LIBC.timerfd_settime(self._file, 0, ctypes.byref(self._times), None)
        await self._fired

    def close(self) -> None:
        """Stop listening; twice does no harm."""
        if self._file >= 0:
            asyncio.get_running_loop().remove_reader(self._file)
            os.close(self._file)
            self._file = -1

    def _fire(self) -> None:
        os.read(self._file, _EIGHT)
        if self._fired is not None and not self._fired.done():
            self._fired.set_result(None)
