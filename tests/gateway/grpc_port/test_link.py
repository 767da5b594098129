"""One client and gRPC's server: what is read when, and how who has nothing to ask is parted with."""

import asyncio
import contextlib
from collections.abc import Iterable

import pytest

from gateway.body_room import AnswerRoom, BodyRoom
from gateway.grpc_port.frames import GOAWAY, UNREAD
from gateway.grpc_port.inbound import MOST_FRAMES
from gateway.grpc_port.incoming import MARK, Incomings
from gateway.grpc_port.link import Link
from gateway.grpc_port.turns import MOST_OF_ONE, Turns
from gateway.run_settings import RequestSettings
from groundwork.ports import LimitSettings
from tests.gateway.grpc_port.test_inbound import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PREFACE,
    RST_STREAM,
    frame,
)

LIMITS = LimitSettings()
IDLE = LIMITS.idle
PATIENCE = LIMITS.idle + LIMITS.body_time
SETTINGS = frame(4, 0, 0, b"")
PING = 6


class Pipe(asyncio.Transport):
    """One side's connection, whose other end is this test."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.reading = True
        self.ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep it."""
        self.written += bytes(data)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Keep them."""
        self.write(b"".join(list_of_data))

    def pause_reading(self) -> None:
        """Nothing more is wanted."""
        self.reading = False

    def resume_reading(self) -> None:
        """More is wanted."""
        self.reading = True

    def is_closing(self) -> bool:
        """Whether it has ended."""
        return self.ended

    def abort(self) -> None:
        """End it."""
        self.ended = True


class Silent:
    """A call whose message does not come."""

    async def read(self) -> bytes:
        """As gRPC's context has it."""
        raise ValueError("never")


def linked(refused: list[str] | None = None, incomings: Incomings | None = None) -> tuple[Link, Pipe, Pipe]:
    """A client and the server, which have greeted one another; why it was parted with goes to `refused`."""
    refused = [] if refused is None else refused
    incomings = incomings or Incomings(BodyRoom(RequestSettings()), AnswerRoom(RequestSettings()), 1.0)
    link = Link(_ignore, _ignore, incomings, Turns(), LIMITS, refused.append)
    client, server = Pipe(), Pipe()
    link.inner.connection_made(server)
    link.outer.connection_made(client)
    link.inner.data_received(SETTINGS)
    link.outer.data_received(PREFACE + SETTINGS)
    return link, client, server


def _ignore(_link: Link) -> None:
    pass


async def test_who_asks_nothing_is_told_to_leave_and_then_ended() -> None:
    """GOAWAY without an error names every stream; who begins nothing and stays is ended ten seconds later."""
    link, client, _server = linked()
    now = asyncio.get_running_loop().time()
    link.look(now + IDLE - 1)
    assert client.written == SETTINGS
    for more in (1, 5, 9):
        link.look(now + IDLE + more)
    assert client.written == SETTINGS + GOAWAY
    assert not client.ended
    link.look(now + IDLE + 11)
    assert client.ended


async def test_a_call_keeps_its_connection() -> None:
    """One under way keeps it whatever it takes, one that is over for as long again, after the goodbye too."""
    link, client, server = linked()
    now = asyncio.get_running_loop().time()
    link.outer.data_received(frame(HEADERS, END_HEADERS, 1, b""))
    for turn in range(5):
        link.look(now + turn * IDLE)
    link.inner.data_received(frame(DATA, END_STREAM, 1, b""))
    link.look(now + 4.9 * IDLE)
    assert GOAWAY not in client.written
    link.look(now + 5.1 * IDLE)
    assert client.written.endswith(GOAWAY)
    link.outer.data_received(frame(HEADERS, END_HEADERS, 3, b"") + frame(RST_STREAM, 0, 3, bytes(4)))
    link.look(now + 5.2 * IDLE)
    link.look(now + 6.1 * IDLE)
    assert client.written.count(GOAWAY) == 1
    assert not client.ended
    assert not server.ended


async def test_a_client_is_read_when_gRPC_takes_more_and_a_turn_is_free() -> None:  # noqa: N802  its name
    """Nothing is read of it while gRPC is full, or while one call more waits than may, and then again."""
    link, client, _server = linked()
    streams = range(1, 2 * MOST_OF_ONE + 2, 2)
    link.outer.data_received(b"".join(frame(HEADERS, END_HEADERS, stream, b"") for stream in streams))
    assert not client.reading
    link.inner.pause_writing()
    for stream in streams[:-1]:
        link.inner.data_received(frame(RST_STREAM, 0, stream, bytes(4)))
    assert not client.reading
    link.inner.resume_writing()
    assert client.reading


