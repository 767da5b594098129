"""Whose calls go to gRPC next, and how many of one client's stand before everybody else's."""

import asyncio
import contextlib

import pytest

from gateway.body_room import AnswerRoom, BodyRoom
from gateway.errors import MalformedError
from gateway.grpc_port.inbound import Inbound
from gateway.grpc_port.incoming import MARK, Incomings
from gateway.grpc_port.turns import LEAST_OF_ONE, MOST, MOST_OF_ONE, Turn, Turns
from gateway.run_settings import RequestSettings
from tests.gateway.grpc_port.ports import CODES, SERVICE, Served
from tests.gateway.grpc_port.test_inbound import END_HEADERS, HEADERS, PREFACE, RST_STREAM, frame, read
from tests.gateway.grpc_port.wires import END_STREAM, Wire

CALLS = 1000


class Reader:
    """One client's way to gRPC, and what came out of it."""

    def __init__(self, turns: Turns) -> None:
        self.incomings = Incomings(BodyRoom(RequestSettings()), AnswerRoom(RequestSettings()), 1.0)
        self.inbound = Inbound(self.incomings, Turn(turns, self._go_on))
        self.inbound.greeted = True
        self.told = b"".join(self.inbound.take(PREFACE))[len(PREFACE) :]
        self.looked_at = 0

    def send(self, *, taken_back: bool) -> bytes:
        """Many calls in one piece."""
        sent = b""
        for stream in range(1, 2 * CALLS, 2):
            sent += frame(HEADERS, END_HEADERS, stream, b"")
            sent += frame(RST_STREAM, 0, stream, bytes(4)) if taken_back else b""
        self.told += b"".join(self.inbound.take(sent))
        return sent

    def begun(self) -> list[bytes]:
        """The marks of the calls that gRPC has."""
        return [payload[-16:] for _, flags, _, payload in read(self.told) if flags & END_HEADERS]

    async def look_at(self, count: int) -> None:
        """Let gRPC hand over so many more."""
        for mark in self.begun()[self.looked_at : self.looked_at + count]:
            self.looked_at += 1
            with contextlib.suppress(ValueError, MalformedError):
                await self.incomings.read(Silent(), {MARK: mark})

    def _go_on(self) -> None:
        self.told += b"".join(self.inbound.take(b""))


class Silent:
    """A call whose message does not come."""

    async def read(self) -> bytes:
        """As gRPC's context has it."""
        raise ValueError("never")


@pytest.mark.parametrize("taken_back", [False, True])
async def test_calls_that_nobody_has_looked_at_are_few(*, taken_back: bool) -> None:
    """So many of one client go to gRPC, whether or not they are taken back; half are seen before more do."""
    reader = Reader(Turns())
    reader.send(taken_back=taken_back)
    assert len(reader.begun()) == MOST_OF_ONE
    await reader.look_at(MOST_OF_ONE // 2 - 1)
    assert len(reader.begun()) == MOST_OF_ONE
    await reader.look_at(1)
    assert len(reader.begun()) == MOST_OF_ONE + MOST_OF_ONE // 2
    while reader.inbound.waits:
        await reader.look_at(1)
    assert len(set(reader.begun())) == CALLS


@pytest.mark.parametrize("ends", ["answered", "forgotten"])
def test_calls_that_gRPC_does_not_hand_over_make_room_too(ends: str) -> None:  # noqa: N802  its name
    """What gRPC has refused at once counts no more, nor does, after a while, what its client took back."""
    reader = Reader(Turns())
    reader.send(taken_back=True)
    if ends == "forgotten":
        reader.inbound.forget()
    else:
        for stream in range(1, MOST_OF_ONE + 1, 2):
            reader.inbound.over(stream)
    assert len(reader.begun()) >= MOST_OF_ONE + MOST_OF_ONE // 2


def test_many_clients_have_fewer_each() -> None:
    """All calls that wait stay few, and everybody has some; who has gone leaves its share."""
    turns = Turns()
    readers = [Reader(turns) for _ in range(2 * MOST // MOST_OF_ONE)]
    for reader in readers:
        reader.send(taken_back=False)
    assert len(readers[-1].begun()) == MOST_OF_ONE // 2
    for reader in readers:
        reader.inbound.close()
        reader.inbound.close()
    assert turns.waiting == 0
    turns.waiting = MOST
    assert turns.share == LEAST_OF_ONE


async def test_a_burst_does_not_stand_before_the_call_of_another_client(there: Served) -> None:
    """Who asks while another's thousands wait is answered long before the last of them."""
    assert (await there.client.infer()).code is CODES.OK
    wire = Wire(*await asyncio.open_connection(*there.address.rsplit(":", 1)))
    most = 4 * CALLS
    for stream in range(1, 2 * most, 2):
        wire.begin(f"/{SERVICE.service}/ServerLive", stream)
        wire.message(bytes(5), stream, last=True)
    over: list[int] = []

    async def listen() -> None:
        async for found in wire.frames():
            if found.stream and found.kind == HEADERS and found.flags & END_STREAM:
                over.append(found.stream)
                if len(over) == 1:
                    begun.set()
                if len(over) == most:
                    return

    begun = asyncio.Event()
    listening = asyncio.create_task(listen())
    async with asyncio.timeout(60):
        await begun.wait()
        assert (await there.client.infer()).code is CODES.OK
        assert len(over) < most // 2
        await listening
    wire.close()
