"""Close a listening socket without turning away anybody who has come in.

A client that has connected waits in the socket's queue until a worker takes it. Closing the socket resets
whoever waits there, in the middle of what may be a request. So the door is closed in this order:

1. a filter drops the first packet (SYN) of newcomers, and no other: they are not connected, and try again by
   themselves for a second, while whoever was being connected comes in;
2. the workers take everybody who waits, until the queue has been empty for QUIET_SECONDS, for a client that
   was being connected believes that it is before its last packet has come;
3. the socket stops listening, for all who hold it: who tries again now is refused at once, and may safely go
   elsewhere, for nothing of theirs was ever read.

Where the system has no such filter the second step still comes before the third. Refuses to know: what is
served.
"""

import asyncio
import contextlib
import ctypes
import socket
import struct
from collections.abc import Sequence
from typing import Final

LIMIT_SECONDS: Final = 1.0
POLL_SECONDS: Final = 0.002
QUIET_SECONDS: Final = 0.05
_ATTACH_FILTER: Final = 26  # SO_ATTACH_FILTER, which the socket module does not name
_FLAGS_AT: Final = 13
_SYN, _ACK = 0x02, 0x10
# Instructions of classic BPF: what to do, how far to jump if so and if not, and with what number. A packet
# begins with TCP's header here; what is returned is how many of its bytes are kept.
_DROP_SYN: Final = (
    (0x30, 0, 0, _FLAGS_AT),  # load a byte
    (0x54, 0, 0, _SYN | _ACK),  # and
    (0x15, 0, 1, _SYN),  # is it this?
    (0x06, 0, 0, 0),  # return
    (0x06, 0, 0, 0xFFFF_FFFF),
)
_INSTRUCTION: Final = struct.Struct("HBBI")
_PROGRAM: Final = struct.Struct("HP")
_QUEUED: Final = struct.Struct("I")
# struct tcp_info: eight bytes, four words, then tcpi_unacked: of a listening socket, how many wait in it.
_QUEUED_AT: Final = 24
_INFO_BYTES: Final = 104


async def close_door(listeners: Sequence[socket.socket], *, limit: float = LIMIT_SECONDS) -> bool:
    """Let nobody in any more; returns when whoever came was taken, or after `limit` seconds (False).

    The sockets stay open and listen no longer. Others must be taking connections from them meanwhile.
    """
    for listener in listeners:
        _drop_newcomers(listener)
    taken = True
    with contextlib.suppress(TimeoutError):
        taken = False
        async with asyncio.timeout(limit):
            await _empty(listeners)
        taken = True
    for listener in listeners:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
    return taken


async def _empty(listeners: Sequence[socket.socket]) -> None:
    """Wait until nobody has waited in any of them for QUIET_SECONDS."""
    now = asyncio.get_running_loop().time
    since = now()
    while now() - since < QUIET_SECONDS:
        await asyncio.sleep(POLL_SECONDS)
        if any(waiting(listener) for listener in listeners):
            since = now()


def waiting(listener: socket.socket) -> int:
    """How many connections wait in the queue of a listening socket; 0 where the system does not tell."""
    try:
        info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
    except (OSError, AttributeError):
        return 0
    return int(_QUEUED.unpack_from(info, _QUEUED_AT)[0]) if len(info) >= _QUEUED_AT + _QUEUED.size else 0


def _drop_newcomers(listener: socket.socket) -> None:
    """Attach the filter; connections made before are not touched by it."""
    instructions = ctypes.create_string_buffer(b"".join(_INSTRUCTION.pack(*one) for one in _DROP_SYN))
    program = _PROGRAM.pack(len(_DROP_SYN), ctypes.addressof(instructions))
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)
