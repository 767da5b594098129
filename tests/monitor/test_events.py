"""Tests of monitor.events: what receivers parse."""

import json
import re

import msgspec
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event

from monitor.blocks import Mark
from monitor.detectors.detector import Effect
from monitor.events import DATA, Event, TestData, encode, event_id, schemas, signals, window
from monitor.incidents import Finding, Incident

NOW = 1_793_874_131_402_999_999


def body() -> bytes:
    """A small event."""
    event = Event(id=event_id("a"), type="webhook.test", model="m", subject="s", time=NOW, data=TestData())
    return encode(event, source="/here", sequence=187)


def test_the_cloudevents_package_reads_it() -> None:
    """Structured mode: every attribute is where CloudEvents 1.0 wants it."""
    message = HTTPMessage(
        headers={"content-type": "application/cloudevents+json; charset=utf-8"}, body=body()
    )
    event = from_http_event(message)
    assert event.get_specversion() == "1.0"
    assert event.get_type() == "webhook.test"
    assert event.get_source() == "/here"
    assert event.get_id() == event_id("a")
    assert event.get_data() == {"test": True}
    assert event.get_extension("sequence") == "00000000000000000187"


def test_it_is_a_standard_webhooks_payload_too() -> None:
    """`type`, `timestamp` and `data` stand at the top, and the type keeps to its letters."""
    document = json.loads(body())
    assert {"type", "timestamp", "data"} <= set(document)
    assert re.fullmatch(r"[A-Za-z0-9_.]+", document["type"])
    assert document["timestamp"] == "2026-11-05T10:22:11.402Z"


def test_ids_follow_from_what_is_told() -> None:
    """The same parts give the same id, other parts another; no id has a dot."""
    assert event_id("a", 1) == event_id("a", 1) != event_id("a", 2)
    assert re.fullmatch(r"evt_[a-z2-7]{26}", event_id("a"))


def test_a_window_names_both_ends() -> None:
    """A window says where it begins and ends, in time and in the log."""
    made = msgspec.to_builtins(window(Mark(0, 0, 1, 5), Mark(9, 10**9, 2, 7)))
    assert made == {
        "from": "1970-01-01T00:00:00.000Z",
        "to": "1970-01-01T00:00:01.000Z",
        "offset_from": "000001:5",
        "offset_to": "000002:7",
    }


@pytest.mark.parametrize("name", DATA)
def test_every_type_has_a_schema(name: str) -> None:
    """The schema of each type's data names all of its fields."""
    document = schemas()[name]
    assert document["$ref"].rsplit("/", 1)[1] in document["$defs"]


def test_signals_say_how_strong_and_how_large() -> None:
    """A finding becomes one flat record with evidence, threshold, effect and rates."""
    effect = Effect(0.2, "= a", 0.1, 0.3, 100, Mark())
    incident = Incident(
        id="inc_1",
        model="m",
        version="1",
        opened=Mark(),
        onset=Mark(),
        latest=Mark(),
        groups=("inputs",),
        findings=(Finding("x", "inputs", 21.0, effect),),
        evidence=21.0,
        threshold=20.0,
    )
    (found,) = signals(incident)
    assert (found.name, found.rate_before, found.rate_after, found.threshold) == ("x", 0.1, 0.3, 20.0)
