"""What training jobs report of the requests they got, and the small documents the API is sent."""

import sqlite3
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from groundwork import decoders
from groundwork.dates import rfc3339
from monitor.errors import UnknownError
from monitor.views import RetrainView, Sent, time_of


class TestOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which endpoint to test."""

    endpoint: str


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a retraining goes; `version` is the version it published."""

    state: Literal["running", "succeeded", "failed"]
    version: Annotated[str, Meta(max_length=100)] = ""
    message: Annotated[str, Meta(max_length=2000)] = ""


def save(connection: sqlite3.Connection, event: str, report: Report, at: int) -> None:
    """Keep the latest report of a request, inside the caller's transaction; UnknownError without one."""
    known = connection.execute(
        "SELECT 1 FROM events WHERE id = ? AND type = 'retrain.requested'", (event,)
    ).fetchone()
    if known is None:
        raise UnknownError(f"no retrain request {event[:80]!r}; GET /v1/retrains lists them")
    connection.execute(
        "INSERT OR REPLACE INTO reports VALUES (?, ?, ?, ?)",
        (event, report.state, at, msgspec.json.encode(report)),
    )


def prune(connection: sqlite3.Connection) -> None:
    """Forget reports of forgotten requests; inside a transaction."""
    connection.execute("DELETE FROM reports WHERE event NOT IN (SELECT id FROM events)")


def listed(connection: sqlite3.Connection, limit: int) -> list[RetrainView]:
    """Requests to retrain, newest first: the event, how its deliveries stand, the latest report."""
    rows = connection.execute(
        "SELECT e.id, e.time, e.body, r.document, r.at,"
        " (SELECT json_group_array(json_object('endpoint', d.endpoint, 'state', d.state)) FROM deliveries d"
        " WHERE d.event = e.sequence)"
        " FROM events e LEFT JOIN reports r ON r.event = e.id"
        " WHERE e.type = 'retrain.requested' ORDER BY e.sequence DESC LIMIT ?",
        (limit,),
    )
    return [
        RetrainView(
            id=identifier,
            time=rfc3339(time),
            event=msgspec.Raw(bytes(body)),
            report=None if document is None else msgspec.Raw(bytes(document)),
            reported=time_of(at),
            deliveries=decoders.json_of(tuple[Sent, ...]).decode(deliveries),
        )
        for identifier, time, body, document, at, deliveries in rows
    ]
