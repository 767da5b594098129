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
_KEY_BYTES: Final = 16
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

    def decode(self, identifier: bytes) -> tuple[int, int, int]:
        """(incarnation, stream, sequence) of 16 bytes; IdError for any other length."""
        if len(identifier) != _TRIPLE.size:
            raise IdError(f"a prediction id has {_TRIPLE.size} bytes, found {len(identifier)}")
        incarnation, stream, sequence = _TRIPLE.unpack(self._decrypt(identifier))
        return incarnation, stream, sequence

    def secret(self, purpose: str) -> bytes:
        """32 bytes that follow from the folder's key and `purpose`, and tell nothing of either."""
        return hashlib.blake2b(purpose.encode(), key=self._key, digest_size=32).digest()


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
