"""What a dead worker's slot still holds goes into the log.

Rules:

* It needs no model: a row file's halves are frames.
* It may be killed anywhere and be repeated by anyone: what is already in the log is skipped by its stream's
  last sequence, and a row file is removed only when all of it is in the log.
* A row file with a half that is no frame any more is reported and kept outside its slot, which is removed
  in the end: in the folder UNREADABLE_FOLDER beside it. The log is told what is known of its rows, on their
  stream: where the half's head can still be read, how many it had, exactly; where it cannot, the numbers that
  lie between the log and the next frame of the stream, which are at most so many rows, for those that
  sampling did not draw are among them. What such a half held behind the last frame nobody knows.
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
from typing import Final, NamedTuple

import msgspec

from groundwork.boot import is_past
from groundwork.clock import Clock
from groundwork.slot_readings import SlotReading
from prediction_log.errors import FrameError
from prediction_log.frame import Frame, decode, encode
from prediction_log.layout import Head
from prediction_log.record import Kind, loss_schema
from prediction_log.row_recovery import UnreadableError, recover_buffers
from prediction_log.rows import SUFFIX
from prediction_log.spill import stream_of
from prediction_log.spooling import heads
from prediction_log.transport import Sink
from prediction_log.validation import check_counts

UNREADABLE: Final = ".unreadable"
UNREADABLE_FOLDER: Final = "unreadable"
POWER_CUT: Final = b"power cut, at most"
"""The reason of a loss frame for the rows that a slot of a past boot held."""
UNREADABLE_ROWS: Final = b"unreadable"
UNREADABLE_AT_MOST: Final = b"unreadable, at most"
"""The reasons for rows of a half that is no frame any more: as its head counts them, or as the gap allows."""

_log: Final = logging.getLogger(__name__)


class Taken(msgspec.Struct, frozen=True):
    """What became of a slot's rows: new in the log, or told there as lost (at most so many)."""

    rows: int = 0
    lost: int = 0

    def __add__(self, other: "Taken") -> "Taken":
        return Taken(self.rows + other.rows, self.lost + other.lost)


class _Piece(NamedTuple):
    """[first, end) of a stream: a frame with its rows or, without a body, `rows` that are lost now.

    `skipped` were lost before, for want of room, and are in no frame yet.
    """

    first: int
    end: int
    rows: int
    body: bytes = b""
    skipped: int = 0


def take_over(slot: SlotReading, sink: Sink, boot: str, clock: Clock) -> Taken:
    """Bring a dead slot's rows into the log or, where its boot is not `boot`, tell how many it lacks.

    Raises what `sink.write` raises; the call can then be made again.
    """
    if is_past(slot.boot, boot):
        return Taken(lost=forfeit_slot(slot.folder, sink, clock.now()))
    return recover_slot(slot.folder, sink, clock.now())


def forfeit_slot(slot_folder: Path, sink: Sink, now: int) -> int:
    """Tell the log what it lacks of a slot that may be torn, and remove its row files; how many rows at most.

    `now` in unix ns. Raises what `sink.write` raises; the files not yet told of then stay.
    """
    return sum(_forfeit_stream(files, sink, now) for files in _by_stream(slot_folder))


def recover_slot(slot_folder: Path, sink: Sink, now: int) -> Taken:
    """Spool every row left in a dead worker's slot and remove its row files; what was new of it.

    `now` in unix ns. Raises what `sink.write` raises; the files not yet spooled then stay, and the call can
    be made again.
    """
    return sum((_recover_stream(files, sink, now) for files in _by_stream(slot_folder)), Taken())


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
        gap = _Piece(reached, last.end, lost)
        sink.write([_loss((last.incarnation, last.stream, last.kind), gap, POWER_CUT, now)])
    for path in paths:
        path.unlink(missing_ok=True)
    return lost


def _is_sound(head: Head) -> bool:
    with contextlib.suppress(FrameError):
        check_counts(head)
        return head.incarnation > 0
    return False


