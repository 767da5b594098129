"""Tests of groundwork.sweep."""

import asyncio

from groundwork.sweep import Sweep


async def test_the_sweep_looks_again_and_again() -> None:
    """From its beginning to its end it looks at whatever is connected, and calls `first` before that."""
    seen: list[float] = []
    done = asyncio.Event()

    class Seen:
        def look(self, now: float) -> None:
            seen.append(now)
            if len(seen) == 6:
                done.set()

    sweep = Sweep({Seen()}, lambda: seen.append(0.0), seconds=0.001)
    sweep.begin()
    async with asyncio.timeout(30):
        await done.wait()
    sweep.end()
    assert seen[::2] == [0.0] * 3
    assert 0.0 < seen[1] <= seen[3] <= seen[5]
