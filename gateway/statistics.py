"""The statistics extension of the Open Inference Protocol: what all workers have counted of a version.

Counts are of requests, `inference_count` of rows; times are whole nanoseconds. Times are kept per version and
not per size of batch, so `batch_stats` is empty. What the caches of other servers would count is 0.

Reads a file per slot: call it off the event loop.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gateway import metrics
from groundwork.counters import SeriesKey
from groundwork.slots import read_slots, totals

Version = tuple[str, str]
"""(model, version)."""


def model_stats(slots_folder: Path, versions: Iterable[Version]) -> dict[str, Any]:
    """The document for these versions, in their order."""
    sums = _by_version(totals(slots_folder))
    last: dict[Version, int] = {}
    for slot in read_slots(slots_folder):
        for version, series in _by_version(slot.series).items():
            last[version] = max(last.get(version, 0), series.get(metrics.LAST_ANSWER, 0))
    return {"model_stats": [_stats(*one, sums.get(one, {}), last.get(one, 0)) for one in versions]}


def _by_version(series: Mapping[SeriesKey, int]) -> dict[Version, dict[str, int]]:
    """(model, version) to the sums by name; requests are told apart by their outcome."""
    found: dict[Version, dict[str, int]] = {}
    for key, value in series.items():
        labels = dict(key.labels)
        if "model" in labels and "version" in labels:
            name = f"{key.name} {labels['outcome']}" if key.name == metrics.REQUESTS else key.name
            held = found.setdefault((labels["model"], labels["version"]), {})
            held[name] = held.get(name, 0) + value
    return found


def _stats(model: str, version: str, sums: Mapping[str, int], last: int) -> dict[str, Any]:
    good = sums.get(f"{metrics.REQUESTS} ok", 0)
    bad = sums.get(f"{metrics.REQUESTS} failed", 0) + sums.get(f"{metrics.REQUESTS} rerun", 0)
    stages = {
        "queue": sums.get(metrics.QUEUE_SECONDS, 0),
        "compute_input": sums.get(metrics.DECODE_SECONDS, 0),
        "compute_infer": sums.get(metrics.RUN_SECONDS, 0),
        "compute_output": sums.get(metrics.ENCODE_SECONDS, 0),
    }
    return {
        "name": model,
        "version": version,
        "last_inference": last,
        "inference_count": sums.get(metrics.ROWS, 0),
        "execution_count": good,
        "inference_stats": {
            "success": {"count": good, "ns": sum(stages.values())},
            "fail": {"count": bad, "ns": sums.get(metrics.FAILED_SECONDS, 0)},
            **{name: {"count": good, "ns": spent} for name, spent in stages.items()},
            "cache_hit": {"count": 0, "ns": 0},
            "cache_miss": {"count": 0, "ns": 0},
        },
        "response_stats": {},
        "batch_stats": [],
        "memory_usage": [],
    }
