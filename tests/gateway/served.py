"""A world behind a real socket, in a thread of its own, for clients that block."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import uvicorn

from gateway.settings import GatewaySettings
from tests.gateway.worlds import World

PATIENCE = 60.0


@contextlib.contextmanager
def served(folder: Path, prepare: Callable[[World], Awaitable[object]]) -> Iterator[str]:
    """`host:port` of a world that `prepare` has filled."""
    listener = socket.create_server(("127.0.0.1", 0))
    ready = threading.Event()
    servers: list[uvicorn.Server] = []
    faults: list[BaseException] = []

    async def live() -> None:
        world = World(folder, GatewaySettings())
        try:
            await prepare(world)
            config = uvicorn.Config(
                world.port, lifespan="off", log_config=None, http="httptools", loop="uvloop"
            )
            servers.append(uvicorn.Server(config))
            ready.set()
            await servers[0].serve([listener])
        finally:
            await world.close()

    def run() -> None:
        try:
            asyncio.run(live())
        except BaseException as error:  # noqa: BLE001  told to the test
            faults.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(PATIENCE)
        assert not faults, faults
        host, port = listener.getsockname()
        yield f"{host}:{port}"
    finally:
        for server in servers:
            server.should_exit = True
        thread.join(PATIENCE)
        listener.close()
        assert not faults, faults
