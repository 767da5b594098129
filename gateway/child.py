"""One worker process as its supervisor sees it: started with its order, talked to over its line, ended.

It decides nothing: who starts it and why it must go is the supervisor's affair.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from gateway.order import Ask, Order, Word, encode
from gateway.quarantine import Barred
from gateway.wear import Allotment, Pulse, Use
from groundwork import decoders

Responder = Callable[[Ask], Awaitable[Word]]
"""What the supervisor answers to a worker's Ask; never raises."""
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
# Libraries that start a thread for each processor of the host, whatever a container was given of them.
_THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Child:
    """A running worker; owned by the supervisor's loop.

    `ended` is done when the process has ended, with its exit code (minus the signal).
    """

    def __init__(self, process: asyncio.subprocess.Process, told: Order, draw: float, now: float) -> None:
        self.place = told.place
        self.settings = told.settings
        self.allotment = Allotment.drawn(told.settings.worker, draw)
        self.pulse = Pulse(now)
        self.began = now
        self.ready_at: float | None = None
        self.answered = False
        self.ended_for = ""
        self._process = process
        self.ended = asyncio.create_task(self._wait())
        self._writer: asyncio.StreamWriter | None = None
        self._talking: asyncio.Task[None] | None = None
        self._answering: set[asyncio.Task[None]] = set()

    @classmethod
    async def start(cls, command: Sequence[str], told: Order, answer: Responder, draw: float) -> "Child":
        """Start the program and give it its order; OSError when the system does not let us."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=theirs.fileno(),
                    pass_fds=[
                        fd
                        for fd in (told.places_fd, told.http_fd, told.operator_fd, told.grpc_fd)
                        if fd is not None
                    ],
                    process_group=0,
                    env=environment(os.environ),
                )
        except BaseException:
            ours.close()
            raise
        child = cls(process, told, draw, asyncio.get_running_loop().time())
        reader, writer = await asyncio.open_connection(sock=ours)
        if child.ended.done():  # so soon that nobody else closes the line
            writer.close()
            return child
        child._writer = writer
        child._writer.write(encode(told))
        child._talking = asyncio.create_task(child._talk(reader, answer))
        return child

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    async def _wait(self) -> int:
        """Its exit code (minus the signal), once it has ended; then the line is closed too."""
        code = await self._process.wait()
        tasks = [task for task in (self._talking, *self._answering) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()
        return code

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it still lives."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def leave(self) -> None:
        """Tell it that the whole gateway stops."""
        self._say(Word("leave"))

    def part(self) -> None:
        """Tell it to take no more connections, to finish and to end."""
        self._say(Word("part"))

    def bar(self, barred: tuple[Barred, ...]) -> None:
        """Tell it what is not to be loaded from now on."""
        self._say(Word("bar", barred=barred))

    def use(self, requests: int, now: float) -> Use:
        """What it has taken so far; reads one file of /proc."""
        age = 0.0 if self.ready_at is None else now - self.ready_at
        return Use(age, requests, resident(self.pid))

    def _say(self, word: Word) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(encode(word))

    async def _talk(self, reader: asyncio.StreamReader, answer: Responder) -> None:
        """Answer what it asks, until it ends or says what nobody understands."""
        with contextlib.suppress(OSError, ValueError, msgspec.DecodeError):
            while line := await reader.readline():
                task = asyncio.create_task(self._reply(decoders.json_of(Ask).decode(line), answer))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)

    async def _reply(self, ask: Ask, answer: Responder) -> None:
        self._say(await answer(ask))


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """A worker's environment: ours, and one thread for libraries that would count the host's processors."""
    return {**dict.fromkeys(_THREADS, "1"), **given}


def resident(pid: int, proc: Path = Path("/proc")) -> int:
    """The resident bytes of a process; 0 where nobody tells."""
    try:
        return int((proc / str(pid) / "statm").read_text().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0
