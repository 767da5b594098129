"""Whether this machine's clock can be believed: the folder's own times against it, and against each other."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from driftgate import show
from driftgate.doctor.finding import Finding, Subject, fail, ok, warn
from driftgate.doctor.reading import read_rollouts
from groundwork.errors import DriftgateError
from monitor import metrics
from monitor import store as monitor_store
from monitor.log_time import NEAR
from prediction_log import segment_file

_NS: Final = 10**9
TOLERANCE: Final = 300 * _NS
"""What receivers of webhooks allow a timestamp to be off (Standard Webhooks)."""
RELEASED: Final = 1_767_225_600 * _NS
"""2026-01-01: this product was not there before."""


def clock(subject: Subject) -> Iterator[Finding]:
    """Now against the newest times that were written, and steps back among those."""
    newest = max([RELEASED, *_history(subject), *(last for _, last in _frames(subject))])
    behind = newest - subject.now
    if behind > TOLERANCE:
        yield fail(
            "clock",
            f"{show.moment(subject.now)} is {show.span(behind / _NS)} before times already written",
            "set the clock (NTP): receivers refuse webhooks 5 minutes off, and rows carry wrong times",
        )
    else:
        yield ok("clock", f"{show.moment(subject.now)}, after everything that was written")
    yield from _steps("the rollouts' history", _history(subject))
    yield from _steps("the log", [first for first, _ in _frames(subject)])
    held = _held(subject)
    if held:
        yield warn(
            "clock",
            f"the monitor held back {held} record times that were too far from the log's",
            "look for hosts whose clock steps; nothing was aged or ended by them",
        )


def _steps(what: str, times: list[int]) -> Iterator[Finding]:
    back = [was - now for was, now in pairwise(times) if was - now > NEAR]
    if back:
        yield warn(
            "clock",
            f"{what} steps back {len(back)} times, by {show.span(max(back) / _NS)} at most",
            "the clock was set back; exports by time may miss rows of those hours",
        )


def _history(subject: Subject) -> list[int]:
    """When each edit was made (unix ns), in the history's order."""
    edits = "SELECT json_extract(CAST(body AS TEXT), '$.at') FROM history ORDER BY sequence"
    return read_rollouts(subject, lambda connection: [int(at) for (at,) in connection.execute(edits)])


def _frames(subject: Subject) -> list[tuple[int, int]]:
    """(first, last) record time of the predictions of the newest segments, in the log's order."""
    folder, found = subject.data / "log", []
    for number in segment_file.numbers(folder)[-2:]:
        with contextlib.suppress(DriftgateError, sqlite3.Error):
            connection = segment_file.open_segment(folder, number, readonly=True)
            with contextlib.closing(connection):
                found += connection.execute(
                    "SELECT first_time, last_time FROM frames WHERE kind = 1 AND rows > 0 ORDER BY row"
                ).fetchall()
    return found


def _held(subject: Subject) -> int:
    """Rows whose time the monitor did not believe."""
    with contextlib.suppress(DriftgateError, sqlite3.Error):
        with contextlib.closing(monitor_store.open_store(subject.data, readonly=True)) as connection:
            kept = monitor_store.load_fact(connection, "tally")
        tally = metrics.Tally()
        if kept is not None:
            tally.restore(kept)
        return sum(count for key, count in tally.counts.items() if key.name == metrics.HELD)
    return 0
