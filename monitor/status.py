"""What the monitor knows, as documents: read under the pipeline's lock, changed by nobody."""

import math
from collections.abc import Mapping
from typing import Any, Final

from groundwork.counters import SeriesKey
from groundwork.dates import rfc3339
from monitor import metrics
from monitor.pipeline import Pipeline
from monitor.watch import Watch

OUTCOMES: Final = (
    "matched",
    "unscored",
    "early",
    "not drawn",
    "unmatched",
    "late",
    "duplicate",
    "ambiguous",
)
"""What may become of a label (docs/monitoring.md); in JSON with an underscore for the space."""


def status(pipeline: Pipeline) -> dict[str, Any]:
    """Everything at a glance: offset, versions, what cannot be watched."""
    with pipeline.lock:
        return {
            "offset": str(pipeline.offset),
            "history": pipeline.history,
            "versions": [_version(pipeline, watch) for watch in pipeline.watches],
            "problems": pipeline.problems(),
        }


def drift(pipeline: Pipeline, model: str | None, version: str | None) -> list[dict[str, Any]]:
    """Every signal of the versions asked for: evidence, threshold, effect."""
    with pipeline.lock:
        return [
            {**_version(pipeline, watch), "signals": _signals(watch)}
            for watch in pipeline.watches
            if model in {None, watch.model} and version in {None, watch.version}
        ]


def labels(
    counts: Mapping[SeriesKey, int], waiting: Mapping[str, int], model: str | None
) -> list[dict[str, Any]]:
    """What became of each model's labels, where there were any; `waiting` are kept for what is to come."""
    found: dict[str, dict[str, int]] = {name: {} for name in waiting}
    for series, count in counts.items():
        if series.name == metrics.LABELS:
            of = dict(series.labels)
            found.setdefault(of["model"], {})[of["outcome"]] = count
    return [
        {
            "model": name,
            **{outcome.replace(" ", "_"): found[name].get(outcome, 0) for outcome in OUTCOMES},
            "waiting": waiting.get(name, 0),
        }
        for name in sorted(found)
        if model in {None, name}
    ]


def _version(pipeline: Pipeline, watch: Watch) -> dict[str, Any]:
    predictions = metrics.key(metrics.ROWS, model=watch.model, version=watch.version, kind="prediction")
    strange = metrics.key(metrics.UNKNOWN_CLASSES, model=watch.model, version=watch.version)
    labelled = watch.accuracy.right + watch.accuracy.wrong
    incident = watch.incident
    return {
        "model": watch.model,
        "version": watch.version,
        "rows": pipeline.tally.counts.get(predictions, 0),
        "latest": rfc3339(watch.mark.time) if watch.mark.time else None,
        "reference": "" if watch.layout is not None else watch.problem or "no reference profile",
        "problem": watch.problem,
        "unwatched": dict(watch.unwatched),
        "accuracy": {
            "labelled": labelled,
            "right": watch.accuracy.right,
            "overall": watch.accuracy.overall,
            "recent": watch.accuracy.recent,
            "unknown_class": pipeline.tally.counts.get(strange, 0),
        },
        "evidence": _finite(watch.total),
        "threshold": watch.threshold,
        "groups": {name: _finite(value) for name, value in watch.groups.items()},
        "incident": incident.id if incident is not None and incident.state == "open" else None,
        "policy": watch.said if incident is not None and incident.state == "open" else "",
    }


def _signals(watch: Watch) -> list[dict[str, Any]]:
    rows = []
    for group, values in watch.evidence.items():
        detector = watch.detectors.get(group)
        if detector is None:
            continue
        for name, evidence in values.items():
            effect = detector.effect(name)
            rows.append(
                {
                    "group": group,
                    "signal": name,
                    "evidence": _finite(evidence),
                    "weight": detector.weights[name] * detector.share,
                    "effect": effect.size,
                    "event": effect.event,
                    "before": effect.before,
                    "after": effect.after,
                    "rows": effect.rows,
                }
            )
    return rows


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
