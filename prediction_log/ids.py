"""Prediction ids: 128 bits that are unguessable, unique without coordination, and say where their frame is.

An id is one AES-128 block: the little-endian (incarnation u32, stream u32, sequence u64), encrypted with
the data folder's key. A permutation, so ids are unique as their triples are; without the key they look
random. It authenticates nothing: any 16 bytes decode to some triple, and only the frame that has the id tells
a true one.
"""

import hashlib
import secrets
import struct
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from groundwork.files import create_once
from prediction_log.errors import IdError

_TRIPLE: Final = struct.Struct("<IIQ")
_BLOCK: Final = 16
_KEY_BYTES: Final = 16
AHEAD: Final = 64
"""Ids of one stream that are made at once: as much work as two alone."""
_HEX_DIGITS: Final = 32


class PredictionIds:
    """The permutation under one key. Encode on one thread, decode on one thread."""

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_BYTES:
            raise IdError(
                f"an id key has {_KEY_BYTES} bytes, found {len(key)}; restore the data folder's id.key"
            )
        self._key = key
        # One block each time, unchained: the permutation that is wanted; no message is enciphered.
        cipher = Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305  a permutation of single blocks
        self._encrypt = cipher.encryptor().update
        self._decrypt = cipher.decryptor().update

    def encode(self, incarnation: int, stream: int, sequence: int) -> bytes:
        """The 16 bytes of an id; `sequence` is that of the request's first row. About a microsecond."""
        return self._encrypt(_TRIPLE.pack(incarnation, stream, sequence))

    def following(self, incarnation: int, stream: int, first: int, count: int) -> list[bytes]:
        """The ids of so many sequence numbers one after the other; 64 in the time of two."""
        triples = [_TRIPLE.pack(incarnation, stream, sequence) for sequence in range(first, first + count)]
        blocks = self._encrypt(b"".join(triples))
        return [blocks[at : at + _BLOCK] for at in range(0, len(blocks), _BLOCK)]

    def decode(self, identifier: bytes) -> tuple[int, int, int]:
        """(incarnation, stream, sequence) of 16 bytes; IdError for any other length."""
        if len(identifier) != _TRIPLE.size:
            raise IdError(f"a prediction id has {_TRIPLE.size} bytes, found {len(identifier)}")
        incarnation, stream, sequence = _TRIPLE.unpack(self._decrypt(identifier))
        return incarnation, stream, sequence

    def deciphered(self, identifiers: bytes) -> bytes:
        """The triples of so many ids, 16 bytes each, as they were packed; a few nanoseconds for each."""
        return self._decrypt(identifiers)

    def secret(self, purpose: str) -> bytes:
        """32 bytes that follow from the folder's key and `purpose`, and tell nothing of either."""
        return hashlib.blake2b(purpose.encode(), key=self._key, digest_size=32).digest()


class StreamIds:
    """The ids of one stream, made ahead where they are asked for one after the other. For one thread."""

    def __init__(self, ids: PredictionIds, incarnation: int, stream: int) -> None:
        self._ids = ids
        self._incarnation = incarnation
        self._stream = stream
        self._first = 0
        self._made: list[bytes] = []

    def at(self, sequence: int) -> bytes:
        """As `PredictionIds.encode`. A tenth of a microsecond for the number after the last one."""
        place = sequence - self._first
        if 0 <= place < len(self._made):
            return self._made[place]
        if place == len(self._made):
            self._made = self._ids.following(self._incarnation, self._stream, sequence, AHEAD)
        else:
            self._made = [self._ids.encode(self._incarnation, self._stream, sequence)]
        self._first = sequence
        return self._made[0]


def text(identifier: bytes) -> str:
    """The id as people see it: 32 lower-case hexadecimal digits."""
    return identifier.hex()


def parse(written: str) -> bytes:
    """The 16 bytes of an id as people write it; IdError for anything but 32 hexadecimal digits."""
    if len(written) == _HEX_DIGITS and written.isascii() and written.isalnum():
        try:
            return bytes.fromhex(written)
        except ValueError:
            pass  # told below, as for a wrong length
    raise IdError(f"prediction id {written[:64]!r} is not {_HEX_DIGITS} hexadecimal digits")


def load_key(data_folder: Path) -> bytes:
    """The folder's id key, made at the first call (0600); IdError when the file is not a key.

    Several processes may call this at once: one makes it, and all read the same.
    """
    path = data_folder / "id.key"
    if not path.exists():
        create_once(path, secrets.token_bytes(_KEY_BYTES))
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise IdError(
            f"{path} holds {len(key)} bytes, wanted {_KEY_BYTES}; restore it: the folder's ids need it"
        )
    return key
