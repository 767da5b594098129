"""Everything the acts of the demo share: programs, client, sources, facts, and how they are stopped.

Owned by the demo's one event loop. Whatever happens, `close` leaves no process behind.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Final, Literal

import msgspec

from driftgate import show
from driftgate.demo import policies
from driftgate.demo.books import Books
from driftgate.demo.client import Client, Pace
from driftgate.demo.facts import Facts
from driftgate.demo.retraining import Result
from driftgate.demo.sampling import Samples
from driftgate.demo.screen import Screen
from driftgate.demo.signature import new_secret
from driftgate.demo.sources import Sources
from driftgate.demo.stage import Stage
from driftgate.demo.training import MODEL
from driftgate.demo.world import BEFORE, Stream
from driftgate.errors import DemoError
from driftgate.programs import Program, module_command
from gateway.causes import described
from groundwork.files import write_atomic

Sabotage = Literal["labels", "v3-bad", "v4-good"]

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 60.0
RECENT_SECONDS: Final = 2.0
DATA_SEED: Final = 1_000
"""Added to the seed for traffic, so that nobody is served who was trained on."""
PREFIX: Final = "DRIFTGATE_"


class Options(msgspec.Struct, frozen=True):
    """What the command was asked for."""

    seed: int
    folder: Path
    keep: bool = False
    sabotage: Sabotage | None = None
    pace: Pace = Pace()


class Play:
    """One run of the demo."""

    def __init__(self, options: Options, stage: Stage) -> None:
        self.options = options
        self.stage = stage
        self.samples = Samples()
        self.marks: dict[str, float] = {}
        self.urls: dict[str, Any] = {}
        self.results: dict[str, Result] = {}
        self.books: Books | None = None
        self.history: list[dict[str, Any]] = []
        self._traffic: asyncio.Task[None] | None = None
        self.incident = ""
        self.refits: asyncio.Task[None] | None = None
        self._programs: list[Program] = []
        self._files: list[IO[bytes]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._client: Client | None = None
        self._sources: Sources | None = None
        # Whoever plays may have a driftgate of their own; its data folder and its ports are not the demo's.
        self._environ = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}

    def open(self, screen: Screen) -> None:
        """Begin to tell the story on this screen."""
        self.screen = screen
        self.facts = Facts(screen, self.trouble)

    @property
    def client(self) -> Client:
        """The client; there is one from act 1 on."""
        if self._client is None:
            raise DemoError("the client has not started yet")
        return self._client

    @property
    def sources(self) -> Sources:
        """Where facts are read; from the moment the programs answer."""
        if self._sources is None:
            raise DemoError("gateway and monitor have not started yet")
        return self._sources

    def mark(self, name: str) -> float:
        """Remember when something was done, as unix seconds."""
        self.marks[name] = time.time()
        return self.marks[name]

    async def start_receiver(self) -> str:
        """Start the retraining receiver; its URL."""
        write_atomic(self.stage.secret, new_secret().encode())
        ready = self.stage.ready("receiver")
        arguments = (str(self.stage.folder), str(ready), str(self.options.seed))
        program = self._start("receiver", "driftgate.demo.receiver", *arguments)
        await program.start()
        return str((await program.ready(ready, START_SECONDS))["url"])

    async def start_ring(self, receiver: str) -> None:
        """Start gateway and monitor by `driftgate up`."""
        policies.write_settings(self.stage, receiver)
        ready = self.stage.ready("up")
        arguments = ("up", "--config", str(self.stage.settings), "--ready-file", str(ready))
        program = self._start("up", "driftgate", *arguments)
        await program.start()
        self.urls = await program.ready(ready, START_SECONDS)
        self._sources = Sources(self.urls["operator"], self.urls["monitor"], self.stage.notes)
        self._tasks.append(asyncio.create_task(self.samples.gather(self.sources)))

    def begin_traffic(self) -> None:
        """Start the client."""
        stream = Stream(BEFORE, self.options.seed + DATA_SEED)
        self._client = Client(
            self.urls["http"],
            MODEL,
            stream,
            seed=self.options.seed,
            pace=self.options.pace,
        )
        if self.options.sabotage == "labels":
            self._client.withhold_labels()
        self._traffic = asyncio.create_task(self._client.run())

    async def end_traffic(self) -> None:
        """Stop the client, once its last answer is read and its last label sent."""
        self.client.stop()
        if self._traffic is not None:
            await self._traffic

    async def command(self, *arguments: str) -> str:
        """Run a `driftgate` command to its end; what it printed. DemoError when it fails."""
        return await self.run_to_end("driftgate", *arguments)

    async def run_to_end(self, module: str, *arguments: str) -> str:
        """Run a module of ours as a program to its end; what it printed. DemoError when it fails."""
        process = await asyncio.create_subprocess_exec(
            *module_command(module, *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environ,
            process_group=0,
        )
        out, err = await process.communicate()
        if process.returncode != 0:
            said = err.decode().strip().splitlines() or ["nothing"]
            raise DemoError(f"`{module} {' '.join(arguments[:2])}` failed: {said[-1]}")
        return out.decode()

    def pids(self) -> list[int]:
        """The process numbers of the programs, in the order of a stop."""
        return [program.pid for program in reversed(self._programs)]

    def trouble(self) -> str | None:
        """Why the demo cannot go on, or nothing: a program or the client has ended."""
        for program in self._programs:
            if program.code is not None:
                where = self.stage.log(program.name)
                return f"{program.name} {described(program.code)}, see {where}"
        traffic = self._traffic
        if traffic is not None and traffic.done() and not traffic.cancelled() and traffic.exception():
            return f"the client failed: {traffic.exception()}"
        return None

    def refits_alive(self) -> None:
        """Raise what the background training job raised, if it did."""
        if self.refits is not None and self.refits.done():
            self.refits.result()

    def figures(self) -> Sequence[tuple[str, str]]:
        """The figures of the moment, for the screen."""
        if self._client is None:
            return ()
        counts, now = self._client.counts, self._client.now()
        right = counts.accuracy(now - RECENT_SECONDS, now)
        answering = sorted(
            version
            for version in counts.by_version()
            if counts.accuracy(now - RECENT_SECONDS, now, version) is not None
        )
        return (
            ("requests", show.count(counts.answered)),
            ("rows", show.count(counts.rows)),
            ("labels", show.count(counts.labels)),
            ("failed", str(counts.failed)),
            ("right", "-" if right is None else f"{right:.1%}"),
            ("by", " ".join(f"v{version}" for version in answering) or "-"),
        )

    async def close(self, *, leave: bool) -> bool:
        """Stop everything but, where `leave` says so, the programs; True when all ended as they should."""
        tasks = [task for task in (*self._tasks, self._traffic, self.refits) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._sources is not None:
            await self._sources.close()
        clean = leave or all([await program.stop(STOP_SECONDS) for program in reversed(self._programs)])
        for file in self._files:
            file.close()
        return clean

    def _start(self, name: str, module: str, *arguments: str) -> Program:
        """A program whose lines go to a file; one that is to be left running is not tied to us."""
        command = module_command(module, *arguments)
        if self.options.keep:
            command = [sys.executable, "-P", "-m", module, *arguments]
        output = self.stage.log(name).open("ab")
        self._files.append(output)
        program = Program(name, command, environ=self._environ, output=output)
        self._programs.append(program)
        return program
