"""The worker's end of the line to its supervisor: when to leave, and asking on behalf of an operator.

One thread reads, because a loop that no longer turns must still notice that its supervisor is gone; it
touches nothing of the loop but by `call_soon_threadsafe`.
"""

import asyncio
import contextlib
import itertools
import os
import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from gateway.order import Ask, Verb, Word, encode
from gateway.quarantine import Barred
from gateway.reload import RestartError
from groundwork import decoders
from groundwork.errors import DriftgateError, SettingsError

PATIENCE_SECONDS: Final = 90.0
_BLOCK: Final = 65536


class BusyError(DriftgateError):
    """The supervisor is doing that, or something that excludes it, already."""

    code = "busy"


class SupervisorError(DriftgateError):
    """The supervisor could not do it, or does not answer."""

    code = "supervisor"


_REFUSALS: Final[Mapping[str, type[DriftgateError]]] = MappingProxyType(
    {kind.code: kind for kind in (BusyError, RestartError, SettingsError, SupervisorError)}
)


class Line:
    """One worker's line; owned by its loop.

    `leaving`: the whole gateway stops, so readiness fails and all else goes on. `parting`: take no more
    connections, finish, end. Either may come alone.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Word]] = {}
        self.leaving = asyncio.Event()
        self.parting = asyncio.Event()
        self.bar: Callable[[tuple[Barred, ...]], object] = lambda _barred: None
        """Called on the loop with what is not to be loaded from now on."""
        self._any = asyncio.Event()

    def listen(self, gone: Callable[[], None]) -> None:
        """Begin to read, in a daemon thread; `gone` is called there when the supervisor is no more."""
        threading.Thread(target=self._read, args=(gone,), name="supervisor-line", daemon=True).start()

    def leave(self) -> None:
        """Begin to leave: on the loop."""
        self.leaving.set()
        self._any.set()

    def part(self) -> None:
        """End soon: on the loop."""
        self.parting.set()
        self._any.set()

    def abandon(self) -> None:
        """The supervisor is gone and closes no door: leave and part at once; the next one wants the ports."""
        self.leave()
        self.part()

    def abandon_soon(self) -> None:
        """The same from any thread; nothing where the loop has ended already."""
        self._call_soon(self.abandon)

    async def end(self) -> None:
        """Wait until one or the other is wanted."""
        await self._any.wait()

    async def ask(self, verb: Verb, who: str = "") -> Any:
        """Ask the supervisor; its answer.

        BusyError, RestartError, SettingsError as it says; SupervisorError for what else it cannot do. A
        reload may take longer than this worker lives: when it must end, who asked hears that it waits.
        """
        number = next(self._numbers)
        waiter: asyncio.Future[Word] = self._loop.create_future()
        self._asked[number] = waiter
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                os.write(self._descriptor, encode(Ask(number, verb, who[:200])))
                if verb == "reload":
                    await self._done_or_parting(waiter)
                    if not waiter.done():
                        return {"changed": [], "waits": True}  # as `gateway.renewal.Reloaded`
                word = await waiter
        except OSError as error:  # a TimeoutError is one too, and says nothing of the system's
            why = error.strerror or "it does not answer"
            raise SupervisorError(f"{verb}: the supervisor was asked, but {why}; ask again") from error
        finally:
            del self._asked[number]
        if word.error:
            raise _REFUSALS.get(word.code, SupervisorError)(word.error)
        return word.answer

    async def _done_or_parting(self, waiter: asyncio.Future[Word]) -> None:
        parting = asyncio.ensure_future(self.parting.wait())
        try:
            await asyncio.wait((waiter, parting), return_when=asyncio.FIRST_COMPLETED)
        finally:
            parting.cancel()

    def _read(self, gone: Callable[[], None]) -> None:
        kept = b""
        try:
            while block := os.read(self._descriptor, _BLOCK):
                *lines, kept = (kept + block).split(b"\n")
                for line in lines:
                    word = decoders.json_of(Word).decode(line)
                    self._call_soon(self._heard, word)
        except (OSError, msgspec.DecodeError):
            pass  # a supervisor that says nothing that can be read is as good as gone
        gone()

    def _call_soon(self, what: Callable[..., object], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: there is nobody to be told
            self._loop.call_soon_threadsafe(what, *arguments)

    def _heard(self, word: Word) -> None:
        if word.kind == "leave":
            self.leave()
            return
        if word.kind == "part":
            self.part()
            return
        if word.kind == "bar":
            self.bar(word.barred)
            return
        waiter = self._asked.get(word.number)
        if waiter is not None and not waiter.done():
            waiter.set_result(word)
