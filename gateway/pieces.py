"""Long memory copied piece by piece: no other thread waits for the interpreter until all is copied."""

from typing import Final

PIECE_BYTES: Final = 1 << 18
"""Copied at once; some 0.05 ms."""


def in_pieces(view: memoryview) -> list[bytes]:
    """The bytes of a view of bytes; joined, they are copied once more, by which `join` lets others run."""
    return [bytes(view[at : at + PIECE_BYTES]) for at in range(0, len(view), PIECE_BYTES)]
