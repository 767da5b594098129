"""The bytes of models in one worker: counted before they are loaded, and who leaves when there is no room.

What a version counts for is the size of its model file. onnxruntime holds about that much once a graph is
loaded (1.02 to 1.07 times for graphs of 25 to 60 MB, docs/performance.md), and up to as much again while it
loads; a small graph holds more than its file, but little.

Rules: room is taken before a graph is opened and given back when it is closed; whoever wants room waits for
those who are leaving, and nobody leaves who was asked a moment ago. It loads and releases nothing.
"""

import asyncio
from collections.abc import Callable, Iterable

import msgspec

from gateway.errors import LoadError, OverBudgetError


class Resident(msgspec.Struct, frozen=True):
    """Versions of one model that can leave together; `used` is when a request last used them (unix ns).

    `whole` says that these are all that answers the model, which then is loaded again on demand.
    """

    model: str
    versions: tuple[str, ...]
    size: int
    used: int
    whole: bool


def leavers(residents: Iterable[Resident], wanted: int, used_before: int) -> list[Resident] | None:
    """Those used longest ago that hold `wanted` bytes together; None where not enough may leave.

    Whoever was used at `used_before` or later stays.
    """
    chosen: list[Resident] = []
    for resident in sorted(residents, key=lambda resident: resident.used):
        if wanted <= 0 or resident.used >= used_before:
            break
        chosen.append(resident)
        wanted -= resident.size
    return chosen if wanted <= 0 else None


class Budget:
    """What is held of `limit` bytes (0: no limit); used on one event loop.

    `patience` is how many seconds a taker waits for those who are leaving.
    """

    def __init__(self, limit: int, patience: float) -> None:
        self.held = 0
        self._limit = limit
        self._patience = patience
        self._leaving = 0
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()

    async def take(self, size: int, free: Callable[[int], bool], *, title: str) -> None:
        """Have room for `size` bytes; `free` begins to let that many go, or says that it cannot.

        Raises:
            LoadError: there never will be, for it is more than the limit.
            OverBudgetError: there is none, and not enough may leave.
        """
        if not self._limit:
            self.held += size
            return
        if size > self._limit:
            raise LoadError(
                f"{title}: its file has {size} bytes, which is more than a worker may hold of all models "
                f"together: raise runs.max_bytes ({self._limit})"
            )
        try:
            async with asyncio.timeout(self._patience), self._turn:
                while self.held + size > self._limit:
                    missing = self.held - self._leaving + size - self._limit
                    if missing > 0 and not free(missing):
                        raise self._over(size, title)
                    self._changed.clear()
                    await self._changed.wait()
                self.held += size
        except TimeoutError:
            raise self._over(size, title) from None

    def leave(self, size: int) -> None:
        """So many bytes are about to be given back."""
        self._leaving += size
        self._changed.set()

    def give(self, size: int, *, left: bool = True) -> None:
        """So many bytes are free again; `left` says that `leave` announced them."""
        self.held -= size
        self._leaving -= size if left else 0
        self._changed.set()

    def _over(self, size: int, title: str) -> OverBudgetError:
        return OverBudgetError(
            f"{title}: wanted {size} bytes beside the {self.held} that are held of runs.max_bytes "
            f"({self._limit}), and nothing else may leave now; try again later, or raise runs.max_bytes"
        )
