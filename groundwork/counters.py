"""One mapped table of int64 series: one process adds, any process reads, nobody locks.

The file (native byte order: it never leaves its machine) is four regions, each 8-aligned:

    header    8 words   magic, format, capacity, label capacity, published, refused, 0, 0
    entries   16 bytes per series: offset u32, length u32 (into the label bytes), crc32 u32, 0 u32
    labels    msgpack [name, [[label, value], …], kind] of each series, appended
    values    8 bytes per series

Rules:
1. A series is published in this order: label bytes, entry, then the count. A reader takes what is counted and
   stops at an entry whose checksum does not hold yet: it sees a prefix of the table, never a broken series.
2. The first RESERVED value cells belong to no series. When the table is full the writer is sent to cell 0 (a
   block to cells 0, 1, …): its adds vanish without harm and the refusal is counted, as the series REFUSED.
3. A value is one aligned word: a reader sees it before or after an add, never between. Only the one thread
   that owns a series may add to it.
4. The file is allocated in full before it is mapped, and never shrinks.

Refuses to know: what is counted. Cost: `values[i] += 1` is some 60 ns; `series` and `read` are for set-up and
for readers.
"""

import mmap
import os
import threading
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, Self

import msgspec

from groundwork.errors import NewerStoreError, StoreError
from groundwork.files import allocate
from groundwork.versioned import newer

Kind = Literal["counter", "gauge"]
"""A counter only grows and outlives its process; a gauge is a fact about a living one."""


class SeriesKey(msgspec.Struct, frozen=True):
    """What a series is called: name, labels sorted by label, and kind."""

    name: str
    labels: tuple[tuple[str, str], ...]
    kind: str = "counter"


RESERVED: Final = 64
"""Cells without a series; also the longest block."""
LABEL_BYTES: Final = 96
"""Label bytes set aside per series; when they run out the table is full."""
REFUSED: Final = SeriesKey("driftgate_series_refused_total", ())
"""Appears in `read`: how often a series was asked for and found no room."""

_MAGIC: Final = int.from_bytes(b"DGCOUNT1", "little")
_FORMAT: Final = 1
_WORDS: Final = 8
_PUBLISHED: Final = 4
_REFUSED: Final = 5
_ENTRY_WORDS: Final = 4
_LARGEST: Final = 1 << 20


