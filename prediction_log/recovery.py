"""What a dead worker's slot still holds goes into the log.

Rules:

* It needs no model: a row file's halves are frames.
* It may be killed anywhere and be repeated by anyone: what is already in the log is skipped by its stream's
  last sequence, and a row file is removed only when all of it is in the log.
* A row file with a half that is no frame any more is reported and kept outside its slot, which is removed
  in the end: in the folder UNREADABLE_FOLDER beside it.
* A slot of a past boot is not spooled: the power may have been cut while pages of its files were on their way
  to the disk, and a head that is there says nothing of the rows behind it. The log is told instead how many
  rows it lacks, in one loss frame per stream, on that stream, so that told again it is skipped: every
  sequence number between the log's last and the last that a head names. That is at most what is known to be
  lost: numbers that sampling did not draw are among them, those that no head on the disk names are not.

Only for slots whose worker is dead (groundwork.slots tells): a live one writes while we would read.
"""

import contextlib
import itertools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from groundwork.boot import is_past
from groundwork.clock import Clock
from groundwork.slots import SlotReading
from prediction_log.errors import FrameError
from prediction_log.frame import Frame, decode, encode
from prediction_log.layout import Head
from prediction_log.record import Kind, loss_schema
from prediction_log.rows import SUFFIX, recover_buffers
from prediction_log.spill import stream_of
from prediction_log.spooling import heads
from prediction_log.transport import Sink
from prediction_log.validation import check_counts

UNREADABLE: Final = ".unreadable"
UNREADABLE_FOLDER: Final = "unreadable"
POWER_CUT: Final = b"power cut, at most"
"""The reason of a loss frame for the rows that a slot of a past boot held."""

_log: Final = logging.getLogger(__name__)


class Taken(msgspec.Struct, frozen=True):
    """What became of a slot's rows: new in the log, or told there as lost (at most so many)."""

    rows: int = 0
    lost: int = 0


def take_over(slot: SlotReading, sink: Sink, boot: str, clock: Clock) -> Taken:
    """Bring a dead slot's rows into the log or, where its boot is not `boot`, tell how many it lacks.

    Raises what `sink.write` raises; the call can then be made again.
    """
    if is_past(slot.boot, boot):
        return Taken(lost=forfeit_slot(slot.folder, sink, clock.now()))
    return Taken(rows=recover_slot(slot.folder, sink))


def forfeit_slot(slot_folder: Path, sink: Sink, now: int) -> int:
    """Tell the log what it lacks of a slot that may be torn, and remove its row files; how many rows at most.

    `now` in unix ns. Raises what `sink.write` raises; the files not yet told of then stay.
    """
    return sum(_forfeit_stream(files, sink, now) for files in _by_stream(slot_folder))


def recover_slot(slot_folder: Path, sink: Sink) -> int:
    """Spool every row left in a dead worker's slot and remove its row files; returns the rows that were new.

    Raises what `sink.write` raises; the files not yet spooled then stay, and the call can be made again.
    """
    return sum(_recover_stream(files, sink) for files in _by_stream(slot_folder))


def _by_stream(slot_folder: Path) -> list[list[Path]]:
    """The row files of a slot, those of one stream together and in the order of their sequences."""
    paths = sorted(slot_folder.glob(f"*{SUFFIX}"), key=lambda path: (stream_of(path), path.name))
    return [list(files) for _, files in itertools.groupby(paths, stream_of)]


def _forfeit_stream(paths: Sequence[Path], sink: Sink, now: int) -> int:
    """Tell of one stream, by whatever heads of it the disk has."""
    found = [head for path in paths for head in heads(path) if _is_sound(head)]
    if not found:
        for path in paths:
            _log.error("the power was cut and %s says nothing any more; it is kept as %s", path, _kept(path))
        return 0
    last = max(found, key=lambda head: head.end)
    reached = sink.reached(last.incarnation, last.stream)
    lost = max(0, last.end - reached)
    if lost:
        sink.write([_loss(last, reached, now)])
    for path in paths:
        path.unlink(missing_ok=True)
    return lost


def _is_sound(head: Head) -> bool:
    with contextlib.suppress(FrameError):
        check_counts(head)
        return head.incarnation > 0
    return False


def _loss(last: Head, first: int, now: int) -> bytes:
    """The loss of [first, end of `last`), as a frame of its stream."""
    columns = {
        "time": now,
        "kind": last.kind,
        "incarnation": last.incarnation,
        "stream": last.stream,
        "count": last.end - first,
        "reason": [POWER_CUT],
        "upto": [b""],
    }
    return encode(
        Kind.LOSS, loss_schema(), columns,
        rows=1, incarnation=last.incarnation, stream=last.stream, first=first, end=last.end,
    )  # fmt: skip


def _recover_stream(paths: Sequence[Path], sink: Sink) -> int:
    """The row file of one stream and what was spilled of it, in the order of their sequences."""
    found: list[bytes] = []
    broken: dict[Path, list[FrameError]] = {}
    for path in paths:
        with contextlib.suppress(FileNotFoundError):  # somebody else has just spooled all of it
            frames, unreadable = recover_buffers(path)
            found += frames
            broken[path] = unreadable
    rows = 0
    for frame in sorted(map(_decoded, found), key=lambda frame: (frame[0].first, not frame[0].rows)):
        # One at a time, oldest first: the sink says for each whether it was new.
        rows += frame[0].rows if sink.write([frame[1]]) else 0
    for path, unreadable in broken.items():
        if unreadable:
            kept = _kept(path)
            for error in unreadable:
                _log.error("rows of a dead worker cannot be read: %s; the file is kept as %s", error, kept)
        else:
            path.unlink(missing_ok=True)
    return rows


def _kept(path: Path) -> Path:
    """Where an unreadable row file lies from now on: beside its slot, whose number is put before its name."""
    slot = path.parent
    folder = slot.with_name(UNREADABLE_FOLDER)
    folder.mkdir(mode=0o700, exist_ok=True)
    return path.rename(folder / f"{slot.name}-{path.name}{UNREADABLE}")


def _decoded(body: bytes) -> tuple[Frame, bytes]:
    return decode(body, verify=False), body
