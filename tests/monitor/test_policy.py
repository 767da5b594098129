"""Tests of monitor.policy: when a retrain is asked for, and what is said when not."""

import msgspec
import pytest

from monitor.blocks import Mark
from monitor.detectors.detector import Effect
from monitor.incidents import Finding, Incident
from monitor.policy import Asked, Decision, decide
from monitor.settings import PolicySettings

SECOND = 10**9
POLICY = PolicySettings(min_labelled=500, min_effect=0.05, cooldown=100.0, expires=50.0)
EFFECT = Effect(0.2, "x", 0.1, 0.3, 100, Mark())
INCIDENT = Incident(
    id="inc_1",
    model="m",
    version="1",
    opened=Mark(10),
    onset=Mark(5),
    latest=Mark(10),
    groups=("inputs",),
    findings=(Finding("x", "inputs", 21.0, EFFECT),),
    evidence=21.0,
    threshold=20.0,
)


def ask(
    incident: Incident | None = INCIDENT,
    *,
    labelled: int = 500,
    now: int = 1_000,
    last: Asked | None = None,
    report: str = "",
    policy: PolicySettings = POLICY,
) -> Decision:
    """What policy says; times in seconds."""
    return decide(incident, labelled=labelled, now=now * SECOND, last=last, report=report, policy=policy)


def test_evidence_effect_and_labels_make_a_request() -> None:
    """An open incident with enough of everything is asked for at once."""
    assert ask().kind == "request"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"groups": ("risk",), "findings": ()}, "effect"),
        ({"findings": (Finding("x", "inputs", 21.0, msgspec.structs.replace(EFFECT, size=0.01)),)}, "effect"),
        ({"state": "resolved"}, "no open incident"),
        ({"trigger": "evt_1"}, "requested as evt_1"),
    ],
)
def test_an_incident_that_is_not_enough_waits(changes: dict[str, object], said: str) -> None:
    """No effect, an end, or a request already made: nothing is asked, and the reason is told."""
    decision = ask(msgspec.structs.replace(INCIDENT, **changes))
    assert decision.kind != "request"
    assert said in decision.reason


def test_evidence_that_policy_does_not_act_on_waits() -> None:
    """An incident of inputs asks for nothing when only risk may."""
    policy = msgspec.structs.replace(POLICY, retrain_on=("risk",))
    assert "policy acts on risk" in ask(policy=policy).reason


def test_labels_are_waited_for() -> None:
    """A request needs labelled rows since the onset; the reason says how many there are."""
    assert ask(labelled=499) == Decision("wait", "499 of 500 labelled rows since the onset")


def test_one_request_is_in_flight() -> None:
    """Until the last request expired or was reported on, there is no second."""
    last = Asked("evt_0", "inc_0", 960 * SECOND)
    assert "in flight" in ask(last=last).reason
    assert "cooling down" in ask(last=last, report="succeeded").reason
    assert "cooling down" in ask(last=last, now=1_050).reason
    assert ask(last=last, now=1_060).kind == "request"


def test_a_request_from_before_the_clock_was_set_back_holds_up_none() -> None:
    """One that was made under a clock that ran ahead does not cool down until that time comes."""
    assert ask(last=Asked("evt_0", "inc_0", 30 * 86_400 * SECOND)).kind == "request"


def test_the_same_incident_asks_again_only_after_a_failure() -> None:
    """An incident that was asked for is asked for again when the job failed and the last one cooled down."""
    asked = msgspec.structs.replace(INCIDENT, trigger="evt_1")
    last = Asked("evt_1", "inc_1", 800 * SECOND)
    assert ask(asked, last=last, report="succeeded").kind == "wait"
    assert ask(asked, last=last, report="running").kind == "wait"
    assert ask(asked, last=last, report="failed").kind == "request"


def test_no_incident_is_no_decision() -> None:
    """Without an incident there is nothing to decide."""
    assert ask(None).kind == "none"
