"""Values between two processes of ours on one machine; what is large of them lies in memory that both see.

    send ─▶ length, pickle           what is small, and where in the memory file the rest lies
         ─▶ a memory file (memfd)    arrays and other buffers, each mapped where it lies and not copied

Rules: nobody but a process of ours may be at the other end, for a pickle is a program. Whatever grows with
the value is done in pieces or by the kernel, so that it never keeps the interpreter for longer than one piece
takes: that is what a parcel is for. A text is an object of its own, so arrays of texts travel in pieces too.

It knows no requests.
"""

import io
import mmap
import os
import pickle
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from gateway.inference import Array
from gateway.pieces import PIECE_BYTES, in_pieces

PIECE_TEXTS: Final = 4096
"""Texts that are pickled at once, where they have no more than PIECE_CHARACTERS; some 0.3 ms."""
PIECE_CHARACTERS: Final = 1 << 20
_HEAD: Final = struct.Struct("<QQ")
_ALIGNMENT: Final = 64


class ClosedError(EOFError):
    """The other process has ended, or has let go of the line."""


def send(line: socket.socket, value: Any) -> None:
    """Send a value that can be pickled; what of it is a buffer (`pickle.PickleBuffer`) or an array is mapped.

    OSError where nobody is at the other end.
    """
    buffers: list[pickle.PickleBuffer] = []
    told = io.BytesIO()
    _Pickler(told, protocol=5, buffer_callback=buffers.append).dump(value)
    views = [buffer.raw() for buffer in buffers]
    message = pickle.dumps(([len(view) for view in views], told.getvalue()))
    descriptor = os.memfd_create("parcel")
    try:
        size = _write(descriptor, views)
        socket.send_fds(line, [_HEAD.pack(len(message), size)], [descriptor])
    finally:
        os.close(descriptor)
    line.sendall(message)


def receive(line: socket.socket) -> Any:
    """The next value; its arrays are read-only and keep their memory. ClosedError where none will come."""
    head, descriptors, _, _ = socket.recv_fds(line, _HEAD.size, 1)
    try:
        if len(head) != _HEAD.size or len(descriptors) != 1:
            raise ClosedError("the other process has ended")
        length, size = _HEAD.unpack(head)
        sizes, told = pickle.loads(_read(line, length))  # noqa: S301  from a process of ours
        mapped = memoryview(mmap.mmap(descriptors[0], size, prot=mmap.PROT_READ)) if size else memoryview(b"")
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    return pickle.loads(told, buffers=_parts(mapped, sizes))  # noqa: S301  from a process of ours


def copied(view: memoryview) -> bytes:
    """The bytes of a view; joining lets other threads run, where all parts are bytes already."""
    return b"".join(in_pieces(view))


class _Pickler(pickle.Pickler):
    """Pickles arrays of texts in pieces."""

    def reducer_override(self, found: Any) -> Any:
        """How an array of objects is put together again; all else as ever."""
        if not isinstance(found, np.ndarray) or found.dtype != object:
            return NotImplemented
        flat = found.ravel()
        pieces = [
            pickle.PickleBuffer(pickle.dumps(piece))
            for at in range(0, flat.size, PIECE_TEXTS)
            for piece in _pieces(flat[at : at + PIECE_TEXTS].tolist())
        ]
        return _texts, (found.shape, pieces)


def _pieces(texts: list[str]) -> Iterator[list[str]]:
    """Parts of these texts that are not too long to be pickled at once, but for what is one text."""
    if len(texts) > 1 and sum(map(len, texts)) > PIECE_CHARACTERS:
        middle = len(texts) // 2
        yield from _pieces(texts[:middle])
        yield from _pieces(texts[middle:])
    else:
        yield texts


def _texts(shape: tuple[int, ...], pieces: Sequence[memoryview]) -> Array:
    """The array of texts of this shape that is in these pieces, read-only."""
    array = np.empty(shape, object)
    flat, at = array.reshape(-1), 0
    for piece in pieces:
        texts = pickle.loads(piece)  # noqa: S301  from a process of ours
        flat[at : at + len(texts)] = texts
        at += len(texts)
    return array


def _write(descriptor: int, views: Sequence[memoryview]) -> int:
    """Every view in the file, aligned for any dtype; where the last one ends."""
    end = 0
    for view in views:
        start = at = _aligned(end)
        end = start + len(view)
        while at < end:
            at += os.pwrite(descriptor, view[at - start : at - start + PIECE_BYTES], at)
    os.ftruncate(descriptor, end)  # what is empty, at the end, is within it too
    return end


def _parts(mapped: memoryview, sizes: Sequence[int]) -> list[memoryview]:
    parts, end = [], 0
    for size in sizes:
        at = _aligned(end)
        end = at + size
        parts.append(mapped[at:end])
    return parts


def _aligned(at: int) -> int:
    return -(-at // _ALIGNMENT) * _ALIGNMENT


def _read(line: socket.socket, length: int) -> bytes:
    parts = []
    while length:
        part = line.recv(min(length, PIECE_BYTES))
        if not part:
            raise ClosedError("the other process ended while it spoke")
        parts.append(part)
        length -= len(part)
    return b"".join(parts)
