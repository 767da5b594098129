"""Tests of monitor.incidents: one incident for one change."""

from hypothesis import given
from hypothesis import strategies as st

from monitor.blocks import Mark
from monitor.detectors.detector import Effect
from monitor.incidents import LOW, Finding, Incident, Reading, consider

THRESHOLD = 20.0
GATHER = 1_000


def reading(rows: int, evidence: float) -> Reading:
    """What the evidence level says after so many rows."""
    effect = Effect(0.2, "x", 0.1, 0.3, 100, Mark(max(0, rows - 100), max(0, rows - 100)))
    finding = Finding("x", "inputs", evidence, effect)
    alarm = evidence >= THRESHOLD
    return Reading(
        Mark(rows, rows), evidence, THRESHOLD, ("inputs",) if alarm else (), (finding,) if alarm else ()
    )


def run(*steps: tuple[int, float]) -> tuple[Incident | None, list[str]]:
    """The incident after these readings, and everything that happened."""
    incident: Incident | None = None
    happened = []
    for rows, evidence in steps:
        incident, change = consider(
            incident, reading(rows, evidence), model="m", version="1", gather_rows=GATHER
        )
        happened.append(change)
    return incident, [change for change in happened if change != "none"]


def test_an_alarm_opens_an_incident_at_its_onset() -> None:
    """The first alarm opens it; its onset is where the strongest signal was last quiet."""
    incident, happened = run((100, 3.0), (200, 21.0))
    assert happened == ["opened"]
    assert incident is not None
    assert (incident.opened.rows, incident.onset.rows, incident.alarms) == (200, 100, 1)


def test_alarms_that_follow_are_gathered() -> None:
    """Evidence that falls and rises again within the gathering rows is another alarm of the same incident."""
    incident, happened = run((100, 21.0), (200, 22.0), (300, 1.0), (900, 25.0))
    assert happened == ["opened", "gathered"]
    assert incident is not None
    assert (incident.alarms, incident.state, incident.evidence) == (2, "open", 25.0)


def test_an_incident_ends_when_evidence_stays_gone() -> None:
    """Low for the gathering rows ends it; the next alarm is another incident."""
    incident, happened = run((100, 21.0), (200, 1.0), (1_199, 1.0), (1_200, 1.0), (1_300, 21.0))
    assert happened == ["opened", "resolved", "opened"]
    assert incident is not None
    assert incident.opened.rows == 1_300


def test_evidence_a_little_below_the_threshold_ends_nothing() -> None:
    """Between the threshold and a hundredth of it an incident stays open for ever."""
    steps = [(100 * count, THRESHOLD - LOW / 2) for count in range(2, 100)]
    assert run((100, 21.0), *steps)[1] == ["opened"]


@given(st.lists(st.tuples(st.integers(1, 500), st.floats(-5, 40)), max_size=60))
def test_incidents_never_overlap(gaps: list[tuple[int, float]]) -> None:
    """Opened and resolved alternate, and gathering happens only in between."""
    rows, steps = 0, []
    for gap, evidence in gaps:
        rows += gap
        steps.append((rows, evidence))
    is_open = False
    for change in run(*steps)[1]:
        assert (change == "opened") != is_open
        is_open = change != "resolved"
