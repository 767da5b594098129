"""The stamp of a data folder: folder.json, which says how its files are arranged and who wrote it last.

Rules: whoever is about to write the folder claims it first, holding its lock. The stamp's format covers the
arrangement and every file that carries no version of its own (`id.key`, `slots/next`, lock files); databases,
segments, counters, row files and documents carry their own. A folder without a stamp is from before there
were stamps; a newer one is refused before anything in it is touched.

Refuses to know: what the files mean.
"""

import contextlib
import os
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import msgspec

from groundwork.errors import StoreError
from groundwork.files import write_atomic
from groundwork.versioned import read_document

NAME: Final = "folder.json"
FORMAT: Final = 1


class Stamp(msgspec.Struct, frozen=True):
    """The document; fields that a later program of the same format adds are passed over."""

    format: int = FORMAT
    written_by: str = ""


@contextlib.contextmanager
def ours(data: Path) -> Iterator[None]:
    """What the system keeps from us inside is a StoreError that names folder, file, user and what to do."""
    try:
        yield
    except OSError as error:
        where = "" if error.filename in {None, str(data), data} else f" at {error.filename}"
        give = "give it to that user (chown), or " if isinstance(error, PermissionError) else ""
        raise StoreError(
            f"{data}: wanted a data folder that this program (uid {os.geteuid()}) may read and write, "
            f"found{where}: {error.strerror or error}; {give}name another with --data"
        ) from error


def read_stamp(data: Path) -> Stamp | None:
    """The folder's stamp, or None; NewerStoreError for a newer folder, StoreError for a damaged stamp."""
    try:
        return read_document(data / NAME, Stamp, what="a data folder")
    except FileNotFoundError:
        return None


def claim(data: Path) -> Stamp:
    """Stamp the folder as ours, if it is not; the caller holds its lock. Raises as `read_stamp`."""
    stamp = Stamp(written_by=product_version())
    if read_stamp(data) != stamp:
        write_atomic(data / NAME, msgspec.json.encode(stamp) + b"\n")
    return stamp


def product_version() -> str:
    """The installed version of driftgate; "unknown" where it runs without having been installed."""
    try:
        return version("driftgate")
    except PackageNotFoundError:
        return "unknown"
