"""Labels from clients: what turned out to be true of a prediction, taken into the log.

    POST /v2/models/{model}/labels
    {"labels": [{"id": "<prediction id>", "row": 0, "value": 1}, {"client_id": "order-7", "value": "paid"}]}

Rules: a label names its prediction by our id, or by the id that the client gave it; `row` is 0 when left out;
`value` is a whole number, a number, a text or a truth value and keeps its type. A request's labels are taken
together or not at all: 202 means that all are in the slot, 503 that none is and they should be sent again.
Sending a label twice is harmless: exports show the latest, the monitor counts the first. Nothing is looked up
here: the monitor joins. What a model answered may turn out at any time, so labels are taken for every model
with a route, also while none of its versions can be served, or it is unloaded.
"""

import asyncio
from typing import Annotated, Final

import msgspec

from gateway import metrics
from gateway.bulk import check_lists
from gateway.core import Core
from gateway.errors import LogFullError, MalformedError
from gateway.responses import Response, document
from groundwork import decoders
from prediction_log.errors import IdError, LabelError
from prediction_log.ids import parse
from prediction_log.labels import NO_ID, LabelRow, Value

ACCEPTED: Final = 202
MOST_LABELS: Final = 1000
_MOST_CLIENT_ID: Final = 256
_FORM: Final = '{"labels": [{"id": the prediction id, "row": 0, "value": what was true}]}'


class LabelDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One label as a client writes it."""

    value: Value
    id: str | None = None
    client_id: str | None = None
    row: Annotated[int, msgspec.Meta(ge=0, lt=2**32)] = 0


class LabelsDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request."""

    labels: Annotated[list[LabelDocument], msgspec.Meta(min_length=1, max_length=MOST_LABELS)]


_decode: Final = decoders.json_of(LabelsDocument).decode


def read(body: bytes, now_ns: int) -> list[LabelRow]:
    """The labels in a request's body; MalformedError names the first that cannot be taken."""
    check_lists(body)
    try:
        labels = _decode(body).labels
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedError(f"the body is not a request with labels: {error}; wanted {_FORM}") from None
    return [_row(place, label, now_ns) for place, label in enumerate(labels)]


async def take(core: Core, model: str, body: bytes) -> Response:
    """Take every label of the request into the log and say how many there were.

    Raises:
        UnknownModelError: there is no such model.
        MalformedError: a label cannot be read; none is taken.
        LogFullError: there is no room; none is taken.
    """
    if model not in core.lanes.routed and model not in core.lanes.served:
        raise core.lanes.absent(model)
    labels = read(body, core.clock.now())
    if not core.journal.has_labels(model):
        await asyncio.get_running_loop().run_in_executor(None, core.journal.open_labels, model)
    try:
        core.journal.labelled(model, labels)
    except LabelError as error:
        raise MalformedError(str(error)) from None
    spooled = core.journal.spooled
    if spooled is not None and not await spooled():
        raise LogFullError(f"labels of {model}: the log cannot be written now; send them again in a moment")
    core.count(metrics.LABELS, {"model": model}, len(labels))
    return document({"accepted": len(labels)}, ACCEPTED)


def _row(place: int, label: LabelDocument, now_ns: int) -> LabelRow:
    if (label.id is None) == (label.client_id is None):
        raise MalformedError(f"label {place} wants either id or client_id, and one of them only")
    try:
        identifier = NO_ID if label.id is None else parse(label.id)
    except IdError as error:
        raise MalformedError(f"label {place}: {error}") from None
    if identifier == NO_ID and not label.client_id:
        raise MalformedError(f"label {place}: no prediction has the id {(label.id or '')!r}")
    client_id = (label.client_id or "").encode()
    if len(client_id) > _MOST_CLIENT_ID:
        raise MalformedError(f"label {place}: a client_id has at most {_MOST_CLIENT_ID} bytes")
    return LabelRow(label.value, now_ns, identifier, label.row, client_id)
