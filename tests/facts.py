"""Waiting for facts that set no event: files, other processes, threads. With a deadline, always."""

import asyncio
from collections.abc import Callable
from typing import Final

DEADLINE: Final = 60.0
"""So long that only what never happens takes it, also on a machine with other work."""
_SOON: Final = 0.01


async def until(fact: Callable[[], bool], what: str, seconds: float = DEADLINE) -> None:
    """Wait until a fact holds; AssertionError naming it when it does not in time."""
    try:
        async with asyncio.timeout(seconds):
            while not fact():  # noqa: ASYNC110  what is waited for sets no event
                await asyncio.sleep(_SOON)
    except TimeoutError:
        raise AssertionError(f"within {seconds} s it did not happen that {what}") from None
