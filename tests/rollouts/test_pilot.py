"""What to do next: forward on proof and with a living monitor, back on proof whatever else is missing."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from groundwork.steady import Steady
from rollouts.pilot import Decision, Freshness, decide, span, table
from rollouts.rollout import Bake, Hold, MetricSpec, Rollout, RolloutSpec, Step
from rollouts.route import Route, weight_from_percent
from rollouts.verdict import Call, Verdict

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
FRESH = Freshness(monitor_age=1.0)
OPEN = Verdict("error-rate", reason="error-rate OPEN: …", n=300)
PASS = replace(OPEN, verdict=Call.PASS, pass_evidence=3.1, reason="error-rate PASS: evidence 3.1 ≥ 3.0")
FAIL = replace(OPEN, verdict=Call.FAIL, fail_evidence=4.2, reason="error-rate FAIL: evidence 4.2 ≥ 3.0")
HOLD = Hold(for_="2m", samples=200, pairs=50, max="20m")
SPEC = RolloutSpec(
    steps=(Step(weight=5, hold=HOLD), Step(weight=50, hold=replace(HOLD, until="pass"))),
    metrics=(MetricSpec("error-rate"),),
    bake=Bake("1h"),
)
ROLLOUT = Rollout("m-2-2", "m", "1", "2", SPEC, step_entered=START, first_revision=2)
ROUTE = Route("m", 2, "1", candidate="2", weight=weight_from_percent(5), rollout="m-2-2", step=0)
LAST = replace(ROLLOUT, step=1)


def decided(
    rollout: Rollout = ROLLOUT,
    *verdicts: Verdict,
    waited: float = 150,
    samples: int = 250,
    pairs: int = 60,
    freshness: Freshness = FRESH,
) -> Decision:
    """The decision in a situation that lacks nothing but what is said."""
    return decide(
        rollout,
        ROUTE,
        verdicts or (OPEN,),
        samples=samples,
        pairs=pairs,
        now=START + round(waited * SECOND),
        freshness=freshness,
    )


def test_a_met_hold_advances_with_its_numbers() -> None:
    """Time, samples and pairs are there and nothing is worse: on, with a sentence to cite."""
    decision = decided()
    assert (decision.kind, decision.verdict, decision.n) == ("advance", "OPEN", 250)
    assert decision.reason == "step 1/2 (5 %) held 2.5 min with 250 samples; error-rate OPEN: …"
    assert decision.evidence["error-rate.fail_threshold"] == pytest.approx(math.log(20), abs=1e-4)


@pytest.mark.parametrize("off", [-30 * 86_400, 0, 30 * 86_400])
@pytest.mark.parametrize(("waited", "kind"), [(119, "hold"), (121, "advance")])
def test_a_wall_clock_that_is_set_moves_nothing(off: int, waited: int, kind: str) -> None:
    """A hold of two minutes takes two on the steady clock, set the other by thirty days as you like."""
    begun = replace(ROLLOUT, entered=Steady("this boot", 7 * SECOND))
    decision = decide(
        begun,
        ROUTE,
        (OPEN,),
        samples=250,
        pairs=60,
        now=START + (waited + off) * SECOND,
        freshness=FRESH,
        steady=Steady("this boot", (7 + waited) * SECOND),
    )
    assert decision.kind == kind


def test_after_a_start_of_the_machine_the_wall_clock_counts() -> None:
    """Steady time of another boot says nothing."""
    begun = replace(ROLLOUT, entered=Steady("this boot", 7 * SECOND))
    assert begun.waited(START + 90 * SECOND, Steady("another", 8 * SECOND)) == 90
    assert begun.waited(START - 90 * SECOND, Steady("another", 8 * SECOND)) == 0


@pytest.mark.parametrize(
    ("lacking", "waiting", "said"),
    [
        ({"waited": 30}, "time", "30 s of at least 2 min have passed"),
        ({"samples": 199}, "samples", "199 of 200 samples"),
        ({"pairs": 0}, "pairs", "0 of 50 labelled pairs"),
        ({"freshness": Freshness(20.0, 15.0)}, "monitor", "silent for 20 s (limit 15 s)"),
    ],
)
def test_whatever_a_hold_lacks_is_named(lacking: dict[str, float], waiting: str, said: str) -> None:
    """One thing missing is enough to stay, and the sentence says how far it is."""
    decision = decided(ROLLOUT, **lacking)  # type: ignore[arg-type]
    assert decision.kind == "hold"
    assert decision.waiting == (waiting,)
    assert said in decision.reason


def test_the_last_step_promotes_only_when_every_required_metric_passes() -> None:
    """Until: pass waits for proof; a metric that is not required need not have it."""
    optional = replace(OPEN, metric="accuracy", required=False)
    assert decided(LAST, OPEN, optional).waiting == ("verdict",)
    decision = decided(LAST, PASS, optional)
    assert (decision.kind, decision.verdict, decision.n) == ("promote", "PASS", 300)
    assert "error-rate PASS: evidence 3.1 ≥ 3.0" in decision.reason


@pytest.mark.parametrize("state", ["progressing", "paused", "baking"])
@given(
    waited=st.floats(0, 1e6),
    samples=st.integers(0, 10**6),
    age=st.one_of(st.none(), st.floats(0, 1e6)),
    step=st.integers(0, 1),
)
def test_a_proven_regression_goes_back_whatever_else_is_missing(
    state: str, waited: float, samples: int, age: float | None, step: int
) -> None:
    """In every live state, without samples, without a monitor, before or after any time."""
    rollout = replace(ROLLOUT, state=state, step=step)
    decision = decided(rollout, FAIL, waited=waited, samples=samples, freshness=Freshness(age))
    assert (decision.kind, decision.verdict, decision.n) == ("abort", "FAIL", 300)
    assert "error-rate FAIL: evidence 4.2 ≥ 3.0; all metrics together 4.2 ≥ 3.0" in decision.reason
    assert decision.evidence["rollback_evidence"] == 4.2


@given(
    waited=st.floats(0, 1e7), samples=st.integers(0, 10**7), age=st.floats(15.1, 1e6), step=st.integers(0, 1)
)
def test_nothing_moves_forward_while_the_monitor_is_silent(
    waited: float, samples: int, age: float, step: int
) -> None:
    """A monitor that has stopped blocks promotion, also where on_max says to go on; it never rolls back."""
    for on_max in ("pause", "continue"):
        steps = tuple(replace(one, hold=replace(one.hold, on_max=on_max)) for one in SPEC.steps)
        rollout = replace(ROLLOUT, step=step, spec=replace(SPEC, steps=steps))
        decision = decided(rollout, PASS, waited=waited, samples=samples, freshness=Freshness(age))
        assert decision.kind in {"hold", "pause"}


def test_a_monitor_that_never_was_is_missed_only_where_it_is_needed() -> None:
    """Serving alone may roll out on errors; a required accuracy waits for a monitor to be started."""
    never = Freshness(None)
    assert decided(freshness=never).kind == "advance"
    needy = replace(ROLLOUT, spec=replace(SPEC, metrics=(MetricSpec("error-rate"), MetricSpec("accuracy"))))
    decision = decided(needy, freshness=never)
    assert decision.waiting == ("monitor",)
    assert "start it" in decision.reason


@pytest.mark.parametrize(
    ("on_max", "kind"), [("pause", "pause"), ("abort", "abort"), ("continue", "advance")]
)
def test_after_max_the_spec_says_what_happens(on_max: str, kind: str) -> None:
    """A hold that is not met in time pauses, goes back or, where that was written, goes on unproven."""
    steps = (replace(SPEC.steps[0], hold=replace(HOLD, on_max=on_max)), SPEC.steps[1])
    late = replace(ROLLOUT, spec=replace(SPEC, steps=steps))
    decision = decided(late, samples=3, waited=1201)
    assert (decision.kind, decision.verdict) == (kind, "OPEN")
    assert "20 min are over and 3 of 200 samples" in decision.reason


def test_a_hold_without_max_waits_for_ever() -> None:
    """0 is no limit."""
    steps = (replace(SPEC.steps[0], hold=replace(HOLD, max=0.0)), SPEC.steps[1])
    assert decided(replace(ROLLOUT, spec=replace(SPEC, steps=steps)), samples=3, waited=1e7).kind == "hold"


def test_a_paused_rollout_waits_for_somebody() -> None:
    """However much is proven, a pause is ended by a person."""
    decision = decided(replace(ROLLOUT, state="paused", reason="lunch"), PASS)
    assert (decision.kind, decision.waiting, decision.reason) == ("hold", ("resume",), "paused: lunch")
    decision = decided(replace(ROLLOUT, state="paused", reason=""), PASS)
    assert decision.reason == "paused until somebody resumes"


def test_a_bake_ends_by_time() -> None:
    """The promoted version has held its time: the rollout is over, and the row says on what evidence."""
    baking = replace(ROLLOUT, state="baking")
    assert decided(baking, waited=3599).waiting == ("bake",)
    decision = decided(baking, PASS, waited=3600)
    assert (decision.kind, decision.verdict, decision.n) == ("finish", "PASS", 300)
    assert decision.evidence["error-rate.verdict"] == "PASS"
    assert decided(baking, OPEN, waited=3600).verdict == "OPEN"


def test_a_clock_that_was_set_back_ends_no_hold() -> None:
    """Time before the step was entered counts as none."""
    assert decided(waited=-100).waiting == ("time",)


def test_a_rollout_that_is_over_needs_nothing() -> None:
    """Ended states hold for ever, also against late evidence."""
    assert decided(replace(ROLLOUT, state="succeeded"), FAIL).kind == "hold"


def test_the_table_names_every_number() -> None:
    """History rows hold both sides' evidence and thresholds by dotted names."""
    assert table([PASS]) == {
        "error-rate.verdict": "PASS",
        "error-rate.n": 300,
        "error-rate.fail_evidence": 0.0,
        "error-rate.fail_threshold": 2.9957,
        "error-rate.pass_evidence": 3.1,
        "error-rate.pass_threshold": 2.9957,
    }


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.25, "0.25 s"), (59, "59 s"), (90, "1.5 min"), (7200, "2 h")]
)
def test_durations_read_as_people_say_them(seconds: float, said: str) -> None:
    """The largest unit that fits."""
    assert span(seconds) == said
