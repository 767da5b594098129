"""`driftgate up`: gateway and monitor as two child programs, ready together, stopped in order.

1. Both are started at once; the ready file is written when both answer.
2. A program that dies is started again, at once and then after growing waits, on the ports it had.
3. SIGHUP, or the operator's wish: the gateway takes up changed settings, then the monitor is started again
   with its own, if they changed (`driftgate.reloading`). SIGUSR1: the gateway replaces its workers. One that
   is starting is told when it is ready: before, a signal would end it.
4. SIGTERM or SIGINT: the gateway drains and flushes its log, then the monitor reads to the end of it and
   checkpoints. A second signal ends both at once.

Refuses to know: what either program does.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from driftgate.errors import ProgramError
from driftgate.in_force import bound, port_of
from driftgate.programs import Program, module_command
from driftgate.reloading import Given, Read, Reloading
from driftgate.ring_folder import ring_folder
from gateway.causes import described
from groundwork.errors import NoRoomError
from groundwork.files import write_atomic
from groundwork.terminal import ignore_stops, open_terminal

FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 30.0
# A program that lived this long had recovered; its next death counts as a first one.
RECOVERED_SECONDS: Final = 60.0
# On top of what a program allows itself for its stop: the interpreter's own end on a busy machine.
GRACE_SECONDS: Final = 20.0


class Addresses(msgspec.Struct, frozen=True):
    """What the ready file says: three URLs, gRPC's "host:port" (None: not offered), the process to stop."""

    http: str
    operator: str
    monitor: str
    grpc: str | None
    pid: int


