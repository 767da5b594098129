"""The folder of one `up` inside the data folder: both programs' settings and ready files, while it lives.

    up-XXXXXXXX/    lock (held by `up`), gateway.json, monitor.json, gateway.ready, monitor.ready,
                    in-force.json (what the programs tell of their settings)

Rules: one at a time makes or removes such a folder, so one without a held lock belongs to the dead and may be
removed by whoever comes next, and of two that start at once the second is refused before it starts anything:
else each might take what the other's programs want. It may hold secrets, as the settings do: nothing of it
outlives its `up`, but for one that was killed, until the next start or repair.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from groundwork import decoders
from groundwork.errors import LockedError
from groundwork.files import LOCK_NAME, FolderLock, in_turn, lock_is_held

PREFIX: Final = "up-"
_PORTS: Final = (
    ("gateway", "http", "http.port"),
    ("gateway", "operator", "operator.port"),
    ("gateway", "grpc", "grpc.port"),
    ("monitor", "", "monitor.port"),
)


class _Place(msgspec.Struct, frozen=True):
    """What is read of a section; all else in it is passed over."""

    host: str
    port: int | None


@contextlib.contextmanager
def ring_folder(data: Path) -> Iterator[Path]:
    """A new folder, which is removed at the end; those of the dead are removed now.

    OSError; LockedError where another `up` of this data folder lives.
    """
    with in_turn(data):
        _remove_dead(data)
        for living in filter(lock_is_held, data.glob(f"{PREFIX}*")):
            raise LockedError(
                f"{data} is in use by another `driftgate up` ({living / LOCK_NAME} is locked); stop that one "
                "first, or name another --data"
            )
        made = Path(tempfile.mkdtemp(prefix=PREFIX, dir=data))
        lock = FolderLock.acquire(made)
    try:
        yield made
    finally:
        lock.release()
        shutil.rmtree(made, ignore_errors=True)


def remove_dead(data: Path) -> list[Path]:
    """Remove what killed `up`s left in a data folder; what was removed."""
    with in_turn(data):
        return _remove_dead(data)


def _remove_dead(data: Path) -> list[Path]:
    dead = [path for path in sorted(data.glob(f"{PREFIX}*")) if not lock_is_held(path)]
    for path in dead:
        shutil.rmtree(path, ignore_errors=True)
    return dead


def addresses(data: Path) -> dict[str, tuple[str, int]]:
    """Setting of a port -> (host, port) that a living `up` of this data folder has; 0 before it is found.

    `up` keeps both programs' settings with the ports that they hold, also while one is started again.
    """
    found: dict[str, tuple[str, int]] = {}
    for folder in data.glob(f"{PREFIX}*"):
        if lock_is_held(folder):
            for program, section, setting in _PORTS:
                place = _place(folder / f"{program}.json", section)
                if place is not None:
                    found[setting] = place
    return found


def _place(file: Path, section: str) -> tuple[str, int] | None:
    """Host and port in a section of a settings file ("": at its top); None where it names none."""
    try:
        document = decoders.json_of(dict[str, Any]).decode(file.read_bytes())
        place = decoders.converted(document[section] if section else document, _Place)
    except (OSError, KeyError, msgspec.DecodeError):
        return None
    return None if place.port is None else (place.host, place.port)
