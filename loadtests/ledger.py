"""What the product itself counted: in /metrics while it runs, and in its log afterwards."""

from __future__ import annotations

import contextlib
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from prediction_log.frame import decode
from prediction_log.record import Arm, Kind
from prediction_log.segment_source import SegmentSource
from prediction_log.transport import START

ANSWERS: Final = (Arm.STABLE, Arm.CANDIDATE)
_FRAMES: Final = 256


def metric(base: str, name: str, keep: Callable[[dict[str, str]], bool] = lambda _: True) -> float:
    """The sum of a metric's samples whose labels are wanted, as one scrape of `base` shows it."""
    with urllib.request.urlopen(f"{base}/metrics", timeout=10) as answer:  # noqa: S310  loopback
        text = answer.read().decode()
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and keep(sample.labels)
    )


def logged(data: Path) -> dict[str, int]:
    """Rows of the log: `predictions` that callers were answered with, and `labels`."""
    found = {"predictions": 0, "labels": 0}
    with contextlib.closing(SegmentSource(data / "log")) as source:
        after = START
        while frames := source.read(after, _FRAMES):
            for _, content in frames:
                frame = decode(content)
                if frame.kind == Kind.LABEL:
                    found["labels"] += frame.rows
                elif frame.kind == Kind.PREDICTION:
                    arms = memoryview(frame.columns["arm"]).tolist()  # type: ignore[arg-type]
                    found["predictions"] += sum(arm in ANSWERS for arm in arms)
            after = frames[-1][0]
    return found