class Ring:
    """The two programs of one `up`; owned by its event loop."""

    def __init__(
        self,
        given: Given,
        folder: Path,
        tell: Callable[[str], None],
        reread: Read,
    ) -> None:
        """Keep settings and ready files in `folder`; `tell` is given a line when something happens.

        `reread` gives the settings as they are to be after a reload.
        """
        self._given = given
        self._folder = folder
        self._tell = tell
        self._reloading = Reloading(given, reread, self._take_up, self._gateway_heeds)
        self._lines: set[asyncio.Task[None]] = set()
        self._renewing = False
        self._heeds = False
        self._untold: set[signal.Signals] = set()
        self._found: Addresses | None = None
        self._stopping = asyncio.Event()
        self._programs = {name: self._program(name) for name in ("gateway", "monitor")}

    def stop(self) -> None:
        """Begin to stop; the second call ends everything at once."""
        if self._stopping.is_set():
            for program in self._programs.values():
                program.kill()
        self._stopping.set()

    def tell_gateway(self, number: signal.Signals) -> None:
        """Hand a signal on to the gateway, once both programs have answered and as soon as it heeds it."""
        self._untold.add(number)
        self._tell_gateway()

    def _tell_gateway(self) -> None:
        while self._heeds and self._found is not None and self._untold:
            self._programs["gateway"].signal(self._untold.pop())

    def _gateway_heeds(self) -> None:
        self._heeds = True
        self._tell_gateway()

    async def run(self, ready: Callable[[Addresses], None]) -> int:
        """Keep both until `stop`; returns the exit code. ProgramError when one does not start."""
        self._write("gateway", self._given.gateway)
        self._write("monitor", self._given.monitor)
        self._write("in-force", self._given.in_force)
        keepers: list[asyncio.Task[None]] = []
        try:
            for name in self._programs:
                await self._start(name)
            addresses = await self._addresses()
            if addresses is not None:
                keepers = [asyncio.create_task(self._keep(name)) for name in self._programs]
                ready(addresses)
                await self._stopping.wait()
        finally:
            self._stopping.set()
            clean = await self._stop_in_order()
            await asyncio.gather(*keepers, *self._lines)
        return 0 if clean else 1

    async def _addresses(self) -> Addresses | None:
        """Both programs' addresses, once both answer; None when told to stop before."""
        both = asyncio.ensure_future(asyncio.gather(self._answer("gateway"), self._answer("monitor")))
        stopping = asyncio.ensure_future(self._stopping.wait())
        tasks: set[asyncio.Future[Any]] = {both, stopping}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if stopping.done():
                return None
            gateway, monitor = both.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        found = Addresses(
            gateway["http"], gateway["operator"], monitor["monitor"], gateway["grpc"], os.getpid()
        )
        self._found = found
        self._hold_ports()
        self._tell_gateway()
        self._renew_monitor()
        return found

    async def _answer(self, name: str) -> Any:
        """Its addresses, however long its models take to load: one that cannot start ends by itself."""
        return await self._programs[name].ready(self._ready_file(name))

    async def _start(self, name: str) -> None:
        """Start a program; the gateway with a line to us, by which it asks for changed settings."""
        if name != "gateway":
            await self._programs[name].start()
            return
        ours, theirs = socket.socketpair()
        with theirs:
            await self._programs[name].start(theirs.fileno())
        task = asyncio.create_task(self._reloading.serve(ours))
        self._lines.add(task)
        task.add_done_callback(self._lines.discard)

    def _take_up(self, given: Given) -> None:
        """The gateway answers by new settings; the monitor follows, if anything changed for it."""
        changed = given.monitor != self._given.monitor
        self._given = given
        try:
            self._hold_ports()
        except (NoRoomError, OSError) as error:
            self._tell(f"changed settings are in force, but not for a program that is started again: {error}")
        self._renewing |= changed
        self._renew_monitor()

    def _renew_monitor(self) -> None:
        """Let it be started again, if settings of its own changed; not before it has answered."""
        if self._renewing and self._found is not None:
            self._programs["monitor"].signal(signal.SIGTERM)

    def _hold_ports(self) -> None:
        """Tell the ports that were found; a program that is started again takes the one it had."""
        found, told = self._found, self._given.in_force
        if found is None:
            self._write("in-force", told)
            return
        places = {"http": found.http, "operator": found.operator, "grpc": found.grpc}
        self._write("in-force", bound(told, monitor=found.monitor, **places))
        replace, given = msgspec.structs.replace, self._given.gateway
        http = replace(given.http, port=port_of(found.http))
        operator = replace(given.operator, port=port_of(found.operator))
        grpc = given.grpc if found.grpc is None else replace(given.grpc, port=port_of(found.grpc))
        self._write("gateway", replace(given, http=http, operator=operator, grpc=grpc))
        self._write("monitor", replace(self._given.monitor, port=port_of(found.monitor)))

    async def _keep(self, name: str) -> None:
        """Start the program again whenever it ends before we stop."""
        wait = 0.0
        while True:
            began = time.monotonic()
            code = await self._programs[name].wait()
            if name == "gateway":
                self._heeds = False
            if self._stopping.is_set():
                return
            renewed = name == "monitor" and self._renewing
            wait = 0.0 if renewed or time.monotonic() - began > RECOVERED_SECONDS else wait
            if renewed:
                self._renewing = False
                self._tell("monitor is started again to take up changed settings")
            else:
                self._tell(f"{name} {described(code)}; starting it again in {wait:g} s")
            if await self._stopped_within(wait):
                return
            wait = min(max(2 * wait, FIRST_WAIT), LONGEST_WAIT)
            self._ready_file(name).unlink(missing_ok=True)
            try:
                await self._start(name)
            except OSError as error:  # no room for a process, or for a file that it opens: there may be soon
                self._tell(f"{name} cannot be started now: {error.strerror}")

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return False
        return True

    async def _stop_in_order(self) -> bool:
        stop = self._given.gateway.stop
        clean = await self._programs["gateway"].stop(
            stop.delay + stop.linger + stop.limit + GRACE_SECONDS,
        )
        return await self._programs["monitor"].stop(self._given.monitor.catch_up + GRACE_SECONDS) and clean

    def _program(self, name: str) -> Program:
        settings, in_force = (str(self._folder / f"{part}.json") for part in (name, "in-force"))
        ready = str(self._ready_file(name))
        flags = (
            ("--ask", "--in-force", in_force, "--ready-file", ready)
            if name == "gateway"
            else (ready, in_force)
        )
        return Program(name, module_command(name, settings, *flags))

    def _ready_file(self, name: str) -> Path:
        return self._folder / f"{name}.ready"

    def _write(self, name: str, document: Any) -> None:
        write_atomic(self._folder / f"{name}.json", msgspec.json.encode(document))


def run(
    given: Given,
    *,
    ready: Callable[[Addresses], None],
    tell: Callable[[str], None],
    reread: Read,
) -> int:
    """Run both programs until SIGTERM or SIGINT; blocking, from the main thread; returns the exit code.

    `reread` gives the settings as they are to be after a SIGHUP. ProgramError where a program does not start,
    or the folder of state cannot be used.
    """
    data = Path(given.gateway.data)
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        with ring_folder(data) as folder:
            try:
                return asyncio.run(_run(Ring(given, folder, tell, reread), ready))
            finally:
                ignore_stops()
    except OSError as error:
        message = f"{data}: cannot keep state there: {error.strerror}; name another --data"
        raise ProgramError(message) from error


async def _run(ring: Ring, ready: Callable[[Addresses], None]) -> int:
    loop = asyncio.get_running_loop()
    had_terminal = open_terminal()

    def hung_up() -> None:
        if had_terminal and not open_terminal():
            ring.stop()
        else:
            ring.tell_gateway(signal.SIGHUP)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ring.stop)
    loop.add_signal_handler(signal.SIGHUP, hung_up)
    loop.add_signal_handler(signal.SIGUSR1, ring.tell_gateway, signal.SIGUSR1)
    return await ring.run(ready)
