"""The supervisor's care for optimised copies: it has those that workers want made, one after the other.

Each is made by a process of its own (`gateway.rewriting`), once there is memory for it, and is ended with the
supervisor. A process that dies of its graph leaves a record that says so, and is not started again for it.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from gateway import optimised
from gateway.child import environment
from gateway.optimised import Copy
from gateway.repeating import again
from groundwork.cgroups import spare_memory
from groundwork.errors import DriftgateError
from groundwork.logs import Log

REWRITING: Final = (sys.executable, "-P", "-m", "gateway.rewriting")
LOOK_SECONDS: Final = 5.0
MOST_SECONDS: Final = 600.0
_AT_LEAST: Final = 512 << 20
_TIMES: Final = 8
"""As much memory as this many times the published graph has to be to spare."""
_SHARE: Final = 0.75
"""So much of the memory that is to spare may be taken."""


class Rewriter:
    """Has copies made; owned by the supervisor's loop."""

    def __init__(
        self,
        cache: Path,
        log: Log,
        *,
        command: Sequence[str] = REWRITING,
        spare: Callable[[], int] = spare_memory,
    ) -> None:
        self._cache = cache
        self._log = log
        self._command = command
        self._spare = spare
        self._waiting: set[str] = set()

    async def run(self) -> None:
        """Look again and again until cancelled."""
        await again(self.look, LOOK_SECONDS, self._log)

    async def look(self) -> None:
        """Have every copy made that is wanted, and for which there is room."""
        for name, copy in await asyncio.to_thread(lambda: list(optimised.wanted(self._cache))):
            try:
                await self._attempt(name, copy)
            except (DriftgateError, OSError) as error:
                self._wait(name, copy, str(error))

    async def _attempt(self, name: str, copy: Copy) -> None:
        needed, spare = max(_AT_LEAST, _TIMES * copy.size), self._spare()
        if spare < needed:
            self._wait(name, copy, f"wanted {needed} bytes of memory to spare, found {spare}")
            return
        optimised.write(self._cache, name, msgspec.structs.replace(copy, state="tried"))
        try:
            code = await self._made(name, int(_SHARE * spare))
        except BaseException:  # a stop, or no process to be had, is not its fault: it may be tried again
            optimised.write(self._cache, name, copy)
            raise
        found = optimised.read(self._cache, name)
        if found is None or found.state == "tried":
            self._end(name, copy, f"the process that rewrites it ended with exit code {code}")
        elif found.state == "left":
            self._end(name, found, found.reason)
        else:
            self._log.info(
                "graph-optimised",
                model=found.model,
                version=found.version,
                before_seconds=round(found.before, 3),
                after_seconds=round(found.after, 3),
            )

    async def _made(self, name: str, most: int) -> int:
        """Start the process and wait for it, not for ever; its exit code (minus the signal)."""
        process = await asyncio.create_subprocess_exec(
            *self._command,
            str(self._cache),
            name,
            str(most),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            process_group=0,
            env=environment(os.environ),
        )
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(MOST_SECONDS):
                    await process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            code = await process.wait()
        return code

    def _wait(self, name: str, copy: Copy, reason: str) -> None:
        """Say once that it cannot be made now."""
        if name not in self._waiting:
            self._waiting.add(name)
            self._log.info(
                "graph-not-optimised",
                model=copy.model,
                version=copy.version,
                reason=f"{reason}; looked at again",
            )

    def _end(self, name: str, copy: Copy, reason: str) -> None:
        optimised.write(self._cache, name, msgspec.structs.replace(copy, state="left", reason=reason))
        self._log.info("graph-not-optimised", model=copy.model, version=copy.version, reason=reason)
