"""The program: opens what it needs, goes round until it is told to stop, and leaves everything committed.

    pipeline (a thread): log → monitor.db → rollouts' evidence
    dispatcher (a task): monitor.db → receivers
    API (a server): monitor.db and the pipeline's state → whoever asks

One monitor per data folder, held by a lock. SIGTERM or SIGINT: the pipeline reads on within its bound,
commits, the dispatcher has one more try, and `run` returns 0. A failed pipeline stops the program with 1.
SIGHUP: settings are read again (`monitor.rereading`).
"""

import asyncio
import contextlib
import random
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import uvicorn

from groundwork.clock import SystemClock
from groundwork.data_folder import ours, read_stamp
from groundwork.files import FolderLock
from groundwork.logs import Log, capture, program_log
from groundwork.sweep import Sweep
from groundwork.terminal import ignore_stops, open_terminal
from groundwork.tracing import open_tracer
from monitor import api
from monitor.access import LOOK_SECONDS, AccessControl
from monitor.courier import widen
from monitor.delivery import Dispatcher
from monitor.desk import Desk
from monitor.errors import MonitorError
from monitor.evidence_out import EvidenceOut
from monitor.loop import Loop
from monitor.pipeline import Pipeline
from monitor.priority import in_turns
from monitor.rereading import Reread, Rereading
from monitor.sending import send, send_last
from monitor.settings import MonitorSettings, checked
from monitor.store import LOCK, open_store
from prediction_log.ids import PredictionIds, load_key
from prediction_log.segment_file import refuse_newer
from prediction_log.segment_source import SegmentSource
from registry_client.backends import open_registry
from registry_client.remembered import Remembered
from rollouts.store import SqliteStore


class Parts(msgspec.Struct, frozen=True):
    """What a running monitor is made of."""

    settings: MonitorSettings
    clock: SystemClock
    loop: Loop
    dispatcher: Dispatcher
    desk: Desk


def run(
    settings: MonitorSettings,
    ready: Callable[[str], None],
    reread: Reread,
    in_force: Callable[[], Any] = api.untold,
) -> int:
    """Run until SIGTERM or SIGINT; `ready` is called once with the API's URL after the first round.

    A first round that failed counts as well, for the API says so, and what is served does not wait for it.

    `reread` gives the settings as they are to be after a SIGHUP, `in_force` what is told of those in force.
    Blocks; the exit status. DriftgateError when it cannot start.
    """
    settings = checked(settings)
    data = Path(settings.data)
    with ours(data):
        if not data.is_dir():
            raise MonitorError(
                f"{data}: wanted a gateway's data folder, found nothing there; start the gateway, or name "
                "another --data"
            )
        read_stamp(data)
        refuse_newer(data / "log")
        lock = FolderLock.acquire(_lock_file(data))
    with lock, contextlib.closing(_listen(settings)) as listener:
        try:
            return asyncio.run(_run(settings, data, listener, ready, reread, in_force))
        finally:
            ignore_stops()


async def _run(
    settings: MonitorSettings,
    data: Path,
    listener: socket.socket,
    ready: Callable[[str], None],
    reread: Reread,
    in_force: Callable[[], Any],
) -> int:
    """Assemble, serve, and take apart in the reverse order."""
    stop = asyncio.Event()
    running = asyncio.get_running_loop()
    widen(running)
    for number in (signal.SIGTERM, signal.SIGINT):
        running.add_signal_handler(number, stop.set)
    log = program_log(settings.messages, SystemClock())
    capture(log)
    with _assembled(settings, data, log) as parts:
        access = AccessControl(settings, parts.clock, log)
        _heed_hang_up(stop, Rereading(settings, reread, access.look, log))
        server = _Server(access.server_config(api.build(parts.desk, access.series, in_force)))
        guarding = asyncio.create_task(_guard(access, server))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        pipeline = _start_pipeline(parts, lambda: _wake(running, stop))
        dispatching = asyncio.create_task(send(parts.dispatcher, stop, log))
        await asyncio.to_thread(parts.loop.went_round.wait)
        if not stop.is_set():
            host, port = listener.getsockname()[:2]
            ready(f"{access.scheme}://{f'[{host}]' if ':' in host else host}:{port}")
        try:
            await _until(stop, dispatching, serving)
        finally:
            # Whatever ended the wait, the pipeline ends its round before its connection is closed.
            parts.loop.stop()
            await asyncio.to_thread(pipeline.join)
        await send_last(dispatching, parts.dispatcher, log)
        server.should_exit = True
        await serving
        guarding.cancel()
        await parts.dispatcher.close()
        return 0 if parts.loop.failure is None else 1


