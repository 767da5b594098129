"""Bring what the slot's row files hold into the prediction log, in the background.

Every flush interval, sooner when a buffer is half full, hardly ever while there is nothing: the buffers of
every row file are swapped on the loop (so that no row is being copied meanwhile), then one thread turns the
filled ones into frames and writes all of them in one transaction; only then are they given free. When the
log cannot be written the frames stay where they are and the write is tried again with growing waits, which
full buffers do not cut short; rows are lost only when the other buffer fills as well, and the row files count
them.

Who must not go on before its rows are in the log waits in `committed`; then the next flush begins at once,
and one transaction serves everybody who waits.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from gateway.metrics import FLUSH, LOG_ACCEPTED, LOG_FLUSH_FAILURES, LOG_SPOOLED, LOG_WAITING
from groundwork.counters import Counters
from groundwork.errors import DriftgateError
from groundwork.logs import Log
from groundwork.metrics import Histogram
from prediction_log.record import Kind
from prediction_log.transport import Sink
from prediction_log.validation import read_head

LONGEST_WAIT_SECONDS: Final = 5.0
LAST_TRIES: Final = 3
IDLE_SECONDS: Final = 1.0
"""Between two flushes while there is nothing to flush, whatever anybody sees of new rows."""
_MICROSECONDS: Final = 1e6
_MOST_DOUBLINGS: Final = 16
_KINDS: Final = frozenset(int(kind) for kind in Kind)


class Rows(Protocol):
    """A stream's two buffers; see `prediction_log.rows.RowFile`."""

    @property
    def full_enough(self) -> bool:
        """Whether the buffer being filled is half full."""
        ...

    @property
    def empty(self) -> bool:
        """Whether nothing is here for a flush."""
        ...

    @property
    def waits(self) -> bool:
        """Whether rows wait behind a buffer that was handed over before."""
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
        self._written: deque[bytes] = deque()  # filled by the thread
        self.after: Callable[[Sequence[bytes]], None] | None = None
        """Called on the loop after each flush with the frames that it wrote; none where it failed.

        What it raises harms no flush.
        """
        self._waiting: list[asyncio.Future[bool]] = []
        self.idle = False
        """Whether the last flush found nothing, and no row has been seen since."""
        self._failed = counters.series(LOG_FLUSH_FAILURES, {})
        self._observe = Histogram(counters, FLUSH, {}).observe
        self._kinds = [_kind_series(counters, kind.name.lower()) for kind in Kind]

    async def committed(self) -> bool:
        """Wait until every row appended so far is in the log; False where a flush has failed.

        What `sink.write` promises holds when this returns: a durable sink's rows are on the disk.
        """
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        self._wake.set()
        return await waiter

    def look(self) -> None:
        """Flush soon when a buffer is half full, or after a silence; a few hundred nanoseconds per file."""
        if self._failures:
            return  # it waits for the disk, not for rows
        files = self._files()
        if self.idle and not all(rows.empty for rows in files):
            self.idle = False
            self._wake.set()
        elif any(rows.full_enough for rows in files):
            self._wake.set()

    def hurry(self) -> None:
        """Flush now, unless the log cannot be written: then it waits for the disk, not for rows."""
        if not self._failures:
            self._wake.set()

    async def run(self) -> None:
        """Flush again and again until `close`; while nothing comes, `look` is what wakes it."""
        while not self._stopping:
            await self._pause(self._wait())
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
            while done and any(rows.waits for rows in self._files()):
                done = await self.flush()
            if done:
                break
        await asyncio.to_thread(self._thread.shutdown)
        return done

    async def flush(self) -> bool:
        """One flush; whether the log could be written. Never raises for what the disk does."""
        files = list(self._files())
        waiting, self._waiting = self._waiting, []
        for rows in files:
            rows.swap()
        # A buffer that was full already kept the other one from being handed over: that takes one flush more.
        unready = any(rows.waits for rows in files)
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            # An idle worker wakes no thread: that would be most of what it costs.
            self.idle = all(rows.empty for rows in files)
            if not self.idle and await loop.run_in_executor(self._thread, self._spool, files):
                self._observe(round((loop.time() - began) * _MICROSECONDS))
        except (DriftgateError, OSError) as error:
            self._failures += 1
            self._counters.values[self._failed] += 1
            if self._failures.bit_count() == 1:  # the 1st, 2nd, 4th, 8th …: told, but not over and over
                self._log.warning("log-not-written", times=self._failures, fault=error)
            _settle(waiting, done=False)
            return False
        except BaseException:
            _settle(waiting, done=False)
            raise
        finally:
            self._tell_waiting()
            self._hand_on()
        self._failures = 0
        if unready:
            self._waiting = waiting + self._waiting
        else:
            _settle(waiting, done=True)
        if self._waiting:
            self._wake.set()
        return True

    def _spool(self, files: Sequence[Rows]) -> bool:
        """Write what was handed over; whether there was anything."""
        filled = [(rows, frame) for rows in files if (frame := rows.take()) is not None]
        if not filled:
            return False
        self._sink.write([frame for _, frame in filled])
        if self.after is not None:  # before a file looks empty
            self._written.extend([frame for _, frame in filled])
        for rows, frame in filled:
            rows.release()
            self._count(frame)
        return True

    def _hand_on(self) -> None:
        """Once each, for they are in the log once: after a flush that was cut the next one does it."""
        if self.after is None:
            return
        try:
            self.after([self._written.popleft() for _ in range(len(self._written))])
        except Exception as error:  # noqa: BLE001  who follows the log is no reason for it to stand still
            self._log.error("log-not-followed", fault=error)

    def _tell_waiting(self) -> None:
        """How many rows are in the slot and not in a segment; on the loop, like what counts them."""
        values = self._counters.values
        for accepted, spooled, waiting in self._kinds:
            values[waiting] = max(0, values[accepted] - values[spooled])

    def _count(self, frame: bytes) -> None:
        head = read_head(memoryview(frame))
        kind = Kind(head.kind).name.lower() if head.kind in _KINDS else str(head.kind)
        self._counters.values[self._counters.series(LOG_SPOOLED, {"kind": kind})] += head.rows

    def _wait(self) -> float:
        """Seconds until the next flush, if nothing wakes it."""
        if self._failures:
            return min(LONGEST_WAIT_SECONDS, self._interval * 2.0 ** min(self._failures, _MOST_DOUBLINGS))
        return max(self._interval, IDLE_SECONDS) if self.idle else self._interval

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        finally:
            self._wake.clear()


def _kind_series(counters: Counters, kind: str) -> tuple[int, int, int]:
    """Where rows of a kind are counted: accepted, spooled, and the difference."""
    labels = {"kind": kind}
    return (
        counters.series(LOG_ACCEPTED, labels),
        counters.series(LOG_SPOOLED, labels),
        counters.series(LOG_WAITING, labels, kind="gauge"),
    )


def _settle(waiting: Sequence[asyncio.Future[bool]], *, done: bool) -> None:
    for waiter in waiting:
        if not waiter.done():
            waiter.set_result(done)
