"""A listening socket that is closed while clients come."""

import asyncio
import socket

import pytest

from gateway.door import close_door, waiting
from tests.facts import until


def listening() -> socket.socket:
    """A listening socket on loopback."""
    made = socket.create_server(("127.0.0.1", 0), backlog=64)
    made.settimeout(0)
    return made


async def test_whoever_waits_is_taken_before_the_door_is_shut() -> None:
    """The door waits for its queue: a connection made before is whole after, a later one is refused."""
    with listening() as listener:
        address = listener.getsockname()
        early = [socket.create_connection(address) for _ in range(3)]
        assert waiting(listener) == 3
        closing = asyncio.create_task(close_door([listener], limit=60.0))
        await asyncio.sleep(0)
        taken = []
        for _ in early:
            await until(lambda: waiting(listener) > 0, "somebody waits")
            assert not closing.done()
            taken.append(listener.accept()[0])
        assert await closing
        for one, other in zip(early, taken, strict=True):
            one.sendall(b"asked")
            other.settimeout(60)
            assert other.recv(16) == b"asked"
            one.close()
            other.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=60)


async def test_newcomers_are_not_let_in_while_the_door_is_being_closed() -> None:
    """Who knocks then is neither taken nor refused until the door is shut, and waits in no queue."""
    with listening() as listener, socket.socket() as newcomer:
        early = socket.create_connection(listener.getsockname())
        closing = asyncio.create_task(close_door([listener], limit=60.0))
        await asyncio.sleep(0)
        newcomer.settimeout(0)
        with pytest.raises(BlockingIOError):
            newcomer.connect(listener.getsockname())
        assert waiting(listener) == 1
        taken = listener.accept()[0]
        assert await closing
        for one in (early, taken):
            one.close()


async def test_the_door_does_not_wait_for_ever() -> None:
    """When nobody takes those who wait, the door is shut after the limit, and it says so."""
    with listening() as listener:
        client = socket.create_connection(listener.getsockname())
        assert not await close_door([listener], limit=0.01)
        client.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(listener.getsockname(), timeout=60)


async def test_a_shared_socket_is_shut_for_all() -> None:
    """Who holds a copy of the socket learns that it listens no more."""
    with listening() as listener, listener.dup() as copy:
        assert await close_door([listener])
        with pytest.raises(OSError, match="Invalid argument"):
            copy.accept()
