"""The statistics extension of the Open Inference Protocol: what all workers have counted of a version.

Counts are of requests, `inference_count` of rows, `execution_count` of runs; times are whole nanoseconds.
`batch_stats` are the runs by their rows, joining requests and taking them apart included. What the caches of
other servers would count is 0.

Reads a file per slot: call it off the event loop.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from gateway import metrics, queue_meters
from groundwork.series import SeriesKey
from groundwork.slot_readings import read_slots, totals

Version = tuple[str, str]
"""(model, version)."""

_TOLD_APART: Final = {
    metrics.REQUESTS: "outcome",
    queue_meters.BATCH_RUNS: "rows",
    queue_meters.BATCH_SECONDS: "rows",
    queue_meters.LONE_RUNS: "rows",
    queue_meters.LONE_SECONDS: "rows",
}
_NOTHING: Final = {"count": 0, "ns": 0}


def model_stats(slots_folder: Path, versions: Iterable[Version]) -> dict[str, Any]:
    """The document for these versions, in their order."""
    sums = _by_version(totals(slots_folder))
    last: dict[Version, int] = {}
    for slot in read_slots(slots_folder):
        for version, series in _by_version(slot.series).items():
            last[version] = max(last.get(version, 0), series.get(metrics.LAST_ANSWER, 0))
    return {"model_stats": [_stats(*one, sums.get(one, {}), last.get(one, 0)) for one in versions]}


def _by_version(series: Mapping[SeriesKey, int]) -> dict[Version, dict[str, int]]:
    """(model, version) to the sums by name; requests are told apart by outcome, joined runs by their rows."""
    found: dict[Version, dict[str, int]] = {}
    for key, value in series.items():
        labels = dict(key.labels)
        if "model" in labels and "version" in labels:
            name = f"{key.name} {labels[_TOLD_APART[key.name]]}" if key.name in _TOLD_APART else key.name
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
        "execution_count": good - sums.get(queue_meters.JOINED, 0) + sums.get(queue_meters.RUNS, 0),
        "inference_stats": {
            "success": {"count": good, "ns": sum(stages.values())},
            "fail": {"count": bad, "ns": sums.get(metrics.FAILED_SECONDS, 0)},
            **{name: {"count": good, "ns": spent} for name, spent in stages.items()},
            "cache_hit": {"count": 0, "ns": 0},
            "cache_miss": {"count": 0, "ns": 0},
        },
        "response_stats": {},
        "batch_stats": _batches(sums),
        "memory_usage": [],
    }


def _batches(sums: Mapping[str, int]) -> list[dict[str, Any]]:
    """Good runs by their rows, of one request or of several; what is counted nowhere else had one row."""
    runs = _sizes(sums, queue_meters.BATCH_RUNS, queue_meters.LONE_RUNS)
    spent = _sizes(sums, queue_meters.BATCH_SECONDS, queue_meters.LONE_SECONDS)
    lone = _sizes(sums, queue_meters.LONE_RUNS), _sizes(sums, queue_meters.LONE_SECONDS)
    good, ran = sums.get(f"{metrics.REQUESTS} ok", 0), sums.get(metrics.RUN_SECONDS, 0)
    single = good - sums.get(queue_meters.JOINED, 0) - sum(lone[0].values())
    if single > 0:
        rest = ran - sums.get(queue_meters.JOINED_SECONDS, 0) - sum(lone[1].values())
        runs[1] = runs.get(1, 0) + single
        spent[1] = spent.get(1, 0) + max(0, rest)
    return [
        {
            "batch_size": rows,
            "compute_input": _NOTHING,
            "compute_infer": {"count": runs[rows], "ns": spent.get(rows, 0)},
            "compute_output": _NOTHING,
        }
        for rows in sorted(runs)
    ]


def _sizes(sums: Mapping[str, int], *names: str) -> dict[int, int]:
    """Rows to the sum over these series."""
    found: dict[int, int] = {}
    for key, value in sums.items():
        name, _, rows = key.partition(" ")
        if name in names and rows:
            found[int(rows)] = found.get(int(rows), 0) + value
    return found
