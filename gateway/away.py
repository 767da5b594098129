"""A request whose run is off the loop: await it for its answer, or be told when the run has ended.

An edge that only writes the answer has itself told (`tell`, then `end`): no task waits, and nothing is woken
but the edge. All others await. Take the request back by cancelling whoever awaits, or with `cancel`: what has
not begun to run is then not run.

It knows what to ask of a core, and neither how that answers nor what an edge is.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Protocol

from gateway.call import Work
from gateway.queueing import Waiting
from gateway.responses import Response
from groundwork.errors import DriftgateError


class Settling(Protocol):
    """The part of a core that an ended run is given to."""

    def settle(self, work: Work, entry: Waiting) -> Response | Awaitable[Response]:
        """The answer to a request whose run has ended."""
        ...

    def taken_back(self, work: Work) -> None:
        """Count a request that nobody waits for any more."""
        ...


class Away:
    """One such request; either awaited once, or told of once."""

    __slots__ = ("_core", "_entry", "_held", "_work")

    def __init__(self, core: Settling, work: Work, entry: Waiting) -> None:
        self._core = core
        self._work = work
        self._entry = entry
        self._held = work.held()

    def __await__(self) -> Generator[Any, None, Response]:
        """Wait for the run, and for what follows from it."""
        return self._wait().__await__()

    def tell(self, ended: Callable[[object], None]) -> None:
        """Have `ended` called once, with whatever, when `end` may be; what may answer is held until then."""
        self._hold()
        self._entry.future.add_done_callback(ended)

    def cancel(self) -> None:
        """Take the request back; `ended` is called nevertheless."""
        self._entry.future.cancel()

    def end(self) -> Response | Awaitable[Response] | None:
        """The answer, or what it still takes; None where the request was taken back. After `tell`, once."""
        try:
            if not self._entry.future.cancelled():
                return self._core.settle(self._work, self._entry)
            self._core.taken_back(self._work)
            return None
        finally:
            self._let_go()

    async def _wait(self) -> Response:
        work = self._work
        self._hold()
        try:
            try:
                with contextlib.suppress(DriftgateError):  # `settle` tells it
                    await self._entry.future
            except asyncio.CancelledError:
                self._core.taken_back(work)
                raise
            answer = self._core.settle(work, self._entry)
            return answer if isinstance(answer, Response) else await answer
        finally:
            self._let_go()

    def _hold(self) -> None:
        for one in self._held:
            one.hold()

    def _let_go(self) -> None:
        for one in self._held:
            one.let_go()
