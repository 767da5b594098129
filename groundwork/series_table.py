"""One mapped table of int64 series, as any process reads it that another one adds to, and nobody locks.

The file (native byte order: it never leaves its machine) is four regions, each 8-aligned:

    header    8 words   magic, format, capacity, label capacity, published, refused, moves, 0
    entries   16 bytes per series: offset u32, length u32 (into the label bytes), crc32 u32, 0 u32
    labels    msgpack [name, [[label, value], …], kind] of each series; a length of 0 marks a free cell
    values    8 bytes per series

Rules:
1. A series is published in this order: label bytes, entry, then the count. A reader takes what is counted and
   stops at an entry whose checksum does not hold yet: it sees a prefix of the table, never a broken series.
2. The first RESERVED value cells belong to no series.
3. A value is one aligned word: a reader sees it before or after an add, never between.
4. Cells of series that are done with are used again. `moves` is odd while they move; a reader that saw it odd
   or changed looks again.

Refuses to know: what is counted, and who may (`groundwork.counters`). Cost: for readers, none of it is hot.
"""

import mmap
import os
import threading
import zlib
from pathlib import Path
from typing import Final

from groundwork.errors import NewerStoreError, StoreError
from groundwork.series import SeriesKey, decoded
from groundwork.versioned import newer

RESERVED: Final = 64
"""Cells without a series; also the longest block."""
LABEL_BYTES: Final = 96
"""Label bytes set aside per series; when they run out the table is full."""
LARGEST: Final = 1 << 20
"""Series that any table may have."""
REFUSED: Final = SeriesKey("driftgate_series_refused_total", ())
"""Appears in `read`: how often a series was asked for and found no room."""

MAGIC: Final = int.from_bytes(b"DGCOUNT1", "little")
FORMAT: Final = 1
WORDS: Final = 8
PUBLISHED: Final = 4
REFUSALS: Final = 5
MOVES: Final = 6
"""Words of the header."""
ENTRY_WORDS: Final = 4
_LOOKS: Final = 200
"""How often a reader looks again before it takes the table as a writer that died has left it."""
_PAUSE_SECONDS: Final = 0.0005


class SeriesTable:
    """A table that is mapped; `open_table` reads the one of another process.

    `values` are the numbers themselves: a memoryview of int64, one per cell.
    """

    values: memoryview

    def __init__(self, mapping: mmap.mmap, capacity: int) -> None:
        self._mapping = mapping
        self._view = memoryview(mapping)
        ends = regions(capacity)
        self._words = self._view[: ends[0]].cast("q")
        self._entries = self._view[ends[0] : ends[1]].cast("I")
        self._labels = self._view[ends[1] : ends[2]]
        self.values = self._view[ends[2] : ends[3]].cast("q")
        self._capacity = capacity
        self._keys: list[SeriesKey | None] = []
        self._moves = 0

    def read(self) -> dict[SeriesKey, int]:
        """Every published series and its value now; a half-published one is left out."""
        pause = threading.Event()
        for _ in range(_LOOKS):
            moves = self._words[MOVES]
            if moves % 2 == 0:
                found = self._look(moves)
                if self._words[MOVES] == moves:
                    return found
            pause.wait(_PAUSE_SECONDS)
        return self._look(-1)

    def close(self) -> None:
        """Let the mapping go; `values` must not be used afterwards. Twice is nothing."""
        for view in (self.values, self._words, self._entries, self._labels, self._view):
            view.release()
        self._mapping.close()

    def _look(self, moves: int) -> dict[SeriesKey, int]:
        """One look at all of it; names are decoded anew where cells have moved since the last one."""
        if moves != self._moves:
            self._keys.clear()
            self._moves = moves
        self._catch_up()
        values = self.values[RESERVED : RESERVED + len(self._keys)].tolist()
        found = {key: value for key, value in zip(self._keys, values, strict=True) if key is not None}
        found[REFUSED] = self._words[REFUSALS]
        return found

    def _catch_up(self) -> None:
        """Decode the entries published since the last look; until cells move, entries never change."""
        published = min(self._words[PUBLISHED], self._capacity)
        for index in range(RESERVED + len(self._keys), published):
            at = index * ENTRY_WORDS
            offset, length, checksum = self._entries[at : at + 3]
            label = bytes(self._labels[offset : offset + length])
            key = decoded(label) if length and zlib.crc32(label) == checksum else None
            if key is None and length:
                return
            self._keys.append(key)


def open_table(path: Path) -> SeriesTable:
    """The table that another process writes; StoreError for what is not one, or is cut short."""
    size = path.stat().st_size
    if size < WORDS * 8:
        raise StoreError(f"{path}: wanted a table of counters, found only {size} bytes; move the folder away")
    mapping = mapped(path, writable=False)
    head = memoryview(mapping)[: WORDS * 8].cast("q")
    magic, form, cells = head[0], head[1], head[2]
    head.release()
    if magic == MAGIC and form > FORMAT:
        mapping.close()
        raise NewerStoreError(newer(path, "a table of counters", form, FORMAT))
    fits = magic == MAGIC and form == FORMAT and RESERVED < cells <= LARGEST + RESERVED
    if not fits or size < regions(cells)[3]:
        mapping.close()
        raise StoreError(f"{path}: wanted a table of counters, found something else; move the folder away")
    return SeriesTable(mapping, cells)


def regions(cells: int) -> tuple[int, int, int, int]:
    """Where header, entries, labels and values end."""
    entries = WORDS * 8 + cells * ENTRY_WORDS * 4
    labels = entries + cells * LABEL_BYTES
    return WORDS * 8, entries, labels, labels + cells * 8


def mapped(path: Path, *, writable: bool) -> mmap.mmap:
    """The whole file in memory."""
    descriptor = os.open(path, os.O_RDWR if writable else os.O_RDONLY)
    try:
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ)
    finally:
        os.close(descriptor)
