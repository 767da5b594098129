"""Take the values of single predictions out of the log, while it is being written and read.

Rules:

1. First a deletion frame says which ids are gone, who asked and why; the monitor and every later export obey
   it from then on. Then the values are overwritten where they lie, in every frame that holds one: the
   prediction's own, its shadow pairs, its labels, its reject.
2. Rows keep their count, their id, their times and their outcome. Inputs and outputs are zero with validity
   DELETED; client id, trace id, a reject's message and a label's value are zero or empty.
3. Nothing of the old values stays in the segment's file: freed pages are overwritten and the write-ahead log
   is emptied. Killed in between, the call is made again; it finds what is left.

It sees only what has been spooled (`prediction_log.spooling` tells when). Labels by a client id go with the
prediction that carried that id.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from groundwork.clock import Clock
from groundwork.database import transaction
from prediction_log import segment_file as files
from prediction_log.errors import SegmentError
from prediction_log.frame import Frame, Strings, decode, encode
from prediction_log.ids import PredictionIds
from prediction_log.labels import NO_ID
from prediction_log.locate import Located, locate
from prediction_log.record import ALL_ROWS, VARIABLE, Kind, Validity, deletion_schema
from prediction_log.segment_sink import SegmentSink
from prediction_log.transport import Offset

BLANKED: Final = ("client_id", "trace_id", "message", "integer", "number", "text", "value_kind")
"""Metadata that says something of a person, in whatever kind of frame it stands."""


class Request(msgspec.Struct, frozen=True):
    """What to delete: prediction ids (16 bytes each) of one model; who asks, and why."""

    model: str
    ids: tuple[bytes, ...]
    actor: str
    reason: str


class Deleted(msgspec.Struct, frozen=True):
    """What was done: ids found, and rows whose values were overwritten, by kind.

    `unknown` are ids that name nothing of this model in the log. `emptied` is False where a reader kept a
    write-ahead log from being emptied: the old bytes then lie in it until the next checkpoint.
    """

    ids: int
    predictions: int
    pairs: int
    labels: int
    rejects: int
    unknown: tuple[bytes, ...]
    emptied: bool = True


def delete(
    log_folder: Path,
    request: Request,
    ids: PredictionIds,
    sink: SegmentSink,
    clock: Clock,
) -> Deleted:
    """Delete these predictions of the model; cost: one look-up per id, and a scan of its labels and pairs.

    Raises what the sink's `note` raises, and SegmentError where a segment cannot be rewritten.
    """
    found = {identifier: locate(log_folder, identifier, ids) for identifier in request.ids}
    known = {
        key: located for key, located in found.items() if located is not None and _is_of(located, request)
    }
    unknown = tuple(identifier for identifier in request.ids if identifier not in known)
    if not known:
        return Deleted(0, 0, 0, 0, 0, unknown)
    sink.note(Kind.DELETION, deletion_schema(request.model), _told(request, known, clock), rows=len(known))
    clients = {client for located in known.values() for client in _clients(located)}
    wanted = _Wanted(frozenset(known), frozenset(clients))
    counted = dict.fromkeys(Kind, 0)
    touched: set[int] = set()
    places = {(located.offset.segment, located.offset.row) for located in known.values()}
    for number, row in (*sorted(places), *_scanned(log_folder, request.model)):
        kind, rows = _rewrite(log_folder, Offset(number, row), wanted)
        counted[kind] += rows
        if rows:
            touched.add(number)
    return Deleted(
        ids=len(known),
        predictions=counted[Kind.PREDICTION],
        pairs=counted[Kind.PAIR],
        labels=counted[Kind.LABEL],
        rejects=counted[Kind.REJECT],
        unknown=unknown,
        emptied=not [number for number in sorted(touched) if not _empty(log_folder, number)],
    )


class _Wanted(msgspec.Struct, frozen=True):
    """Prediction ids, and the client ids that those predictions carried."""

    ids: frozenset[bytes]
    clients: frozenset[bytes]

    def rows(self, frame: Frame) -> NDArray[np.bool_]:
        """Which rows of a frame are meant."""
        if frame.kind != Kind.LABEL:
            return _among(frame.array("id"), self.ids)
        named = frame.array("label_id")
        by_client = np.array([client in self.clients for client in frame.strings("client_id")], np.bool_)
        return _among(named, self.ids) | (by_client & _among(named, frozenset({NO_ID})))


def _among(identifiers: NDArray[Any], wanted: frozenset[bytes]) -> NDArray[np.bool_]:
    whole = np.ascontiguousarray(identifiers)
    return np.array([row.tobytes() in wanted for row in whole], np.bool_)


def _is_of(located: Located, request: Request) -> bool:
    """Whether the rows found are this model's; a reject says so in a column."""
    if located.frame.kind == Kind.PREDICTION:
        return located.frame.schema.model == request.model
    return located.frame.strings("model")[int(located.rows[0])] == request.model.encode()


