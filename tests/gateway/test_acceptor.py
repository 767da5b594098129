"""Taking connections fairly from a shared listening socket."""

import asyncio
import io
import socket
from collections.abc import Iterator

import pytest

from gateway.acceptor import LONG_TURN, YIELDS, Acceptor
from groundwork.clock import FakeClock
from groundwork.logs import Log

LOG = Log(io.StringIO(), FakeClock())


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A listening socket on loopback, on a free port."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as made:
        yield made


async def until(condition: asyncio.Event) -> None:
    """Wait for a fact, but not for ever."""
    async with asyncio.timeout(30):
        await condition.wait()


async def test_takes_what_waits(listener: socket.socket) -> None:
    """A connection that waits is taken, non-blocking and without Nagle's delay."""
    taken: list[socket.socket] = []
    arrived = asyncio.Event()

    def attach(connection: socket.socket) -> None:
        taken.append(connection)
        arrived.set()

    acceptor = Acceptor(listener, attach, lambda: False, LOG)
    acceptor.open()
    with socket.create_connection(listener.getsockname()):
        await until(arrived)
    acceptor.close()
    assert taken[0].gettimeout() == 0
    assert taken[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    taken[0].close()


async def test_a_loop_of_long_turns_takes_more_than_one_in_each(listener: socket.socket) -> None:
    """Behind a long turn all that wait are taken in the next, where no other worker has fewer; else one."""
    taken: list[tuple[socket.socket, int]] = []
    turns = 0
    arrived = asyncio.Event()

    def turn() -> None:
        nonlocal turns
        turns += 1
        began = loop.time()
        while loop.time() < began + 2 * LONG_TURN:
            pass
        if not arrived.is_set():
            loop.call_soon(turn)

    def attach(connection: socket.socket) -> None:
        taken.append((connection, turns))
        if len(taken) == len(clients):
            arrived.set()

    loop = asyncio.get_running_loop()
    clients = [socket.create_connection(listener.getsockname()) for _ in range(8)]
    acceptor = Acceptor(listener, attach, lambda: False, LOG)
    acceptor.open()
    turn()
    await until(arrived)
    acceptor.close()
    assert len({at for _, at in taken}) <= 3
    for connection in [*clients, *(connection for connection, _ in taken)]:
        connection.close()


async def test_steps_back_when_crowded_but_not_for_ever(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crowded worker leaves a connection to the others a few times, then takes it itself."""
    monkeypatch.setattr("gateway.acceptor.FORGET_SECONDS", 60.0)  # however late the loop is: it is one moment
    asked = 0
    arrived = asyncio.Event()

    def crowded() -> bool:
        nonlocal asked
        asked += 1
        return True

    def attach(connection: socket.socket) -> None:
        connection.close()
        arrived.set()

    acceptor = Acceptor(listener, attach, crowded, LOG)
    acceptor.open()
    with socket.create_connection(listener.getsockname()):
        await until(arrived)
    acceptor.close()
    assert asked == YIELDS + 2  # and once whether to go on


async def test_two_acceptors_share_evenly(listener: socket.socket) -> None:
    """Two acceptors that each count their own connections end at equal halves of sixteen."""
    held = [0, 0]
    opened: list[socket.socket] = []
    done = asyncio.Event()

    def acceptor(place: int) -> Acceptor:
        def attach(connection: socket.socket) -> None:
            opened.append(connection)
            held[place] += 1
            if sum(held) == 16:
                done.set()

        return Acceptor(listener.dup(), attach, lambda: held[place] > held[1 - place], LOG)

    pair = [acceptor(0), acceptor(1)]
    for one in pair:
        one.open()
    clients = [socket.create_connection(listener.getsockname()) for _ in range(16)]
    await until(done)
    for one in pair:
        one.close()
        one._listener.close()
    for connection in [*clients, *opened]:
        connection.close()
    assert held == [8, 8]


async def test_closed_takes_nothing(listener: socket.socket) -> None:
    """After close the connection stays in the socket's queue, for another worker to take."""
    taken: list[socket.socket] = []
    acceptor = Acceptor(listener, taken.append, lambda: False, LOG)
    acceptor.open()
    acceptor.close()
    acceptor.close()
    with socket.create_connection(listener.getsockname()):
        await asyncio.get_running_loop().run_in_executor(None, listener.getsockname)
        connection, _ = listener.accept()
        connection.close()
    assert taken == []


async def test_a_socket_that_is_shut_ends_the_taking(listener: socket.socket) -> None:
    """When the supervisor has shut the socket the worker stops looking at it, and does not spin."""
    asked = 0
    looked = asyncio.Event()

    def crowded() -> bool:
        nonlocal asked
        asked += 1
        looked.set()
        return False

    acceptor = Acceptor(listener, lambda _taken: None, crowded, LOG)
    acceptor.open()
    listener.shutdown(socket.SHUT_RDWR)
    await until(looked)
    for _ in range(50):
        await asyncio.sleep(0)
    assert asked == 1
