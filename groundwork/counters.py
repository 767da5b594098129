"""One mapped table of int64 series: one process adds, any process reads, nobody locks.

The file (native byte order: it never leaves its machine) is four regions, each 8-aligned:

    header    8 words   magic, format, capacity, label capacity, published, refused, moves, 0
    entries   16 bytes per series: offset u32, length u32 (into the label bytes), crc32 u32, 0 u32
    labels    msgpack [name, [[label, value], …], kind] of each series; a length of 0 marks a free cell
    values    8 bytes per series

Rules:
1. A series is published in this order: label bytes, entry, then the count. A reader takes what is counted and
   stops at an entry whose checksum does not hold yet: it sees a prefix of the table, never a broken series.
2. The first RESERVED value cells belong to no series. When the table is full the writer is sent to cell 0 (a
   block to cells 0, 1, …): its adds vanish without harm and the refusal is counted, as the series REFUSED.
3. A value is one aligned word: a reader sees it before or after an add, never between. Only the one thread
   that owns a series may add to it.
4. The file is mapped at its full length and never shrinks. Its blocks are reserved STEP cells at a time,
   before one of these is given out: on a full disk writing to a mapped page without a block kills the writer.
5. Series that are done with are released: what a counter counted is added to a series that gathers such, so
   that sums stay, and the cell is used again. `moves` is odd meanwhile; a reader that saw it odd or changed
   looks again. (A writer that is killed within the microsecond between two steps of one move leaves that one
   count twice.)

Refuses to know: what is counted. Cost: `values[i] += 1` is some 60 ns; `series` and `read` are for set-up and
for readers.
"""

import contextlib
import mmap
import os
import threading
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, Self

import msgspec

from groundwork import decoders
from groundwork.errors import NewerStoreError, NoRoomError, StoreError
from groundwork.files import allocate, allocate_parts
from groundwork.spans import Spans
from groundwork.versioned import newer

Kind = Literal["counter", "gauge"]
"""A counter only grows and outlives its process; a gauge is a fact about a living one."""


class SeriesKey(msgspec.Struct, frozen=True):
    """What a series is called: name, labels sorted by label, and kind."""

    name: str
    labels: tuple[tuple[str, str], ...]
    kind: str = "counter"


_DECODER: Final = decoders.msgpack_of(tuple[str, tuple[tuple[str, str], ...], Kind])
RESERVED: Final = 64
"""Cells without a series; also the longest block."""
LABEL_BYTES: Final = 96
"""Label bytes set aside per series; when they run out the table is full."""
STEP: Final = 8192
"""Cells, with their entries and labels, whose blocks are reserved together: about a megabyte."""
MOST: Final = 65_536
"""Series of a table, unless another number is asked for."""
REFUSED: Final = SeriesKey("driftgate_series_refused_total", ())
"""Appears in `read`: how often a series was asked for and found no room."""

_MAGIC: Final = int.from_bytes(b"DGCOUNT1", "little")
_FORMAT: Final = 1
_WORDS: Final = 8
_PUBLISHED: Final = 4
_REFUSED: Final = 5
_MOVES: Final = 6
_GRAIN: Final = 16
_LOOKS: Final = 200
"""How often a reader looks again before it takes the table as a writer that died has left it."""
_PAUSE_SECONDS: Final = 0.0005
_ENTRY_WORDS: Final = 4
_LARGEST: Final = 1 << 20