def _clients(located: Located) -> Iterator[bytes]:
    if located.frame.kind == Kind.PREDICTION:
        clients = located.frame.strings("client_id")
        yield from {clients[int(row)] for row in located.rows} - {b""}


def _told(request: Request, known: Iterable[bytes], clock: Clock) -> dict[str, Any]:
    """The columns of the deletion frame."""
    identifiers = list(known)
    return {
        "id": np.frombuffer(b"".join(identifiers), np.uint8).reshape(-1, 16),
        "row": ALL_ROWS,
        "time": clock.now(),
        "reason": [request.reason.encode()] * len(identifiers),
        "actor": [request.actor.encode()] * len(identifiers),
    }


def _scanned(log_folder: Path, model: str) -> Iterator[tuple[int, int]]:
    """(segment, row) of every frame of the model's labels and pairs."""
    for number in files.numbers(log_folder):
        with files.existing(log_folder, number) as connection:
            if connection is None:
                continue
            rows = connection.execute(
                "SELECT row FROM frames WHERE model = ? AND kind IN (?, ?) ORDER BY row",
                (model, int(Kind.LABEL), int(Kind.PAIR)),
            ).fetchall()
        yield from ((number, row) for (row,) in rows)


def _rewrite(log_folder: Path, place: Offset, wanted: _Wanted) -> tuple[Kind, int]:
    """Overwrite what is wanted in one frame; its kind, and how many rows that were."""
    with files.existing(log_folder, place.segment, readonly=False) as connection:
        if connection is None:
            return Kind.LOSS, 0  # retention was here first
        try:
            frame = _frame(connection, place.row)
            if not wanted.rows(frame).any():
                return Kind(frame.kind), 0
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("PRAGMA synchronous = FULL")
            with transaction(connection):
                frame = _frame(connection, place.row)  # again: somebody may have deleted other rows of it
                chosen = wanted.rows(frame)
                connection.execute(
                    "UPDATE frames SET body = ? WHERE row = ?", (without(frame, chosen), place.row)
                )
            return Kind(frame.kind), int(chosen.sum())
        except sqlite3.Error as error:
            path = files.segment_path(log_folder, place.segment)
            raise SegmentError(f"{path} cannot be rewritten: {error}; give the same command again") from error


def _frame(connection: sqlite3.Connection, row: int) -> Frame:
    return decode(connection.execute("SELECT body FROM frames WHERE row = ?", (row,)).fetchone()[0])


def without(frame: Frame, chosen: NDArray[np.bool_]) -> bytes:
    """The frame again, with the values of the chosen rows gone."""
    columns: dict[str, Any] = {}
    for column in frame.schema.columns:
        values = frame.columns[column.name]
        hides = column.role != "meta" or column.name in BLANKED
        if column.dtype == VARIABLE and isinstance(values, Strings):
            columns[column.name] = _texts(values, chosen, column.width) if hides else values.tolist()
        elif hides:
            kept = np.array(values)
            kept[chosen] = 0
            columns[column.name] = kept
        else:
            columns[column.name] = values
    return encode(
        frame.kind, frame.schema, columns,
        rows=frame.rows, incarnation=frame.incarnation, stream=frame.stream, first=frame.first, end=frame.end,
        rate=frame.rate, skipped=frame.skipped, validity=_validity(frame, chosen),
    )  # fmt: skip


def _texts(values: Strings, chosen: NDArray[np.bool_], width: int) -> Sequence[bytes]:
    gone = np.repeat(chosen, width).tolist()
    return [b"" if out else text for text, out in zip(values.tolist(), gone, strict=True)]


def _validity(frame: Frame, chosen: NDArray[np.bool_]) -> NDArray[np.uint8] | None:
    width = len(frame.schema.values)
    if not width:
        return frame.validity
    validity = np.zeros((frame.rows, width), np.uint8) if frame.validity is None else frame.validity.copy()
    validity[chosen] = Validity.DELETED
    return validity


def _empty(log_folder: Path, number: int) -> bool:
    """Bring a segment's write-ahead log into its file and empty it; False where a reader kept it for long."""
    with files.existing(log_folder, number, readonly=False) as connection:
        if connection is None:
            return True
        busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        return not busy
