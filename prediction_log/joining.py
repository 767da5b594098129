"""Which label belongs to which row, and which rows are gone.

Rules: the latest label in the log's order counts; a label may come before its prediction; a label by client
id counts where exactly one prediction of the model carries that client id, in the whole log. A row that was
deleted is not exported.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from prediction_log.frame import Frame
from prediction_log.labels import NO_ID, LabelRow, Value, read_labels
from prediction_log.record import ALL_ROWS, Kind
from prediction_log.selecting import select


class Truth(msgspec.Struct, frozen=True):
    """What the log says about rows after they were answered, by `row_keys`.

    `ambiguous` client ids were carried by several predictions, `unknown` ones by none: their labels count for
    nothing.
    """

    labels: Mapping[bytes, Value]
    deleted: frozenset[bytes]
    ambiguous: int
    unknown: int

    def kept(self, frame: Frame) -> NDArray[np.bool_]:
        """Which rows of a prediction frame were not deleted."""
        if not self.deleted:
            return np.ones(frame.rows, np.bool_)
        every = row_keys(frame.array("id"), np.full(frame.rows, ALL_ROWS, "<u4"))
        keys = row_keys(frame.array("id"), frame.array("row"))
        gone = [key in self.deleted or whole in self.deleted for key, whole in zip(keys, every, strict=True)]
        return ~np.array(gone, np.bool_)

    def of(self, frame: Frame) -> list[Value | None]:
        """The label of each row of a prediction frame, None where there is none."""
        return [self.labels.get(key) for key in row_keys(frame.array("id"), frame.array("row"))]


def row_keys(identifiers: NDArray[Any], rows: NDArray[Any]) -> list[bytes]:
    """Id and row of each row, as one key of 20 bytes."""
    joined = np.concatenate([identifiers, rows.astype("<u4")[:, None].view("|u1")], axis=1).tobytes()
    return [joined[at : at + 20] for at in range(0, len(joined), 20)]


def read_truth(log_folder: Path, model: str) -> Truth:
    """All labels and deletions of a model, whenever they were recorded. Memory for each label once."""
    by_id: dict[bytes, tuple[int, Value]] = {}
    by_client: dict[tuple[bytes, int], tuple[int, Value]] = {}
    order = 0
    for frame in select(log_folder, model, Kind.LABEL):
        for label in read_labels(frame):
            order += 1
            if label.id == NO_ID:
                by_client[label.client_id, label.row] = (order, label.value)
            else:
                by_id[_key(label)] = (order, label.value)
    owners = _owners(select(log_folder, model, Kind.PREDICTION), {client for client, _ in by_client})
    for (client, row), found in by_client.items():
        named = owners[client]
        if len(named) == 1:
            key = next(iter(named)) + row.to_bytes(4, "little")
            by_id[key] = max(by_id.get(key, found), found, key=lambda each: each[0])
    return Truth(
        labels={key: value for key, (_, value) in by_id.items()},
        deleted=_deleted(select(log_folder, model, Kind.DELETION)),
        ambiguous=sum(len(named) > 1 for named in owners.values()),
        unknown=sum(not named for named in owners.values()),
    )


def _key(label: LabelRow) -> bytes:
    return label.id + label.row.to_bytes(4, "little")


def _owners(frames: Iterable[Frame], wanted: set[bytes]) -> dict[bytes, set[bytes]]:
    """The prediction ids that carry each of these client ids."""
    owners: dict[bytes, set[bytes]] = {client: set() for client in wanted}
    for frame in frames if wanted else ():
        identifiers: bytes = frame.array("id").tobytes()
        for index, client in enumerate(frame.strings("client_id").tolist()):
            if client in owners:
                owners[client].add(identifiers[16 * index : 16 * index + 16])
    return owners


def _deleted(frames: Iterable[Frame]) -> frozenset[bytes]:
    return frozenset(key for frame in frames for key in row_keys(frame.array("id"), frame.array("row")))
