"""Copies of graphs as onnxruntime rewrites them, in `cache/`: which there are, and what came of making them.

    <digest>.<engine>.<level>.optimised         the rewritten graph
    <digest>.<engine>.<level>.optimised.json    its record: wanted, then tried, then kept or left

`digest` is that of the published graph, `engine` stands for the release of onnxruntime and the kind of
processor that it was rewritten for, `level` for how far.

Rules:
1. A worker in which opening took long wants a copy; all further steps are the supervisor's, one at a time.
2. A copy is tried once. It is kept only where it was seen to pay and to answer the same; why not is recorded.
3. A copy is opened only where a record keeps it and its bytes have the digest of that record.
4. Nothing here can hurt: where anything is wrong with a copy, the published graph is opened.

It knows no runtime.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec

from gateway.options import CPU, RunOptions
from gateway.run_settings import Optimisation
from groundwork import decoders
from groundwork.errors import DriftgateError
from groundwork.files import create_once, write_atomic

SUFFIX: Final = ".optimised"
RECORD: Final = f"{SUFFIX}.json"


class Copy(msgspec.Struct, frozen=True):
    """The record of one copy.

    `artifact` is the published graph's file, of `size` bytes; `sha256` is of the copy. `before` and
    `after` are the seconds of processor that opening takes, from the published graph and from the copy.
    `reason` says why a copy was left.
    """

    model: str
    version: str
    digest: str
    artifact: str
    size: int
    level: Optimisation
    state: Literal["wanted", "tried", "kept", "left"] = "wanted"
    sha256: str = ""
    before: float = 0.0
    after: float = 0.0
    reason: str = ""


def name_of(digest: str, engine: str, options: RunOptions) -> str | None:
    """The name of a copy, without suffix; None where these options leave nothing to keep."""
    if options.optimisation == "none" or options.providers != (CPU,):
        return None
    return f"{digest.removeprefix('sha256:')}.{engine}.{options.optimisation}"


def want(cache: Path, name: str, copy: Copy) -> None:
    """Ask the supervisor to make a copy, unless that was asked for before; never raises."""
    with contextlib.suppress(DriftgateError, OSError):
        create_once(cache / f"{name}{RECORD}", msgspec.json.encode(copy))


def wanted(cache: Path) -> Iterator[tuple[str, Copy]]:
    """(name, record) of each copy that is asked for."""
    for path in sorted(cache.glob(f"*{RECORD}")):
        name = path.name.removesuffix(RECORD)
        copy = read(cache, name)
        if copy is not None and copy.state == "wanted":
            yield name, copy


def read(cache: Path, name: str) -> Copy | None:
    """A copy's record; None where there is none, or none that is understood."""
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        return decoders.json_of(Copy).decode((cache / f"{name}{RECORD}").read_bytes())
    return None


def write(cache: Path, name: str, copy: Copy) -> None:
    """Record how far it has come. NoRoomError or OSError where that cannot be."""
    write_atomic(cache / f"{name}{RECORD}", msgspec.json.encode(copy))


def kept(cache: Path, name: str) -> Path | None:
    """The copy to open in place of the published graph, once its bytes are known to be right.

    One that is damaged or gone, or whose record is, is forgotten, so that it is wanted anew.
    """
    copy, path = read(cache, name), cache / f"{name}{SUFFIX}"
    if copy is not None and copy.state != "kept":
        return None
    with contextlib.suppress(OSError):
        if copy is not None and digest_of(path) == copy.sha256:
            return path
    with contextlib.suppress(OSError):
        (cache / f"{name}{RECORD}").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
    return None


def give_up(cache: Path, name: str, reason: str) -> None:
    """Record that a copy is not to be opened any more, and remove it; never raises."""
    copy = read(cache, name)
    with contextlib.suppress(DriftgateError, OSError):
        if copy is not None:
            write(cache, name, msgspec.structs.replace(copy, state="left", reason=reason))
        (cache / f"{name}{SUFFIX}").unlink(missing_ok=True)


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, in hex; reads it once."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def discard_older(cache: Path, name: str) -> None:
    """Remove copies of the same graph, and their records, that were made for another engine."""
    digest, engine, _ = name.split(".")
    for path in cache.glob(f"{digest}.*{SUFFIX}*"):
        if path.name.split(".")[1] != engine:
            path.unlink(missing_ok=True)
