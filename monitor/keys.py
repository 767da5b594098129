"""The 64-bit keys under which the ledger's indexes hold predictions, pairs and labels.

Rules:

1. Rows that were answered one after another have keys one after another: incarnation, stream and sequence, as
   the folder's key deciphers them from the id. So an index grows at a few ends, and not at a random page for
   each row, which cost three times as much with half a million rows and rose with every row more.
2. Keys need not be unique, for whoever looks one up compares the id too. They tell nothing of an id that is
   not ours: its 16 bytes decipher to something, as good as random.
3. A ledger whose keys were made in another way (by an earlier version, or before the folder's key was
   replaced) is given its keys anew, once, before it is read.
"""

import sqlite3
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from groundwork.database import transaction
from monitor.store import load_fact, save_fact
from prediction_log.ids import PredictionIds

_TRIPLE: Final = np.dtype([("incarnation", "<u4"), ("stream", "<u4"), ("sequence", "<u8")])
Place: TypeAlias = tuple[int, int, int]
"""Incarnation, stream and sequence of the first row of a request."""
_SEQUENCE_BITS: Final = 40
_STREAM_BITS: Final = 8
_INCARNATION_BITS: Final = 63 - _SEQUENCE_BITS - _STREAM_BITS
_FACT: Final = "keys"
_NO_ID: Final = bytes(16)
_INDEXES: Final = {"predictions": "predictions_key", "pairs": "pairs_key", "early": "early_key"}


class Keys:
    """How keys are made of ids. One thread's, as its `ids` are."""

    def __init__(self, ids: PredictionIds) -> None:
        self._ids = ids
        self.name = ids.secret("ledger keys, version 1")[:8]
        """Which keys these are; other ids or another way make others."""

    def of(self, identifiers: npt.NDArray[np.uint8]) -> list[int]:
        """The keys of ids, uint8 [rows, 16]; some 20 ns each."""
        found = np.frombuffer(self._ids.deciphered(identifiers.tobytes()), _TRIPLE)
        keys: list[int] = _keys(found).tolist()
        return keys

    def places(self, identifiers: npt.NDArray[np.uint8]) -> list[Place]:
        """The places that ids name; those of ids that are not ours are nowhere."""
        found = np.frombuffer(self._ids.deciphered(identifiers.tobytes()), _TRIPLE)
        places: list[Place] = found.tolist()
        return places

    def one(self, identifier: bytes) -> int:
        """The key of one id."""
        return self.of(np.frombuffer(identifier, np.uint8).reshape(1, 16))[0]


def of_place(incarnation: int, stream: int, sequence: int) -> int:
    """The key of the row there."""
    return int(_keys(np.array([(incarnation, stream, sequence)], _TRIPLE))[0])


def beginning(key: int) -> int:
    """The key of the first row of this key's stream."""
    return key >> _SEQUENCE_BITS << _SEQUENCE_BITS


def settle(connection: sqlite3.Connection, keys: Keys) -> None:
    """Give the ledger these keys if it has others; ten seconds for a million rows, nothing where it has."""
    if load_fact(connection, _FACT) == keys.name:
        return
    connection.create_function("ledger_key", 1, keys.one, deterministic=True)
    with transaction(connection):
        for table, index in _INDEXES.items():
            # Early labels that name no id are kept under their client's.
            if connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is not None:  # noqa: S608  our own
                connection.execute(f"DROP INDEX {index}")
                connection.execute(
                    f"UPDATE {table} SET key = ledger_key(id) WHERE id != ?",  # noqa: S608  our own table names
                    (_NO_ID,),
                )
                connection.execute(f"CREATE INDEX {index} ON {table} (key, row)")
        save_fact(connection, _FACT, keys.name)


def _keys(places: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """The keys of places, an array of _TRIPLE."""
    return (
        _low(places["incarnation"], _INCARNATION_BITS) << np.int64(_SEQUENCE_BITS + _STREAM_BITS)
        | _low(places["stream"], _STREAM_BITS) << np.int64(_SEQUENCE_BITS)
        | _low(places["sequence"], _SEQUENCE_BITS)
    )


def _low(values: npt.NDArray[Any], bits: int) -> npt.NDArray[np.int64]:
    """The lowest bits of each, as what SQLite holds."""
    low: npt.NDArray[np.int64] = (values & values.dtype.type((1 << bits) - 1)).astype(np.int64)
    return low
