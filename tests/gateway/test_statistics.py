"""What all workers have counted of a version."""

from pathlib import Path
from typing import Any

from gateway import metrics, queue_meters
from gateway.statistics import model_stats
from groundwork.slots import Slot

OF = {"model": "m", "version": "1"}


def count(slot: Slot, name: str, value: int, **labels: str) -> None:
    """Let a worker have counted so much of version 1."""
    slot.counters.values[slot.counters.series(name, {**OF, **labels})] += value


def stats(folder: Path) -> dict[str, Any]:
    """What is told of version 1."""
    (found,) = model_stats(folder, [("m", "1")])["model_stats"]
    held: dict[str, Any] = found
    return held


def test_counts_are_those_of_all_workers_living_and_dead(tmp_path: Path) -> None:
    """Requests, rows and failures are summed; the last answer is the latest of any."""
    for place, (good, last) in enumerate([(3, 70), (4, 50)]):
        slot = Slot.create(tmp_path, place=place)
        count(slot, metrics.REQUESTS, good, outcome="ok", arm="stable")
        count(slot, metrics.REQUESTS, 1, outcome="failed", arm="stable")
        count(slot, metrics.ROWS, 10 * good)
        slot.counters.values[slot.counters.series(metrics.LAST_ANSWER, OF, kind="gauge")] = last
        if place:
            slot.close()
    found = stats(tmp_path)
    assert (found["inference_count"], found["execution_count"], found["last_inference"]) == (70, 7, 70)
    assert found["inference_stats"]["success"]["count"] == 7
    assert found["inference_stats"]["fail"]["count"] == 2


def test_joined_requests_are_fewer_runs(tmp_path: Path) -> None:
    """Ten requests of which six ran in two runs are six runs; each is told by its rows."""
    slot = Slot.create(tmp_path, place=0)
    count(slot, metrics.REQUESTS, 10, outcome="ok", arm="stable")
    count(slot, metrics.RUN_SECONDS, 1_000)
    count(slot, queue_meters.JOINED, 6)
    count(slot, queue_meters.JOINED_SECONDS, 600)
    count(slot, queue_meters.RUNS, 2)
    count(slot, queue_meters.BATCH_RUNS, 2, rows="3")
    count(slot, queue_meters.BATCH_SECONDS, 600, rows="3")
    found = stats(tmp_path)
    assert found["execution_count"] == 6
    told = {one["batch_size"]: one["compute_infer"] for one in found["batch_stats"]}
    assert told == {1: {"count": 4, "ns": 400}, 3: {"count": 2, "ns": 600}}
    slot.close()


def test_a_version_that_nobody_asked_has_counted_nothing(tmp_path: Path) -> None:
    """It is told of all the same, with zeros."""
    Slot.create(tmp_path, place=0).close()
    found = stats(tmp_path)
    assert (found["inference_count"], found["execution_count"], found["last_inference"]) == (0, 0, 0)
    assert found["batch_stats"] == []
