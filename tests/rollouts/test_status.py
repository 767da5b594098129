"""The status of a model as one screen shows it, and its timeline."""

import msgspec
import pytest

from rollouts import judge
from rollouts.evidence import ArmCounts, Observation, PairTotals, Seen
from rollouts.history import Entry
from rollouts.pilot import Freshness, decide
from rollouts.rollout import Rollout, RolloutSpec, State
from rollouts.route import Route, weight_from_percent
from rollouts.status import Status, at_rest, status
from rollouts.timeline import moment

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
ROUTE = Route(
    "m", 3, "1", candidate="2", weight=weight_from_percent(5), rollout="m-2-2", step=1, previous="0"
)
ROLLOUT = Rollout(
    "m-2-2",
    "m",
    "1",
    "2",
    RolloutSpec(),
    step=1,
    step_revision=3,
    step_entered=START,
    started=START,
    first_revision=2,
)
SEEN = Seen(
    counts={
        1: {
            (2, "stable"): ArmCounts(1000),
            (2, "shadow"): ArmCounts(1000),
            (3, "stable"): ArmCounts(190),
            (3, "candidate"): ArmCounts(10),
        }
    },
    pairs={3: PairTotals("m", 3, "1", "2", both_right=4)},
)
ROW = Entry(
    actor="pilot",
    verb="advance",
    reason="step 1/4 held",
    verdict="OPEN",
    n=1000,
    evidence={"error-rate.n": 1000},
    rollout="m-2-2",
    sequence=12,
    model="m",
    revision=3,
    at=START,
    before=None,
    after=ROUTE,
)


def shown() -> Status:
    """The status of a rollout in its second step."""
    observation = Observation(SEEN.counts, tuple(SEEN.pairs.values()))
    _, seen, verdicts = judge.judge(ROLLOUT, *judge.begin(ROLLOUT.spec), observation)
    now = START + 30 * SECOND
    decision = decide(ROLLOUT, ROUTE, verdicts, samples=10, pairs=4, now=now, freshness=Freshness(1.0))
    return status(ROUTE, ROLLOUT, verdicts, seen, decision, now=now, history=[ROW])


def test_a_live_rollout_shows_where_it_stands_and_what_it_waits_for() -> None:
    """Step, weight set and achieved, progress of the hold, verdicts, evidence and the waiting reason."""
    found = shown()
    assert (found.state, found.step, found.steps, found.weight, found.achieved) == (
        "progressing",
        2,
        4,
        "5",
        5.0,
    )
    assert found.progress is not None
    assert (found.progress.waited, found.progress.shortest) == (30.0, 120.0)
    assert (found.progress.samples, found.progress.samples_wanted) == (10, 200)
    assert (found.progress.pairs, found.progress.pairs_wanted) == (4, 0)
    assert [one.metric for one in found.verdicts] == ["error-rate", "accuracy"]
    assert found.rollback_threshold == pytest.approx(2.9957, abs=1e-4)
    assert found.waiting == ("time", "samples")
    assert found.next == "step 2/4 (5 %): 30 s of at least 2 min have passed; 10 of 200 samples"
    assert (found.started, found.previous) == ("2023-11-14T22:13:20.000Z", "0")


def test_a_share_is_achieved_since_its_weight_was_set() -> None:
    """Neither a pause nor a resume begins it anew, and what another weight of the step gave is not in it."""
    forty = msgspec.structs.replace(ROUTE, revision=4, weight=weight_from_percent(40))
    routes = [ROUTE, forty, *(msgspec.structs.replace(forty, revision=revision) for revision in (5, 6))]
    rows = [msgspec.structs.replace(ROW, revision=route.revision, after=route) for route in routes]
    seen = Seen(
        counts={
            1: {
                (3, "stable"): ArmCounts(400),
                **{(revision, "stable"): ArmCounts(20) for revision in (4, 5, 6)},
                **{(revision, "candidate"): ArmCounts(10) for revision in (4, 5, 6)},
            }
        }
    )
    decision = decide(ROLLOUT, forty, (), samples=0, pairs=0, now=START, freshness=Freshness(1.0))
    for place in range(1, 4):
        found = status(routes[place], ROLLOUT, (), seen, decision, now=START, history=rows)
        assert found.achieved == pytest.approx(100 / 3)


def test_a_status_is_json_as_it_stands() -> None:
    """What --json prints can be read back into the same value."""
    found = shown()
    assert msgspec.json.decode(msgspec.json.encode(found), type=Status) == found


def test_before_the_first_request_nothing_is_achieved_and_a_bake_has_no_hold() -> None:
    """A share of nothing is unknown, not nought."""
    baking = msgspec.structs.replace(ROLLOUT, state="baking")
    decision = decide(baking, ROUTE, (), samples=0, pairs=0, now=START, freshness=Freshness(1.0))
    found = status(ROUTE, baking, (), Seen(), decision, now=START)
    assert (found.achieved, found.progress, found.waiting) == (None, None, ("bake",))


def test_a_model_without_a_rollout_is_steady() -> None:
    """Or shows how its last one ended."""
    route = Route("m", 5, "2", previous="1")
    assert (at_rest(route).state, at_rest(route).stable, at_rest(route).weight) == ("steady", "2", "0")
    last = msgspec.structs.replace(ROLLOUT, state="succeeded")
    assert at_rest(route, [ROW], last).state == "succeeded"
    assert at_rest(route, [ROW], last).history[0].sequence == 12
    unloaded = at_rest(msgspec.structs.replace(route, unloaded=True))
    assert (unloaded.unloaded, unloaded.next[:37]) == (True, "it is unloaded: load it first (POST /")


@pytest.mark.parametrize(
    ("ended", "stable", "said"),
    [
        ("rolled-back", "1", "rolled-back"),
        ("rolled-back", "0", "rolled-back"),
        ("rolled-back", "2", "steady"),
        ("succeeded", "2", "succeeded"),
        ("succeeded", "1", "steady"),
    ],
)
def test_a_rollout_that_was_gone_back_on_is_not_shown(ended: State, stable: str, said: str) -> None:
    """Nothing says that a version was rolled back, or brought in, where the other one answers."""
    last = msgspec.structs.replace(ROLLOUT, state=ended, reason="v2 is bad")
    found = at_rest(Route("m", 9, stable), [ROW], last)
    assert (found.state, found.reason) == (said, "" if said == "steady" else "v2 is bad")


def test_a_moment_cites_its_history_row() -> None:
    """When, who, what, why, on which evidence, and what answered from then on."""
    found = moment(ROW)
    assert (found.sequence, found.at, found.actor, found.verb) == (
        12,
        "2023-11-14T22:13:20.000Z",
        "pilot",
        "advance",
    )
    assert (found.verdict, found.n, found.evidence) == ("OPEN", 1000, {"error-rate.n": 1000})
    assert (found.stable, found.candidate, found.weight, found.revision) == ("1", "2", "5", 3)
    bare = moment(Entry(actor="supervisor", verb="crash"))
    assert (bare.stable, bare.candidate, bare.weight) == ("", None, "0")
