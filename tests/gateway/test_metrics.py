"""What the gateway measures."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway import metrics
from gateway.meters import ModelMeters
from gateway.metrics import rollout_series
from groundwork.counters import Counters, SeriesKey
from groundwork.metrics import render
from groundwork.slots import Slot, retire
from prediction_log.record import Arm
from rollouts.rollout import Rollout, RolloutSpec

SECOND = 1_000_000_000


@pytest.fixture
def counters(tmp_path: Path) -> Iterator[Counters]:
    """A table of one worker."""
    table = Counters.create(tmp_path / "counters")
    yield table
    table.close()


def rollout(model: str, state: str, entered: int) -> Rollout:
    """A rollout of a model that came into its step at this time (unix ns)."""
    return Rollout(f"{model}-1", model, "1", "2", RolloutSpec(), state=state, step_entered=entered)  # type: ignore[arg-type]


def shown(series: dict[SeriesKey, int]) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What a scraper reads: name and labels to value."""
    text = render(metrics.INSTRUMENTS, series).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_model_is_in_exactly_one_state() -> None:
    """Of each model's gauges one is 1: the latest rollout's state, or steady where there never was one."""
    latest = [rollout("moving", "progressing", 0), rollout("ended", "rolled-back", 0)]
    found = shown(rollout_series(["moving", "ended", "quiet"], latest, 0))
    ones = {
        dict(labels)["model"]: dict(labels)["state"] for (_, labels), value in found.items() if value == 1
    }
    assert ones == {"moving": "progressing", "ended": "rolled-back", "quiet": "steady"}
    assert sum(name == metrics.ROLLOUT_STATE for name, _ in found) == 3 * len(metrics.STATES)


def test_only_a_live_rollout_has_a_step() -> None:
    """The time in the step is in seconds, and never negative where the clock was set back."""
    latest = [
        rollout("moving", "baking", 10 * SECOND),
        rollout("early", "paused", 99 * SECOND),
        rollout("ended", "succeeded", 10 * SECOND),
    ]
    found = shown(rollout_series([], latest, 12 * SECOND + SECOND // 2))
    steps = {labels: value for (name, labels), value in found.items() if name == metrics.ROLLOUT_STEP}
    assert steps == {(("model", "moving"),): 2.5, (("model", "early"),): 0.0}


def test_only_what_bakes_says_for_how_long_it_should() -> None:
    """It is the rollout's own `bake.for`, in seconds: a bake of a day is not stuck after six hours."""
    latest = [
        rollout("bakes", "baking", 0),
        rollout("moves", "progressing", 0),
        rollout("over", "succeeded", 0),
    ]
    found = shown(rollout_series([], latest, 0))
    bakes = {labels: value for (name, labels), value in found.items() if name == metrics.ROLLOUT_BAKE}
    assert bakes == {(("model", "bakes"),): RolloutSpec().bake.duration}


def test_scrapes_say_what_one_look_says(tmp_path: Path) -> None:
    """A reader that remembers names tells the same as one that reads all, slots that come and go included."""
    folder = tmp_path / "slots"
    facts = {SeriesKey(metrics.DISK_FREE, (), "gauge"): 7}
    scrapes = metrics.Scrapes(folder, lambda: facts)
    for place in range(3):
        slot = Slot.create(folder, place=place)
        ModelMeters(slot.counters, "m", str(place)).observe[Arm.PINNED](30)
        assert scrapes() == metrics.exposition(folder, lambda: facts)
        incarnation = slot.incarnation
        slot.close()
        if place:
            retire(folder, incarnation)
        assert scrapes() == metrics.exposition(folder, lambda: facts)
    assert b'version="2"' in scrapes()


def test_latency_is_told_by_arm_and_outcome(counters: Counters) -> None:
    """Answers, failures and reruns of each arm have a histogram of their own, made when it is needed."""
    meters = ModelMeters(counters, "m", "1")
    meters.observe[Arm.STABLE](30)
    meters.observe[Arm.CANDIDATE](30)
    meters.observe_failed(Arm.STABLE, 30, rerun=False)
    meters.observe_failed(Arm.CANDIDATE, 30, rerun=True)
    found = shown(counters.read())
    counts = {
        (dict(labels)["arm"], dict(labels)["outcome"]): value
        for (name, labels), value in found.items()
        if name == "driftgate_request_seconds_count"
    }
    assert counts == {
        ("stable", "ok"): 1.0,
        ("candidate", "ok"): 1.0,
        ("stable", "failed"): 1.0,
        ("candidate", "rerun"): 1.0,
    }