def _heed_hang_up(stop: asyncio.Event, rereading: Rereading) -> None:
    """SIGHUP: the terminal that it was started from is gone, or somebody has changed settings."""
    had_terminal = open_terminal()

    def hung_up() -> None:
        if had_terminal and not open_terminal():
            stop.set()
        else:
            rereading.begin()

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hung_up)


@contextlib.contextmanager
def _assembled(settings: MonitorSettings, data: Path, log: Log) -> Iterator[Parts]:
    """Everything opened, each on a connection of its own; closed afterwards."""
    clock = SystemClock()
    with contextlib.ExitStack() as stack:
        registry = Remembered(open_registry(settings.models, data / "cache"), data / "cache")
        rollouts = stack.enter_context(contextlib.closing(SqliteStore(data / "rollouts.db", clock)))
        source = stack.enter_context(contextlib.closing(SegmentSource(data / "log")))
        writing = stack.enter_context(contextlib.closing(open_store(data)))
        sending = stack.enter_context(contextlib.closing(open_store(data)))
        reading = stack.enter_context(contextlib.closing(open_store(data, readonly=True)))
        pipeline = Pipeline(writing, settings, registry, PredictionIds(load_key(data)))
        loop = Loop(pipeline, source, rollouts, EvidenceOut(rollouts, clock), clock, log)
        tracer = open_tracer(settings.traces, "monitor")
        if tracer is not None:
            stack.callback(tracer.close)
        dispatcher = Dispatcher(
            sending,
            settings.webhooks,
            clock,
            random.random,
            log,
            keep=settings.keep_events,
            tracer=tracer,
            turns=pipeline.lock,
        )
        yield Parts(
            settings, clock, loop, dispatcher, Desk(settings, pipeline, loop, dispatcher, reading, clock)
        )


def _start_pipeline(parts: Parts, ended: Callable[[], None]) -> threading.Thread:
    """The pipeline on threads of its own, which give way to whoever wants their processor.

    `ended` is called when it ends, however it ends; so does the thread returned.
    """
    loop, settings = parts.loop, parts.settings

    def work() -> None:
        try:
            in_turns(lambda enough: loop.run(poll=settings.poll, catch_up=settings.catch_up, enough=enough))
        finally:
            ended()

    thread = threading.Thread(target=work, name="pipeline", daemon=True)
    thread.start()
    return thread


async def _guard(access: AccessControl, server: uvicorn.Server) -> None:
    """Look after the port until cancelled: renewed keys and certificates, clients that are too slow."""
    sweep = Sweep(server.server_state.connections)
    sweep.begin()
    try:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            access.look()
    finally:
        sweep.end()


async def _until(stop: asyncio.Event, *tasks: asyncio.Task[None]) -> None:
    """Wait for the signal, or for a part to end by itself, which is never right."""
    waiting = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait({waiting, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    for task in done - {waiting}:
        task.result()


def _listen(settings: MonitorSettings) -> socket.socket:
    """The API's socket; MonitorError when the port is taken."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family)
    except OSError as error:
        raise MonitorError(
            f"port {settings.port} on {settings.host}: {error.strerror};"
            " choose another with monitor.port (0 = any)"
        ) from None


def _lock_file(data: Path) -> Path:
    return data / LOCK


class _Server(uvicorn.Server):
    """uvicorn without its own ideas about signals: they are the program's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


def _wake(running: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Set the event from another thread."""
    running.call_soon_threadsafe(stop.set)