def _loss(stream: tuple[int, int, int], gone: _Piece, reason: bytes, now: int) -> bytes:
    """The loss of a piece of a stream (incarnation, stream, kind), as a frame of that stream."""
    incarnation, number, kind = stream
    skipped = min(gone.skipped, gone.end - gone.first - 1)  # the frame has a row of its own
    columns = {
        "time": now,
        "kind": kind,
        "incarnation": incarnation,
        "stream": number,
        "count": gone.rows + gone.skipped - skipped,
        "reason": [reason],
        "upto": [b""],
    }
    return encode(
        Kind.LOSS, loss_schema(), columns,
        rows=1, incarnation=incarnation, stream=number, first=gone.first, end=gone.end, skipped=skipped,
    )  # fmt: skip


def _recover_stream(paths: Sequence[Path], sink: Sink, now: int) -> Taken:
    """The row file of one stream and what was spilled of it, in the order of their sequences."""
    frames: list[Frame] = []
    pieces: list[_Piece] = []
    broken: dict[Path, list[UnreadableError]] = {}
    for path in paths:
        with contextlib.suppress(FileNotFoundError):  # somebody else has just spooled all of it
            bodies, broken[path] = recover_buffers(path)
            frames += (found := [decode(body, verify=False) for body in bodies])
            pieces += map(_piece, found, bodies)
    halves = [half for unreadable in broken.values() for half in unreadable]
    stream, lost = _lost(frames, [half.head for half in halves])
    taken = Taken()
    for piece in sorted([*pieces, *lost], key=lambda piece: (piece.first, not piece.rows)):
        # One at a time, oldest first: the sink says for each whether it was new.
        gaps = len(lost) < len(halves)
        taken += _tell(stream, piece, sink, now, gaps=gaps) if halves else _spool(piece, sink)
    for path, unreadable in broken.items():
        _let_go(path, unreadable, taken.lost)
    return taken


def _piece(frame: Frame, body: bytes) -> _Piece:
    return _Piece(frame.first, frame.end, frame.rows, body)


def _lost(frames: Sequence[Frame], heads: Sequence[Head | None]) -> tuple[tuple[int, int, int], list[_Piece]]:
    """The stream's (incarnation, number, kind), and the rows that unreadable halves had by their heads.

    A head that names another stream than the frames beside it do, or numbers that they hold, is not believed.
    """
    known = {(frame.incarnation, frame.stream, frame.kind) for frame in frames}
    sound = [head for head in heads if head is not None]
    known = known or {(head.incarnation, head.stream, head.kind) for head in sound}
    stream = min(known, default=(0, 0, 0))
    taken = [(frame.first, frame.end) for frame in frames]
    return stream, [
        _Piece(head.first, head.end, head.rows, skipped=head.skipped)
        for head in sound
        if (head.incarnation, head.stream, head.kind) == stream
        and all(head.end <= first or end <= head.first for first, end in taken)
    ]


def _tell(stream: tuple[int, int, int], piece: _Piece, sink: Sink, now: int, *, gaps: bool) -> Taken:
    """Spool a piece, or tell that it is lost; where there are `gaps`, tell first what lacks before it."""
    reached = sink.reached(stream[0], stream[1])
    taken = Taken()
    if gaps and reached < piece.first:
        gap = _Piece(reached, piece.first, piece.first - reached)
        sink.write([_loss(stream, gap, UNREADABLE_AT_MOST, now)])
        taken += Taken(lost=gap.rows)
    if piece.body:
        return taken + _spool(piece, sink)
    if piece.rows + piece.skipped and reached <= piece.first:
        sink.write([_loss(stream, piece, UNREADABLE_ROWS, now)])
        taken += Taken(lost=piece.rows)
    return taken


def _spool(piece: _Piece, sink: Sink) -> Taken:
    return Taken(rows=piece.rows if sink.write([piece.body]) else 0)


def _let_go(path: Path, unreadable: Sequence[UnreadableError], lost: int) -> None:
    """Remove a file that is in the log; keep one that says more than anybody can read."""
    if not unreadable:
        path.unlink(missing_ok=True)
        return
    kept = _kept(path)
    for error in unreadable:
        _log.error(
            "rows of a dead worker cannot be read: %s; of its stream %d are told as lost; kept as %s",
            error,
            lost,
            kept,
        )


def _kept(path: Path) -> Path:
    """Where an unreadable row file lies from now on: beside its slot, whose number is put before its name."""
    slot = path.parent
    folder = slot.with_name(UNREADABLE_FOLDER)
    folder.mkdir(mode=0o700, exist_ok=True)
    return path.rename(folder / f"{slot.name}-{path.name}{UNREADABLE}")
