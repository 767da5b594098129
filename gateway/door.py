"""Close a listening socket without turning away anybody who has come in.

A client that has connected waits in the socket's queue until a worker takes it. Closing the socket resets
whoever waits there, in the middle of what may be a request. So the door is closed in this order:

1. a filter drops what newcomers send: they are not connected, and try again by themselves for a second;
2. the workers take everybody who waits, until the queue is empty;
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
_ATTACH_FILTER: Final = 26  # SO_ATTACH_FILTER, which the socket module does not name
_RETURN: Final = 0x06
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
            while any(waiting(listener) for listener in listeners):  # noqa: ASYNC110  the kernel sets no Event
                await asyncio.sleep(POLL_SECONDS)
        taken = True
    for listener in listeners:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
    return taken


def waiting(listener: socket.socket) -> int:
    """How many connections wait in the queue of a listening socket; 0 where the system does not tell."""
    try:
        info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
    except (OSError, AttributeError):
        return 0
    return int(_QUEUED.unpack_from(info, _QUEUED_AT)[0]) if len(info) >= _QUEUED_AT + _QUEUED.size else 0


def _drop_newcomers(listener: socket.socket) -> None:
    """Attach a filter of one instruction, "keep 0 bytes"; connections made before are not touched by it."""
    instruction = ctypes.create_string_buffer(_INSTRUCTION.pack(_RETURN, 0, 0, 0))
    program = _PROGRAM.pack(1, ctypes.addressof(instruction))
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)
