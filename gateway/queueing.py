"""What waits for one version: bounded, the urgent first, and in its order of arrival within a priority.

Rules: an entry whose client has gone, or whose time is up, is never handed out for a run. Beyond the bounds
nothing is taken in, but an urgent entry may have the place of the youngest of the least urgent. One thread
at a time may touch a queue; nothing here waits or runs.
"""

import asyncio
from collections import deque
from collections.abc import Hashable, Iterator
from typing import Final

from gateway.deadlines import LAST, MIDDLE
from gateway.inference import Array, bytes_held

NEVER: Final = float("inf")
_WAY_BACK: Final = 0.05
"""So much of its client's time is an answer on its way, on a machine that is busy at both ends."""


def way_back(time: float) -> float:
    """How many of the seconds that its client gives a request its answer may take to get there."""
    return _WAY_BACK * time


class Waiting:
    """One request that waits for its run; `future` gets its outputs, `began` and `ended` its run's times.

    `deadline` is monotonic, `due` a little before it: then its answer has to be on its way, where others wait
    too. `alike` is equal for requests that may be joined; `alone` says that nothing was before it when it
    came.
    """

    __slots__ = (
        "alike",
        "alone",
        "asked",
        "began",
        "deadline",
        "due",
        "ended",
        "feeds",
        "future",
        "priority",
        "rows",
        "size",
    )

    def __init__(
        self,
        feeds: dict[str, Array],
        rows: int,
        future: "asyncio.Future[list[Array]]",
        asked: float,
        *,
        deadline: float = NEVER,
        priority: int = MIDDLE,
        alike: Hashable = None,
        body: int = 0,
    ) -> None:
        """`body` are the bytes that the inputs were read from, which are kept as long as they are."""
        self.feeds = feeds
        self.rows = rows
        self.future = future
        self.asked = asked
        self.began = asked
        self.ended = asked
        self.deadline = deadline
        self.due = NEVER if deadline == NEVER else deadline - way_back(deadline - asked)
        self.priority = priority
        self.alike = alike
        self.alone = False
        self.size = max(body, bytes_held(feeds.values()))

    def is_late(self, now: float) -> bool:
        """Whether an answer that goes out now comes too late; where others wait too, a little before that."""
        return now > (self.deadline if self.alone else self.due)

    def answer(self, outputs: list[Array]) -> None:
        """Give the outputs to who waits, who goes on before this returns; on the loop, outside of any task.

        asyncio would let them go on in the loop's next turn, before which it reads every socket: a busy loop
        takes as long for that as for a run. Nothing where nobody waits any more. What they raise is told as
        asyncio would, and is nobody else's.
        """
        future = self.future
        if future.done():
            return
        waiting = list(future._callbacks or ())  # noqa: SLF001  asyncio shows them in no other way
        for callback, _ in waiting:
            future.remove_done_callback(callback)
        future.set_result(outputs)
        for callback, context in waiting:
            try:
                context.run(callback, future)
            except Exception as error:  # noqa: BLE001  see above
                said = {"message": f"a callback of {future!r} failed", "exception": error, "future": future}
                future.get_loop().call_exception_handler(said)

    def fail(self, error: BaseException) -> None:
        """Give who waits the error, in the loop's next turn; nothing where nobody waits any more."""
        if not self.future.done():
            self.future.set_exception(error)


class Queue:
    """The entries that wait; `len` counts them, `rows` and `size` (bytes) add them up.

    `kinds` is how many runs they take at least: those that are not alike do not run together.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._levels: list[deque[Waiting]] = [deque() for _ in range(LAST + 1)]
        self._rows = [0] * len(self._levels)
        self._count = 0
        self._alike: dict[Hashable, int] = {}
        self.rows = 0
        self.size = 0

    def __len__(self) -> int:
        return self._count

    @property
    def kinds(self) -> int:
        """How many of those that wait are not alike."""
        return len(self._alike)

    def __iter__(self) -> Iterator[Waiting]:
        for level in self._levels:
            yield from level

    def ahead(self, priority: int) -> tuple[int, int]:
        """(entries, rows) that run before a new one of this priority."""
        return sum(map(len, self._levels[: priority + 1])), sum(self._rows[: priority + 1])

    def has_room(self, size: int = 0, priority: int = LAST) -> bool:
        """Whether an entry of so many bytes may join; one that is more urgent than another always may."""
        if self._count < self._most and (not self._count or self.size + size <= self._most_bytes):
            return True
        return any(self._levels[priority + 1 :])

    def push(self, entry: Waiting) -> list[Waiting]:
        """Take an entry for which there is room, and give back those that lose their place to it."""
        lost = []
        while self._count and (self._count >= self._most or self.size + entry.size > self._most_bytes):
            least = next((level for level in reversed(self._levels[entry.priority + 1 :]) if level), None)
            if least is None:
                break
            lost.append(least.pop())
            self._subtract(lost[-1])
        self._levels[entry.priority].append(entry)
        self._rows[entry.priority] += entry.rows
        self._count += 1
        self._alike[entry.alike] = self._alike.get(entry.alike, 0) + 1
        self.rows += entry.rows
        self.size += entry.size
        return lost

    def sweep(self, now: float, lasts: float) -> list[Waiting]:
        """Remove those whose client has gone, and those that a run of `lasts` seconds would answer too late.

        The latter are returned. An entry that came first of all keeps its place until its deadline is over.
        """
        late: list[Waiting] = []
        for level in self._levels:
            if not level:
                continue
            kept: list[Waiting] = []
            for entry in level:
                if self._stays(entry, now, lasts, late):
                    kept.append(entry)
                else:
                    self._subtract(entry)
            if len(kept) < len(level):
                level.clear()
                level.extend(kept)
        return late

    def take(self, most: int, now: float, lasts: float) -> tuple[list[Waiting], list[Waiting]]:
        """The next entries to run together, and those that `sweep` would return, as far as it came on them.

        The former are the first and those like it, up to `most` rows in all. Costs what it takes, and what
        it passes over because it is unlike.
        """
        taken: list[Waiting] = []
        late: list[Waiting] = []
        rows = 0
        for level in self._levels:
            passed: list[Waiting] = []
            while level and rows < most:
                entry = level.popleft()
                if not self._stays(entry, now, lasts, late):
                    self._subtract(entry)
                elif taken and (entry.alike != taken[0].alike or rows + entry.rows > most):
                    passed.append(entry)
                else:
                    taken.append(entry)
                    self._subtract(entry)
                    rows += entry.rows
            level.extendleft(reversed(passed))
        return taken, late

    def _stays(self, entry: Waiting, now: float, lasts: float, late: list[Waiting]) -> bool:
        if entry.future.done():
            return False
        if now > (entry.deadline if entry.alone else entry.due - lasts):
            late.append(entry)
            return False
        return True

    def _subtract(self, entry: Waiting) -> None:
        self._rows[entry.priority] -= entry.rows
        self._count -= 1
        self._alike[entry.alike] -= 1
        if not self._alike[entry.alike]:
            del self._alike[entry.alike]
        self.rows -= entry.rows
        self.size -= entry.size