async def test_who_reads_nothing_of_its_answers_is_told_so_and_ended() -> None:
    """After as long as a client of HTTP may take, with a word of why; not while something of them is read."""
    refused: list[str] = []
    incomings = Incomings(BodyRoom(RequestSettings()), AnswerRoom(RequestSettings()), 1.0)
    link, client, server = linked(refused, incomings)
    now = asyncio.get_running_loop().time()
    link.outer.data_received(frame(HEADERS, END_HEADERS, 1, b""))
    headers = {MARK: server.written[-16:]}
    with contextlib.suppress(ValueError):
        await incomings.read(Silent(), headers)
    incomings.made(headers, bytes(100))
    link.look(now)
    link.inner.data_received(frame(DATA, 0, 1, bytes(50)))
    link.look(now + 0.9 * PATIENCE)
    link.look(now + 1.8 * PATIENCE)
    assert refused == []
    link.look(now + 2 * PATIENCE)
    assert refused == ["unread-answer"]
    assert client.written.endswith(UNREAD)
    assert server.ended


@pytest.mark.parametrize(
    "last", [frame(CONTINUATION, 0, 1, b""), frame(CONTINUATION, END_HEADERS, 1, b"x")[:-1]]
)
async def test_headers_that_take_too_long_end_the_connection(last: bytes) -> None:
    """A call has its headers in time, to the last byte; how many frames they come in is no matter."""
    refused: list[str] = []
    link, client, _server = linked(refused)
    now = asyncio.get_running_loop().time()
    link.outer.data_received(frame(HEADERS, 0, 1, b""))
    link.look(now)
    link.outer.data_received(last)
    link.look(now + 0.9 * LIMITS.header_time)
    assert refused == []
    link.look(now + 1.1 * LIMITS.header_time)
    assert refused == ["slow-headers"]
    assert client.ended


async def test_headers_that_we_do_not_read_are_not_too_slow() -> None:
    """Time stands still while gRPC takes no more, and ends with the headers."""
    refused: list[str] = []
    link, _client, _server = linked(refused)
    now = asyncio.get_running_loop().time()
    link.outer.data_received(frame(HEADERS, 0, 1, b""))
    link.inner.pause_writing()
    link.look(now)
    link.look(now + 2 * LIMITS.header_time)
    link.inner.resume_writing()
    link.outer.data_received(frame(CONTINUATION, END_HEADERS, 1, b""))
    link.look(now + 2 * LIMITS.header_time + 1)
    link.look(now + 4 * LIMITS.header_time)
    assert refused == []


async def test_headers_end_though_their_call_has_ended() -> None:
    """A call that gRPC refuses amidst its headers is no reason to end the connection when they are over."""
    refused: list[str] = []
    link, _client, _server = linked(refused)
    now = asyncio.get_running_loop().time()
    link.outer.data_received(frame(HEADERS, 0, 1, b""))
    link.inner.data_received(frame(RST_STREAM, 0, 1, bytes(4)))
    link.look(now)
    link.outer.data_received(frame(CONTINUATION, END_HEADERS, 1, b""))
    link.look(now + 2 * LIMITS.header_time)
    assert refused == []


async def test_no_call_begins_on_a_connection_that_takes_no_answers() -> None:
    """What a client asks while nothing can be written to it waits there; who goes on so is ended."""
    refused: list[str] = []
    link, client, server = linked(refused)
    now, said = asyncio.get_running_loop().time(), len(server.written)
    link.outer.pause_writing()
    link.look(now)
    link.outer.data_received(frame(PING, 0, 0, bytes(8)) + frame(HEADERS, END_HEADERS, 1, b""))
    assert server.written[said:] == frame(PING, 0, 0, bytes(8))
    states = [client.reading]
    link.outer.resume_writing()
    assert [*states, client.reading] == [False, True]
    assert link.inbound.calls == 1
    link.outer.pause_writing()
    link.look(now + PATIENCE + 1)
    assert refused == []
    link.look(now + 2 * PATIENCE + 2)
    assert refused == ["unread-answer"]


async def test_a_client_s_frames_give_way_to_others() -> None:
    """Of thousands that one read has, so many are looked at in each turn of the loop, all in the end."""
    link, client, server = linked()
    said, one = len(server.written), frame(4, 0, 0, b"")
    link.outer.data_received(one * (3 * MOST_FRAMES - 1))
    for turn in (1, 2, 3):
        assert client.reading == (turn == 3)
        assert len(server.written) - said == len(one) * min(turn * MOST_FRAMES, 3 * MOST_FRAMES - 1)
        await asyncio.sleep(0)
