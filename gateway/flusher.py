"""Bring what the slot's row files hold into the prediction log, in the background.

Every flush interval, or sooner when a buffer is half full: the buffers of every row file are swapped on the
loop (so that no row is being copied meanwhile), then one thread turns the filled ones into frames and writes
all of them in one transaction; only then are they given free. When the log cannot be written the frames stay
where they are and the write is tried again with growing waits; rows are lost only when the other buffer fills
as well, and the row files count them.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from gateway.metrics import LOG_SPOOLED
from groundwork.counters import Counters
from groundwork.errors import DriftgateError
from groundwork.logs import Log
from prediction_log.record import Kind
from prediction_log.transport import Sink
from prediction_log.validation import read_head

LONGEST_WAIT_SECONDS: Final = 5.0
LAST_TRIES: Final = 3
_KINDS: Final = frozenset(int(kind) for kind in Kind)


class Rows(Protocol):
    """A stream's two buffers; see `prediction_log.rows.RowFile`."""

    @property
    def full_enough(self) -> bool:
        """Whether the buffer being filled is half full."""
        ...

    def swap(self) -> bool:
        """Begin to fill the other buffer; on the loop."""
        ...

    def take(self) -> bytes | None:
        """The filled buffer as a frame; from a thread."""
        ...

    def release(self) -> None:
        """The frame is in the log: its buffer is free."""
        ...


class Flusher:
    """Writes the log of one worker; owned by its loop, with one thread of its own."""

    def __init__(
        self,
        files: Callable[[], Sequence[Rows]],
        sink: Sink,
        counters: Counters,
        interval: float,
        log: Log,
    ) -> None:
        self._files = files
        self._sink = sink
        self._counters = counters
        self._interval = interval
        self._log = log
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="flusher")
        self._wake = asyncio.Event()
        self._stopping = False
        self._failures = 0

    def look(self) -> None:
        """Flush soon when a buffer is half full; a few hundred nanoseconds per file."""
        if any(rows.full_enough for rows in self._files()):
            self._wake.set()

    async def run(self) -> None:
        """Flush again and again until `close`."""
        while not self._stopping:
            wait = self._interval
            if self._failures:
                wait = min(LONGEST_WAIT_SECONDS, self._interval * float(2**self._failures))
            await self._pause(wait)
            if not self._stopping:
                await self.flush()

    async def close(self) -> bool:
        """Flush what is left and stop; False when the log could not be written. The sink is the caller's.

        Harmless when repeated.
        """
        if self._stopping:
            return True
        self._stopping = True
        self._wake.set()
        done = False
        for _ in range(LAST_TRIES):
            # Twice: a buffer that was full and waiting may have kept the other one from being swapped.
            done = await self.flush() and await self.flush()
            if done:
                break
        await asyncio.to_thread(self._thread.shutdown)
        return done

    async def flush(self) -> bool:
        """One flush; whether the log could be written. Never raises for what the disk does."""
        files = list(self._files())
        for rows in files:
            rows.swap()
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._spool, files)
        except (DriftgateError, OSError) as error:
            self._failures += 1
            self._log.warning("log-not-written", times=self._failures, fault=error)
            return False
        self._failures = 0
        return True

    def _spool(self, files: Sequence[Rows]) -> None:
        filled = [(rows, frame) for rows in files if (frame := rows.take()) is not None]
        if not filled:
            return
        self._sink.write([frame for _, frame in filled])
        for rows, frame in filled:
            rows.release()
            self._count(frame)

    def _count(self, frame: bytes) -> None:
        head = read_head(memoryview(frame))
        kind = Kind(head.kind).name.lower() if head.kind in _KINDS else str(head.kind)
        self._counters.values[self._counters.series(LOG_SPOOLED, {"kind": kind})] += head.rows

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        finally:
            self._wake.clear()
