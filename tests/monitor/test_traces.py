"""Trace contexts of what is told, and the traces of the rows that it is told about."""

import contextlib
import re
from pathlib import Path

import msgspec
import numpy as np

from monitor import traces
from monitor.events import Event, TestData, encode, event_id
from monitor.pipeline import Pipeline
from monitor.store import open_store
from monitor.watch import Watch
from prediction_log.transport import Offset
from tests.monitor import worlds

TRACES = np.arange(20 * 16, dtype="|u1").reshape(20, 16) + 1


def watch() -> Watch:
    """One that has seen nothing."""
    return Watch("m", "1", worlds.settings())


def hexadecimal(*numbers: int) -> tuple[str, ...]:
    """The trace ids of these numbers."""
    return tuple(TRACES[number].tobytes().hex() for number in numbers)


def test_a_context_is_of_the_w3c_and_follows_from_its_parts() -> None:
    """Version, trace, span and flag, in lower case; the same parts give the same."""
    made = traces.traceparent(traces.trace_id("incident"), traces.span_id("event"))
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", made)
    assert traces.trace_of(made) == traces.trace_id("incident") != traces.trace_id("another")
    assert traces.span_id("event", 1) != traces.span_id("event", 2)


def test_all_that_is_told_about_one_thing_is_one_trace() -> None:
    """Events about the same incident share the trace and not the span; one about nothing is its own."""

    def context(number: int, about: str) -> str:
        event = Event(
            id=event_id(number), type="t", model="m", subject="s", time=0, data=TestData(), about=about
        )
        found = re.search(rb'"traceparent":"([^"]+)"', encode(event, source="/", sequence=1))
        assert found is not None
        return found[1].decode()

    first, second, other = context(1, "inc"), context(2, "inc"), context(3, "")
    assert first[:36] == second[:36]
    assert first != second
    assert other[:36] not in {first[:36], traces.traceparent(traces.trace_id(""), "")[:36]}


def test_the_newest_traces_are_remembered() -> None:
    """Each once, the newest first, eight at most; rows without one are passed over; a restart keeps them."""
    kept = watch()
    kept.note_traces(np.zeros((5, 16), "|u1"))
    assert kept.traces == ()
    kept.note_traces(np.concatenate([TRACES[[0, 0, 1]], np.zeros((1, 16), "|u1"), TRACES[[1, 2]]]))
    assert kept.traces == hexadecimal(2, 1, 0)
    kept.note_traces(TRACES[5:15])
    assert kept.traces == hexadecimal(14, 13, 12, 11, 10, 9, 8, 7)
    kept.note_traces(TRACES[[7]])
    assert kept.traces == hexadecimal(7, 14, 13, 12, 11, 10, 9, 8)
    assert Watch.restore("m", "1", worlds.settings(), kept.state(), None).traces == kept.traces


def test_an_alarm_names_the_requests_that_came_before_it(tmp_path: Path) -> None:
    """From the record to what is delivered: a trace id of the drifted rows is in the event's data."""
    traffic, trace = worlds.Traffic(3), bytes(range(1, 17))
    with contextlib.closing(open_store(tmp_path)) as db:
        pipeline = Pipeline(db, worlds.settings(), worlds.registry("1"), worlds.IDS)
        for step in range(60):
            drifts = step >= 20
            body, _ = traffic.predictions(64, shift=1.5 * drifts, trace=trace if drifts else worlds.UNTRACED)
            pipeline.feed([(Offset(1, step + 1), body)])
        ((found,),) = db.execute("SELECT body FROM events WHERE type = 'drift.detected'").fetchall()
    assert msgspec.json.decode(found)["data"]["traces"] == [trace.hex()]
