"""Starting and keeping child programs: the gateway and the monitor of `up`, and everything of the demo.

Rules: a child has a process group of its own, so that a Ctrl-C reaches us alone and we stop children in
order; it is tied to us (`driftgate.tether`); our own modules are started with `-P`, so that files of the
working folder are never taken for them. A ready file is written by the child, whole, when it answers.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from driftgate.errors import ProgramError
from gateway.causes import described

POLL_SECONDS: Final = 0.02
# numpy's libraries start a thread for each processor of the host when they are loaded, which none here wants.
_ONE_THREAD: Final = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def module_command(module: str, *arguments: str) -> list[str]:
    """The command line that runs a module of ours as a program that ends with us."""
    return [sys.executable, "-P", "-m", "driftgate.tether", str(os.getpid()), module, *arguments]


class Program:
    """One child process; owned by whoever started it."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environ: Mapping[str, str] | None = None,
        output: IO[bytes] | int | None = None,
    ) -> None:
        """`output` takes stdout and stderr together; None lets them go where ours go."""
        self.name = name
        self._command = command
        given = os.environ if environ is None else environ
        self._environ = {**_ONE_THREAD, **given, "PYTHONSAFEPATH": "1"}
        self._output = output
        self._process: asyncio.subprocess.Process | None = None
        self._answered = False

    @property
    def pid(self) -> int:
        """The child's process number; 0 before it is started."""
        return self._process.pid if self._process else 0

    @property
    def code(self) -> int | None:
        """The exit code, or None while it runs (or was never started)."""
        return self._process.returncode if self._process else None

    async def start(self, stdin: int = asyncio.subprocess.DEVNULL) -> None:
        """Start it; does not wait until it answers."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=stdin,
            stdout=self._output,
            stderr=self._output,
            env=self._environ,
            process_group=0,
        )
        self._answered = False

    async def ready(self, file: Path, seconds: float | None = None) -> Any:
        """What its ready file says, once it is there; without `seconds` it has all the time that it takes.

        Raises:
            ProgramError: it ended before, or did not answer in time.
        """
        process = self._started()
        try:
            async with asyncio.timeout(seconds):
                while not file.exists():  # noqa: ASYNC240  one stat of a local file
                    if process.returncode is not None:
                        raise ProgramError(
                            f"{self.name} {described(process.returncode)} before it answered; "
                            "its lines above say why"
                        )
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise ProgramError(f"{self.name} did not answer within {seconds:g} s") from None
        self._answered = True
        return msgspec.json.decode(file.read_bytes())  # noqa: ASYNC240  a few bytes of a local file

    async def wait(self) -> int:
        """Its exit code, once it has ended."""
        return await self._started().wait()

    async def stop(self, seconds: float) -> bool:
        """SIGTERM, and after `seconds` SIGKILL to its group; True when it ended by itself with code 0.

        Or of the SIGTERM itself, where it had not come so far that it could heed it.
        """
        process = self._process
        if process is None:
            return False
        try:
            async with asyncio.timeout(seconds):
                _send(process.pid, signal.SIGTERM, os.kill)
                await process.wait()
        except TimeoutError:
            pass  # what is left is killed below, and its exit code says so
        finally:
            # Also what it started itself and left behind.
            _send(process.pid, signal.SIGKILL, os.killpg)
        code = await process.wait()
        return code == 0 or (code == -signal.SIGTERM and not self._answered)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self._process is not None and self._process.returncode is None:
            _send(self._process.pid, number, os.kill)

    def kill(self) -> None:
        """SIGKILL to its whole group, at once."""
        if self._process is not None and self._process.returncode is None:
            _send(self._process.pid, signal.SIGKILL, os.killpg)

    def _started(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise ProgramError(f"{self.name} was never started")
        return self._process


def _send(pid: int, number: signal.Signals, send: Callable[[int, int], None]) -> None:
    try:
        send(pid, number)
    except ProcessLookupError:
        return  # it has gone by itself
