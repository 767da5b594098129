"""Tests of monitor.views: what scripts read of the monitor."""

import msgspec
import pytest

from monitor import views
from monitor.blocks import Mark
from monitor.detectors.detector import Effect
from monitor.incidents import Finding, Incident
from monitor.outbox import DEAD, DELIVERED, PENDING, Attempt, Delivery

NOW = 1_793_874_131_402_999_999
TOLD = "2026-11-05T10:22:11.402Z"
FOUND = Incident(
    id="inc_1",
    model="m",
    version="1",
    opened=Mark(640, NOW, 1, 402),
    onset=Mark(),
    latest=Mark(704, NOW, 12, 3),
    groups=("risk",),
    findings=(Finding("age", "inputs", 19.5, Effect(0.2, "age <= 3", 0.1, 0.3, 64, Mark(5, NOW, 1, 2))),),
    evidence=20.0,
    threshold=18.0,
    traces=("ab",),
)
SENT = Delivery(
    sequence=1,
    event="evt_1",
    type="drift.detected",
    model="m",
    endpoint="e",
    state=PENDING,
    attempts=1,
    next_at=NOW,
    expires=NOW,
    time=NOW,
    history=(Attempt(NOW, 503, "busy", 3),),
)


def test_an_incident_is_told_with_names_and_times() -> None:
    """Every field of the stored one, under its name; places are objects, and no time is null."""
    told = msgspec.to_builtins(views.incident(FOUND))
    assert set(told) == set(Incident.__struct_fields__)
    assert told["opened"] == {"time": TOLD, "rows": 640, "offset": "000001:402"}
    assert told["onset"] == {"time": None, "rows": 0, "offset": "000000:0"}
    assert told["resolved"] is None
    (finding,) = told["findings"]
    assert set(finding) == set(Finding.__struct_fields__)
    assert set(finding["effect"]) == set(Effect.__struct_fields__)
    assert finding["effect"]["onset"] == {"time": TOLD, "rows": 5, "offset": "000001:2"}
    resolved = views.incident(msgspec.structs.replace(FOUND, resolved=FOUND.latest)).resolved
    assert resolved == views.Place(TOLD, 704, "000012:3")
    same = ("id", "model", "version", "state", "alarms", "over", "evidence", "threshold", "low_since")
    assert {name: told[name] for name in same} == {name: getattr(FOUND, name) for name in same}


def test_a_delivery_is_told_with_names_and_times() -> None:
    """Its attempts are objects, and every time is text."""
    told = msgspec.to_builtins(views.delivery(SENT))
    assert set(told) == set(Delivery.__struct_fields__)
    assert [told[name] for name in ("time", "expires", "next_at")] == [TOLD] * 3
    assert told["history"] == ({"at": TOLD, "status": 503, "said": "busy", "took_ms": 3},)


@pytest.mark.parametrize(
    ("state", "next_at", "told"),
    [(PENDING, NOW, TOLD), (PENDING, 0, None), (DELIVERED, NOW, None), (DEAD, NOW, None)],
)
def test_only_what_waits_is_due_again(state: str, next_at: int, told: str | None) -> None:
    """What is settled, or is due at once, has no next time."""
    found = msgspec.structs.replace(SENT, state=state, next_at=next_at, expires=None)
    assert (views.delivery(found).next_at, views.delivery(found).expires) == (told, None)
