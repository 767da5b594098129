"""What a power cut leaves of an SQLite database, at any commit, in any half-written state.

A commit appends to the write-ahead log and syncs it, and may then copy pages into the database and sync that.
A log whose pages are all copied is begun anew: its header is written and synced before anything behind it. So
a cut leaves one of these mixtures, sector by sector, of what was there before and after:

    while a log is begun anew       the old database, and the old log with the old, the new or no header
    while the commit is written     the old database, and a mixture of old and new log behind its header
    while pages are copied          the new log whole, and a mixture of old and new database

What was being written may also hold zeros or garbage, and the last bytes may be missing; other bytes of its
sector stay (SQLite's "powersafe overwrite", which file systems and disks of today give). The log's index is
shared memory and never survives.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

SECTOR: Final = 512
HEADER: Final = 32


class Disk:
    """The bytes of one database as they were before and after the newest commit."""

    def __init__(self, path: Path, seed: int = 7) -> None:
        self._path = path
        self._draw = random.Random(seed)
        self._number = 0
        self._before = self._after = self._now()

    def _now(self) -> tuple[bytes, bytes]:
        log = self._path.with_name(f"{self._path.name}-wal")
        return self._path.read_bytes(), log.read_bytes() if log.exists() else b""

    def committed(self) -> None:
        """Call after every single commit."""
        self._before, self._after = self._after, self._now()

    def cuts(self, folder: Path, tails: int) -> Iterator[tuple[Path, bool]]:
        """(copy, whether the newest commit must be in it): two for each of `tails`, and one after."""
        (old, old_log), (new, new_log) = self._before, self._after
        for _ in range(tails):
            yield self._write(folder, old, self._torn_log(old_log, new_log)), False
            yield self._write(folder, self._torn(old, new), new_log), True
        yield self._write(folder, new, new_log), True

    def _torn_log(self, old: bytes, new: bytes) -> bytes:
        begun_anew = old[:HEADER] != new[:HEADER]
        if begun_anew and self._draw.random() < 0.3:
            header = self._draw.choice([new[:HEADER], bytes(HEADER), self._draw.randbytes(HEADER)])
            return header + old[HEADER:]
        return new[:HEADER] + self._torn(old[HEADER:], new[HEADER:])

    def _torn(self, old: bytes, new: bytes) -> bytes:
        """Sector by sector the old bytes, the new, or neither, where they differ; and any length between."""
        length = self._draw.randint(min(len(old), len(new)), max(len(old), len(new)))
        mixed = bytearray(new[:length].ljust(length, b"\0"))
        likely = self._draw.random()
        for at in range(0, length, SECTOR):
            if old[at : at + SECTOR] == new[at : at + SECTOR] or self._draw.random() < likely:
                continue
            written = slice(*_changed(old, new, at, min(at + SECTOR, length)))
            size = written.stop - written.start
            kinds = [old[written].ljust(size, b"\0"), bytes(size), self._draw.randbytes(size)]
            mixed[written] = self._draw.choice(kinds)
        return bytes(mixed)

    def _write(self, folder: Path, database: bytes, log: bytes) -> Path:
        self._number += 1
        place = folder / f"cut-{self._number}"
        place.mkdir(parents=True)
        copy = place / self._path.name
        copy.write_bytes(database)
        copy.with_name(f"{copy.name}-wal").write_bytes(log)
        return copy


def _changed(old: bytes, new: bytes, start: int, stop: int) -> tuple[int, int]:
    """Where within [start, stop) the bytes that differ begin and end; all of it where `new` is shorter."""
    if stop > len(new):
        return start, stop
    differ = [at for at in range(start, stop) if at >= len(old) or old[at] != new[at]]
    return (differ[0], differ[-1] + 1) if differ else (start, start)
