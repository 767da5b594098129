"""Facts: what the demo waits for, each with a name, a deadline, and what it rests on.

Rule: the demo never waits for a time it knows; it looks until the fact is there, until it has become
impossible, or until the deadline says that it did not happen. The first that did not happen is named, and
ends the demo.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import httpx
import msgspec

from driftgate.demo.screen import Screen
from driftgate.errors import DemoError

T = TypeVar("T")

LOOK_SECONDS: Final = 0.1


class Fact(msgspec.Struct, frozen=True):
    """Something that happened: at `at` (unix seconds), in the words of `detail`, told by `source`."""

    name: str
    at: float
    detail: str
    source: str


class Impossible(Exception):  # noqa: N818  it says what has become of a fact
    """The fact cannot happen any more; its message says why."""


class Found(msgspec.Struct, frozen=True):
    """A fact that was found: when, its words, and what came with it."""

    at: float
    detail: str
    value: Any = None


Look = Callable[[], Awaitable[Found | str]]
"""A look at the world: the fact, or what there is instead so far."""


class Facts:
    """The facts so far, in order; owned by the demo's event loop."""

    def __init__(self, screen: Screen, check: Callable[[], str | None]) -> None:
        """`check` says why the demo cannot go on at all, or nothing."""
        self.happened: list[Fact] = []
        self._screen = screen
        self._check = check

    def add(self, name: str, source: str, detail: str, at: float | None = None) -> None:
        """A fact that needs no waiting."""
        fact = Fact(name, time.time() if at is None else at, detail, source)
        self.happened.append(fact)
        self._screen.fact(name, detail)

    async def until(self, name: str, source: str, look: Look, *, seconds: float) -> Any:
        """Look until the fact is there; returns what came with it.

        Raises:
            DemoError: it did not happen within `seconds`, or cannot happen any more.
        """
        self._screen.waiting(name)
        deadline = time.monotonic() + seconds
        while True:
            found = await self._look(name, look)
            if isinstance(found, Found):
                self.add(name, source, found.detail, found.at)
                return found.value
            if time.monotonic() > deadline:
                raise DemoError(f"the fact that did not happen: {name} (after {seconds:g} s: {found})")
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self, name: str, look: Look) -> Found | str:
        broken = self._check()
        if broken is not None:
            raise DemoError(f"the fact that did not happen: {name} ({broken})")
        try:
            return await look()
        except Impossible as error:
            raise DemoError(f"the fact that did not happen: {name} ({error})") from None
        except httpx.HTTPStatusError as error:
            return f"{error.response.status_code} of {error.request.url}"
        except httpx.TransportError as error:
            return f"{type(error).__name__} at {error.request.url}"