class Counters:
    """A table of series, made by its one writer with `create` and read by others with `open`.

    `values` is the hot path: a memoryview of int64, one per series, by the index that `series` gave.
    """

    values: memoryview

    def __init__(self, mapping: mmap.mmap, capacity: int, descriptor: int | None = None) -> None:
        self._mapping = mapping
        self._descriptor = descriptor
        self._view = memoryview(mapping)
        regions = _regions(capacity)
        self._words = self._view[: regions[0]].cast("q")
        self._entries = self._view[regions[0] : regions[1]].cast("I")
        self._labels = self._view[regions[1] : regions[2]]
        self.values = self._view[regions[2] : regions[3]].cast("q")
        self._capacity = capacity
        self._reserved = 0
        self._cells = Spans(RESERVED, 0)
        self._spans = Spans(0, 0, grain=_GRAIN)
        self._indexes: dict[SeriesKey, int] = {}
        self._blocks: dict[int, int] = {}
        self._keys: list[SeriesKey | None] = []
        self._moves = 0
        self._adding = threading.Lock()

    @classmethod
    def create(cls, path: Path, *, capacity: int = MOST) -> Self:
        """Make a new table for at most `capacity` series; the file must not exist.

        NoRoomError when the disk cannot hold its first STEP cells: about 120 bytes per series.
        """
        if not 0 < capacity <= _LARGEST:
            raise ValueError(f"a table of counters holds 1 to {_LARGEST} series, not {capacity}")
        if path.exists():
            raise StoreError(f"{path}: wanted a new table of counters, found a file; one writer, one file")
        cells = capacity + RESERVED
        allocate(path, _WORDS * 8)
        descriptor = os.open(path, os.O_RDWR)
        with contextlib.ExitStack() as undo:
            undo.callback(path.unlink, missing_ok=True)
            undo.callback(os.close, descriptor)
            os.ftruncate(descriptor, _regions(cells)[3])
            table = cls(_mapped(path, writable=True), cells, descriptor)
            if not table._grow():
                raise NoRoomError(f"{path}: no room for {min(STEP, capacity)} series; free disk space")
            undo.pop_all()
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

    def release(self, labels: Mapping[str, str], into: Mapping[str, str]) -> None:
        """Let every series go that has all of `labels`; nobody may add to one of them any more.

        A gauge is forgotten. What a counter counted goes to the series that has the labels of `into` in place
        of its own; a label that it lacks is left out. Some 10 µs a series.
        """
        wanted = tuple(labels.items())
        with self._adding:
            leaving = [key for key in self._indexes if all(label in key.labels for label in wanted)]
            if not leaving:
                return
            self._words[_MOVES] += 1
            for key in leaving:
                self._move(key, into)
            self._words[_MOVES] += 1

    def read(self) -> dict[SeriesKey, int]:
        """Every published series and its value now; a half-published one is left out."""
        pause = threading.Event()
        for _ in range(_LOOKS):
            moves = self._words[_MOVES]
            if moves % 2 == 0:
                found = self._look(moves)
                if self._words[_MOVES] == moves:
                    return found
            pause.wait(_PAUSE_SECONDS)
        return self._look(-1)

    def close(self) -> None:
        """Let the mapping go; `values` must not be used afterwards. Twice is nothing."""
        for view in (self.values, self._words, self._entries, self._labels, self._view):
            view.release()
        self._mapping.close()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _grow(self) -> bool:
        """Reserve the blocks of the next cells; False where there are no more, or no room on the disk."""
        first, last = self._reserved, min(self._capacity, self._reserved + STEP + RESERVED)
        if self._descriptor is None or first >= last:
            return False
        bounds = _regions(self._capacity)
        sizes = (_ENTRY_WORDS * 4, LABEL_BYTES, 8)
        parts = [
            (start + first * size, start + last * size) for start, size in zip(bounds[:3], sizes, strict=True)
        ]
        if not allocate_parts(self._descriptor, parts):
            return False
        self._reserved = last
        self._cells.extend(last)
        self._spans.extend(last * LABEL_BYTES)
        return True

    def _indexed(self, keys: list[SeriesKey]) -> int:
        with self._adding:
            known = self._indexes.get(keys[0])
            if known is not None:
                return known
            encoded = [_encoded(key) for key in keys]
            first = self._room_for(encoded)
            while first is None and self._grow():
                first = self._room_for(encoded)
            if first is None:
                self._words[_REFUSED] += 1
                return 0
            is_new = first >= self._words[_PUBLISHED]
            self._words[_MOVES] += 0 if is_new else 1
            for index, (key, label) in enumerate(zip(keys, encoded, strict=True), first):
                self._enter(index, label)
                self._indexes[key] = index
            self._blocks[first] = len(keys)
            if is_new:
                self._words[_PUBLISHED] = first + len(keys)
            else:
                self._words[_MOVES] += 1
            return first

    def _room_for(self, labels: list[bytes]) -> int | None:
        """The first of as many cells, their entries pointing to room for these labels; None without room."""
        first = self._cells.take(len(labels))
        if first is None:
            return None
        taken: list[tuple[int, int]] = []
        for label in labels:
            offset = self._spans.take(len(label))
            if offset is None:
                for start, length in taken:
                    self._spans.give(start, length)
                self._cells.give(first, len(labels))
                return None
            taken.append((offset, len(label)))
        for index, (offset, _) in enumerate(taken, first):
            self._entries[index * _ENTRY_WORDS] = offset
        return first

    def _move(self, key: SeriesKey, into: Mapping[str, str]) -> None:
        """Gather one series, or give it the gathering one's name where that is not there yet."""
        index = self._indexes.pop(key)
        target = SeriesKey(
            key.name, tuple((name, into.get(name, value)) for name, value in key.labels), key.kind
        )
        other = self._indexes.get(target)
        if key.kind == "counter" and other is None:
            self._rename(index, key, target)
            return
        if key.kind == "counter" and other is not None:
            self.values[other] += self.values[index]
        self.values[index] = 0
        self._free(index)

    def _rename(self, index: int, key: SeriesKey, target: SeriesKey) -> None:
        """Give a cell another name; without room for that it keeps its own."""
        label = _encoded(target)
        offset = self._spans.take(len(label))
        if offset is None and self._grow():
            offset = self._spans.take(len(label))
        if offset is None:
            self._indexes[key] = index
            return
        at = index * _ENTRY_WORDS
        self._spans.give(self._entries[at], self._entries[at + 1])
        self._entries[at] = offset
        self._enter(index, label)
        self._indexes[target] = index

    def _free(self, index: int) -> None:
        """Take the name from a cell; its block is used again when all its cells are free."""
        at = index * _ENTRY_WORDS
        self._spans.give(self._entries[at], self._entries[at + 1])
        self._entries[at + 1] = self._entries[at + 2] = 0
        first = next(start for start in range(index, -1, -1) if start in self._blocks)
        size = self._blocks[first]
        if all(self._entries[cell * _ENTRY_WORDS + 1] == 0 for cell in range(first, first + size)):
            del self._blocks[first]
            self._cells.give(first, size)

    def _enter(self, index: int, label: bytes) -> None:
        """Label bytes where the entry points, then the entry; nobody looks at it until that is said."""
        at = index * _ENTRY_WORDS
        offset = self._entries[at]
        self._labels[offset : offset + len(label)] = label
        self._entries[at + 1] = len(label)
        self._entries[at + 2] = zlib.crc32(label)

    def _look(self, moves: int) -> dict[SeriesKey, int]:
        """One look at all of it; names are decoded anew where cells have moved since the last one."""
        if moves != self._moves:
            self._keys.clear()
            self._moves = moves
        self._catch_up()
        values = self.values[RESERVED : RESERVED + len(self._keys)].tolist()
        found = {key: value for key, value in zip(self._keys, values, strict=True) if key is not None}
        found[REFUSED] = self._words[_REFUSED]
        return found

    def _catch_up(self) -> None:
        """Decode the entries published since the last look; until cells move, entries never change."""
        published = min(self._words[_PUBLISHED], self._capacity)
        for index in range(RESERVED + len(self._keys), published):
            at = index * _ENTRY_WORDS
            offset, length, checksum = self._entries[at : at + 3]
            label = bytes(self._labels[offset : offset + length])
            key = _decoded(label) if length and zlib.crc32(label) == checksum else None
            if key is None and length:
                return
            self._keys.append(key)


def _encoded(key: SeriesKey) -> bytes:
    return msgspec.msgpack.encode((key.name, key.labels, key.kind))


def _decoded(label: bytes) -> SeriesKey | None:
    """The key in these bytes, or None when there is none to be had."""
    try:
        return SeriesKey(*_DECODER.decode(label))
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
