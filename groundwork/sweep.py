"""Looking at all connections of a port once a second, so that none needs a timer of its own."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

SWEEP_SECONDS: Final = 1.0


class Sweep:
    """Looks at all connections of a port once a second; owned by the loop it is begun on."""

    def __init__(
        self,
        connections: set[Any],
        first: Callable[[], None] = lambda: None,
        *,
        seconds: float = SWEEP_SECONDS,
    ) -> None:
        """`connections` is uvicorn's live set; `first` is called before each look."""
        self._connections = connections
        self._first = first
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Look from now on."""
        self._timer = self._loop.call_later(self._seconds, self._look)

    def end(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._first()
        now = self._loop.time()
        for connection in list(self._connections):
            connection.look(now)
        self.begin()
