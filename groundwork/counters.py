"""Who adds to a table of series (`groundwork.series_table`), one a file: names, cells, and room for them.

Rules:
1. Only the one thread that owns a series may add to it.
2. When the table is full the writer is sent to cell 0 (a block to cells 0, 1, …), which no series has: its
   adds vanish without harm and the refusal is counted, as the series REFUSED.
3. The file is mapped at its full length and never shrinks. Its blocks are reserved STEP cells at a time,
   before one of these is given out: on a full disk writing to a mapped page without a block kills the writer.
4. Series that are done with are released: what a counter counted is added to a series that gathers such, so
   that sums stay, and the cell is used again. (A writer that is killed within the microsecond between two
   steps of one move leaves that one count twice.)

Refuses to know: what is counted. Cost: `values[i] += 1` is some 60 ns; `series` is for set-up.
"""

import contextlib
import mmap
import os
import threading
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from groundwork.errors import NoRoomError, StoreError
from groundwork.files import allocate, allocate_parts
from groundwork.series import Kind, SeriesKey, encoded
from groundwork.series_table import (
    ENTRY_WORDS,
    FORMAT,
    LABEL_BYTES,
    LARGEST,
    MAGIC,
    MOVES,
    PUBLISHED,
    REFUSALS,
    RESERVED,
    WORDS,
    SeriesTable,
    mapped,
    regions,
)
from groundwork.spans import Spans

STEP: Final = 8192
"""Cells, with their entries and labels, whose blocks are reserved together: about a megabyte."""
MOST: Final = 65_536
"""Series of a table, unless another number is asked for."""
_GRAIN: Final = 16


class Counters(SeriesTable):
    """A table of series, made by its one writer.

    `values` is the hot path: by the index that `series` gave.
    """

    def __init__(self, mapping: mmap.mmap, capacity: int, descriptor: int) -> None:
        super().__init__(mapping, capacity)
        self._descriptor: int | None = descriptor
        self._reserved = 0
        self._cells = Spans(RESERVED, 0)
        self._spans = Spans(0, 0, grain=_GRAIN)
        self._indexes: dict[SeriesKey, int] = {}
        self._blocks: dict[int, int] = {}
        self._adding = threading.Lock()

    @classmethod
    def create(cls, path: Path, *, capacity: int = MOST) -> Self:
        """Make a new table for at most `capacity` series; the file must not exist.

        NoRoomError when the disk cannot hold its first STEP cells: about 120 bytes per series.
        """
        if not 0 < capacity <= LARGEST:
            raise ValueError(f"a table of counters holds 1 to {LARGEST} series, not {capacity}")
        if path.exists():
            raise StoreError(f"{path}: wanted a new table of counters, found a file; one writer, one file")
        cells = capacity + RESERVED
        allocate(path, WORDS * 8)
        descriptor = os.open(path, os.O_RDWR)
        with contextlib.ExitStack() as undo:
            undo.callback(path.unlink, missing_ok=True)
            undo.callback(os.close, descriptor)
            os.ftruncate(descriptor, regions(cells)[3])
            table = cls(mapped(path, writable=True), cells, descriptor)
            if not table._grow():
                raise NoRoomError(f"{path}: no room for {min(STEP, capacity)} series; free disk space")
            undo.pop_all()
        # The magic number last: until it stands, the file is not a table.
        for word, value in enumerate((FORMAT, cells, len(table._labels), RESERVED), 1):
            table._words[word] = value
        table._words[0] = MAGIC
        return table

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
            self._words[MOVES] += 1
            for key in leaving:
                self._move(key, into)
            self._words[MOVES] += 1

    def close(self) -> None:
        """As `SeriesTable.close`; the file stays."""
        super().close()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _grow(self) -> bool:
        """Reserve the blocks of the next cells; False where there are no more, or no room on the disk."""
        first, last = self._reserved, min(self._capacity, self._reserved + STEP + RESERVED)
        if self._descriptor is None or first >= last:
            return False
        bounds = regions(self._capacity)
        sizes = (ENTRY_WORDS * 4, LABEL_BYTES, 8)
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
            labels = [encoded(key) for key in keys]
            first = self._room_for(labels)
            while first is None and self._grow():
                first = self._room_for(labels)
            if first is None:
                self._words[REFUSALS] += 1
                return 0
            is_new = first >= self._words[PUBLISHED]
            self._words[MOVES] += 0 if is_new else 1
            for index, (key, label) in enumerate(zip(keys, labels, strict=True), first):
                self._enter(index, label)
                self._indexes[key] = index
            self._blocks[first] = len(keys)
            if is_new:
                self._words[PUBLISHED] = first + len(keys)
            else:
                self._words[MOVES] += 1
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
            self._entries[index * ENTRY_WORDS] = offset
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
        label = encoded(target)
        offset = self._spans.take(len(label))
        if offset is None and self._grow():
            offset = self._spans.take(len(label))
        if offset is None:
            self._indexes[key] = index
            return
        at = index * ENTRY_WORDS
        self._spans.give(self._entries[at], self._entries[at + 1])
        self._entries[at] = offset
        self._enter(index, label)
        self._indexes[target] = index

    def _free(self, index: int) -> None:
        """Take the name from a cell; its block is used again when all its cells are free."""
        at = index * ENTRY_WORDS
        self._spans.give(self._entries[at], self._entries[at + 1])
        self._entries[at + 1] = self._entries[at + 2] = 0
        first = next(start for start in range(index, -1, -1) if start in self._blocks)
        size = self._blocks[first]
        if all(self._entries[cell * ENTRY_WORDS + 1] == 0 for cell in range(first, first + size)):
            del self._blocks[first]
            self._cells.give(first, size)

    def _enter(self, index: int, label: bytes) -> None:
        """Label bytes where the entry points, then the entry; nobody looks at it until that is said."""
        at = index * ENTRY_WORDS
        offset = self._entries[at]
        self._labels[offset : offset + len(label)] = label
        self._entries[at + 1] = len(label)
        self._entries[at + 2] = zlib.crc32(label)