class Counters:
    """A table of series, made by its one writer with `create` and read by others with `open`.

    `values` is the hot path: a memoryview of int64, one per series, by the index that `series` gave.
    """

    values: memoryview

    def __init__(self, mapping: mmap.mmap, capacity: int) -> None:
        self._mapping = mapping
        self._view = memoryview(mapping)
        regions = _regions(capacity)
        self._words = self._view[: regions[0]].cast("q")
        self._entries = self._view[regions[0] : regions[1]].cast("I")
        self._labels = self._view[regions[1] : regions[2]]
        self.values = self._view[regions[2] : regions[3]].cast("q")
        self._capacity = capacity
        self._used = 0
        self._indexes: dict[SeriesKey, int] = {}
        self._keys: list[SeriesKey] = []
        self._adding = threading.Lock()

    @classmethod
    def create(cls, path: Path, *, capacity: int = 8192) -> Self:
        """Make a new table for at most `capacity` series; the file must not exist.

        NoRoomError when the disk cannot hold it: about 120 bytes per series.
        """
        if not 0 < capacity <= _LARGEST:
            raise ValueError(f"a table of counters holds 1 to {_LARGEST} series, not {capacity}")
        if path.exists():
            raise StoreError(f"{path}: wanted a new table of counters, found a file; one writer, one file")
        cells = capacity + RESERVED
        allocate(path, _regions(cells)[3])
        table = cls(_mapped(path, writable=True), cells)
        # The magic number last: until it stands, the file is not a table.
        for word, value in enumerate((_FORMAT, cells, len(table._labels), RESERVED), 1):
            table._words[word] = value
        table._words[0] = _MAGIC
        return table

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read the table that another process writes; StoreError for what is not one, or is cut short."""
        size = path.stat().st_size
        if size < _WORDS * 8:
            raise StoreError(
                f"{path}: wanted a table of counters, found only {size} bytes; move the folder away"
            )
        mapping = _mapped(path, writable=False)
        head = memoryview(mapping)[: _WORDS * 8].cast("q")
        magic, form, cells = head[0], head[1], head[2]
        head.release()
        if magic == _MAGIC and form > _FORMAT:
            mapping.close()
            raise NewerStoreError(newer(path, "a table of counters", form, _FORMAT))
        fits = magic == _MAGIC and form == _FORMAT and RESERVED < cells <= _LARGEST + RESERVED
        if not fits or size < _regions(cells)[3]:
            mapping.close()
            raise StoreError(
                f"{path}: wanted a table of counters, found something else; move the folder away"
            )
        return cls(mapping, cells)

    def series(self, name: str, labels: Mapping[str, str], *, kind: Kind = "counter") -> int:
        """The index of this series, published at the first call; 0, read by nobody, when there is no room."""
        return self._indexed([SeriesKey(name, tuple(sorted(labels.items())), kind)])

    def block(self, name: str, labels: Mapping[str, str], size: int) -> int:
        """The first index of `size` consecutive counters, told apart by a label `le`: "0", "1", and so on.

        0 when there is no room for all of them. ValueError unless 1 <= size <= RESERVED.
        """
        if not 1 <= size <= RESERVED:
            raise ValueError(f"a block holds 1 to {RESERVED} series, not {size}")
        return self._indexed(
            [SeriesKey(name, tuple(sorted({**labels, "le": str(i)}.items()))) for i in range(size)],
        )

    def read(self) -> dict[SeriesKey, int]:
        """Every published series and its value now; a half-published one is left out."""
        self._catch_up()
        values = self.values[RESERVED : RESERVED + len(self._keys)].tolist()
        found = dict(zip(self._keys, values, strict=True))
        found[REFUSED] = self._words[_REFUSED]
        return found

    def close(self) -> None:
        """Let the mapping go; `values` must not be used afterwards. Twice is nothing."""
        for view in (self.values, self._words, self._entries, self._labels, self._view):
            view.release()
        self._mapping.close()

    def _indexed(self, keys: list[SeriesKey]) -> int:
        with self._adding:
            known = self._indexes.get(keys[0])
            if known is not None:
                return known
            encoded = [_encoded(key) for key in keys]
            first = self._words[_PUBLISHED]
            if first + len(keys) > self._capacity or self._used + sum(map(len, encoded)) > len(self._labels):
                self._words[_REFUSED] += 1
                return 0
            for index, (key, label) in enumerate(zip(keys, encoded, strict=True), first):
                self._enter(index, label)
                self._indexes[key] = index
            self._words[_PUBLISHED] = first + len(keys)
            return first

    def _enter(self, index: int, label: bytes) -> None:
        """Label bytes, then the entry; nobody looks at either until the count says so."""
        offset, end = self._used, self._used + len(label)
        self._labels[offset:end] = label
        self._used = end
        at = index * _ENTRY_WORDS
        self._entries[at] = offset
        self._entries[at + 1] = len(label)
        self._entries[at + 2] = zlib.crc32(label)

    def _catch_up(self) -> None:
        """Decode the entries published since the last look; entries never change, so each is decoded once."""
        published = min(self._words[_PUBLISHED], self._capacity)
        for index in range(RESERVED + len(self._keys), published):
            at = index * _ENTRY_WORDS
            offset, length, checksum = self._entries[at : at + 3]
            label = bytes(self._labels[offset : offset + length])
            key = _decoded(label) if zlib.crc32(label) == checksum else None
            if key is None:
                return
            self._keys.append(key)


def _encoded(key: SeriesKey) -> bytes:
    return msgspec.msgpack.encode((key.name, key.labels, key.kind))


def _decoded(label: bytes) -> SeriesKey | None:
    """The key in these bytes, or None when there is none to be had."""
    try:
        return SeriesKey(*msgspec.msgpack.decode(label, type=tuple[str, tuple[tuple[str, str], ...], Kind]))
    except msgspec.DecodeError:
        return None


def _regions(cells: int) -> tuple[int, int, int, int]:
    """Where header, entries, labels and values end."""
    entries = _WORDS * 8 + cells * _ENTRY_WORDS * 4
    labels = entries + cells * LABEL_BYTES
    return _WORDS * 8, entries, labels, labels + cells * 8


def _mapped(path: Path, *, writable: bool) -> mmap.mmap:
    descriptor = os.open(path, os.O_RDWR if writable else os.O_RDONLY)
    try:
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ)
    finally:
        os.close(descriptor)
