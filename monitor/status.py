"""What the monitor knows, as documents made of a snapshot: of one commit, whatever a round does meanwhile."""

from collections.abc import Mapping
from typing import Any, Final

from groundwork.series import SeriesKey
from monitor import metrics
from monitor.settings import MonitorSettings
from monitor.shown import Snapshot, finite
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


def status(snapshot: Snapshot) -> dict[str, Any]:
    """Everything at a glance: offset, versions, what cannot be watched."""
    return {
        "offset": str(snapshot.offset),
        "history": snapshot.history,
        "versions": [seen.told for seen in snapshot.versions],
        "problems": problems(snapshot),
    }


def problems(snapshot: Snapshot) -> dict[str, str]:
    """What cannot be watched as it should be: "model/version" -> why."""
    return {
        f"{seen.model}/{seen.version}": seen.told["problem"]
        for seen in snapshot.versions
        if seen.told["problem"]
    }


def drift(
    snapshot: Snapshot, settings: MonitorSettings, model: str | None, version: str | None
) -> list[dict[str, Any]]:
    """Every signal of the versions asked for: evidence, threshold, effect; some 5 ms for 35 columns each."""
    return [
        {
            **seen.told,
            "signals": _signals(Watch.restore(seen.model, seen.version, settings, seen.state, seen.profile)),
        }
        for seen in snapshot.versions
        if model in {None, seen.model} and version in {None, seen.version}
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
                    "evidence": finite(evidence),
                    "weight": detector.weights[name] * detector.share,
                    "effect": effect.size,
                    "event": effect.event,
                    "before": effect.before,
                    "after": effect.after,
                    "rows": effect.rows,
                }
            )
    return rows
