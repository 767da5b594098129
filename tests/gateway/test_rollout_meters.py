"""What is measured of rollouts."""

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from gateway import rollout_meters
from groundwork.metrics import render
from groundwork.series import SeriesKey
from rollouts.rollout import Bake, Hold, Rollout, RolloutSpec, Step

SECOND = 1_000_000_000


def rollout(model: str, state: str, entered: int, spec: RolloutSpec = RolloutSpec()) -> Rollout:  # noqa: B008  frozen
    """A rollout of a model that came into its step at this time (unix ns)."""
    return Rollout(f"{model}-1", model, "1", "2", spec, state=state, step_entered=entered)  # type: ignore[arg-type]


def shown(series: dict[SeriesKey, int]) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What a scraper reads: name and labels to value."""
    text = render(rollout_meters.INSTRUMENTS, series).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_model_is_in_exactly_one_state() -> None:
    """Of each model's gauges one is 1: the latest rollout's state, or steady where there never was one."""
    latest = [rollout("moving", "progressing", 0), rollout("ended", "rolled-back", 0)]
    found = shown(rollout_meters.series(["moving", "ended", "quiet"], latest, 0))
    ones = {
        dict(labels)["model"]: dict(labels)["state"] for (_, labels), value in found.items() if value == 1
    }
    assert ones == {"moving": "progressing", "ended": "rolled-back", "quiet": "steady"}
    assert sum(name == rollout_meters.STATE for name, _ in found) == 3 * len(rollout_meters.STATES)


def test_only_a_live_rollout_has_a_step() -> None:
    """The time in the step is in seconds, and never negative where the clock was set back."""
    latest = [
        rollout("moving", "baking", 10 * SECOND),
        rollout("early", "paused", 99 * SECOND),
        rollout("ended", "succeeded", 10 * SECOND),
    ]
    found = shown(rollout_meters.series([], latest, 12 * SECOND + SECOND // 2))
    steps = {labels: value for (name, labels), value in found.items() if name == rollout_meters.STEP}
    assert steps == {(("model", "moving"),): 2.5, (("model", "early"),): 0.0}


def test_a_step_s_bounds_are_those_of_its_own_hold() -> None:
    """Seconds: a hold's `for` and `max`, or the bake's `for`; no `max` is none, and a pause has no bound."""
    unbounded = RolloutSpec(steps=(Step(weight=5, hold=Hold(for_="12h")),))
    latest = [
        rollout("moves", "progressing", 0, RolloutSpec(steps=(Step(hold=Hold(for_="2m", max="24h")),))),
        rollout("waits", "progressing", 0, unbounded),
        rollout("paused", "paused", 0),
        rollout("bakes", "baking", 0, msgspec.structs.replace(unbounded, bake=Bake(for_="48h"))),
        rollout("unbaked", "baking", 0, msgspec.structs.replace(unbounded, bake=Bake(for_=0))),
        rollout("over", "succeeded", 0),
    ]
    found = shown(rollout_meters.series([], latest, 0))
    bounds: dict[str, dict[str, float]] = {rollout_meters.SHORTEST: {}, rollout_meters.LONGEST: {}}
    for (name, labels), value in found.items():
        if name in bounds:
            bounds[name][dict(labels)["model"]] = value
    assert bounds == {
        rollout_meters.SHORTEST: {"moves": 120, "waits": 43_200, "bakes": 172_800, "unbaked": 0},
        rollout_meters.LONGEST: {"moves": 86_400, "bakes": 172_800, "unbaked": 0},
    }
