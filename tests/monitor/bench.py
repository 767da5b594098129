"""What the monitor costs: `python -m tests.monitor.bench`. Not a test; prints µs per row on this machine."""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from monitor.blocks import Block, Mark, Rows
from monitor.columns import Layout
from monitor.detectors.edetector import InputDetector
from monitor.pipeline import Pipeline
from monitor.settings import DetectionSettings
from monitor.store import open_store
from prediction_log.transport import Offset
from registry_client.profiling import build_profile
from tests.monitor import worlds

NUMBERS, TEXTS, CATEGORIES, REFERENCE = 30, 5, 8, 10_000
FRAMES, FRAME_ROWS, ROUND = 200, 250, 8


def detector() -> float:
    """µs per row of the input detector over 30 numbers and 5 texts, in blocks of 64."""
    rng = np.random.default_rng(1)
    inputs: dict[str, np.ndarray] = {f"x{index}": rng.normal(size=REFERENCE) for index in range(NUMBERS)}
    for index in range(TEXTS):
        inputs[f"s{index}"] = np.array(
            [f"c{code}" for code in rng.integers(0, CATEGORIES, REFERENCE)], object
        )
    made = InputDetector(Layout(build_profile(inputs, {})), DetectionSettings())
    blocks = []
    for _ in range(50):
        codes = rng.integers(0, CATEGORIES, (64, TEXTS)).astype(np.int32)
        flags = np.zeros((64, NUMBERS + TEXTS), np.uint8)
        rows = Rows(rng.normal(size=(64, NUMBERS)), codes, flags, np.zeros(64, np.int64))
        blocks.append(Block(rows, Mark(), Mark(64)))
    started = time.perf_counter()
    for count in range(1_000):
        made.update(blocks[count % 50])
    return (time.perf_counter() - started) / 64_000 * 1e6


def pipeline() -> tuple[float, float]:
    """µs per predicted row, and per label, through decode, ledger, detectors and synced commits."""
    traffic = worlds.Traffic(1)
    made = [traffic.predictions(FRAME_ROWS) for _ in range(FRAMES)]
    predictions = [body for body, _ in made]
    labels = [traffic.labels(rows) for _, rows in made]
    with tempfile.TemporaryDirectory() as name:
        db = open_store(Path(name))
        running = Pipeline(db, worlds.settings(), worlds.registry("1"), worlds.IDS)
        costs = []
        for start, frames in ((0, predictions), (FRAMES, labels)):
            numbered = [(Offset(1, start + row), body) for row, body in enumerate(frames, 1)]
            started = time.perf_counter()
            for first in range(0, FRAMES, ROUND):
                running.feed(numbered[first : first + ROUND])
            costs.append((time.perf_counter() - started) / (FRAMES * FRAME_ROWS) * 1e6)
        db.close()
    return costs[0], costs[1]


if __name__ == "__main__":
    predicted, labelled = pipeline()
    sys.stdout.write(
        f"input detector, {NUMBERS} numbers and {TEXTS} texts: {detector():.2f} µs per row\n"
        f"pipeline, 3 columns: {predicted:.1f} µs per predicted row, {labelled:.1f} µs per label\n"
    )
