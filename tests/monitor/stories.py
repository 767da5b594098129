"""A log in which everything happens, and all that a pipeline makes of it."""

import functools
import os
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from monitor.pipeline import Pipeline, states
from monitor.store import open_store
from prediction_log.frame import encode
from prediction_log.record import ColumnSpec, Schema
from prediction_log.transport import Offset
from tests.monitor import worlds
from tests.monitor.worlds import Traffic, pairs, registry

EXAMPLES = 200 if os.environ.get("TORTURE") else 8
TABLES = (
    "incidents",
    "events",
    "deliveries",
    "predictions",
    "pairs",
    "early",
    "pairings",
    "watches",
    "facts",
)
REGISTRY = registry("1", "2")


def story(seed: int = 0) -> list[bytes]:
    """A log in which everything happens: labels early and late, pairs, garbage, drift, and its end."""
    traffic, other = Traffic(seed), Traffic(seed + 1, stream=2, version="2")
    frames: list[bytes] = []
    for step in range(60):
        bad = 20 <= step < 40
        size = int(traffic.rng.integers(1, 90))
        body, labels = traffic.predictions(size, shift=1.5 if bad else 0.0, wrong=0.6 if bad else 0.1)
        late = traffic.labels(labels)
        frames += [late, body] if step % 9 == 0 else [body, late]
        if step % 6 == 0:
            shadow, _ = other.predictions(20, arm=2)
            ids = np.frombuffer(b"".join(label.id for label in labels), np.uint8).reshape(-1, 16)
            frames += [shadow, pairs(ids, [1] * size, [0] * size, first=traffic.sequence)]
        if step % 13 == 0:
            frames += [b"not a frame", odd_kind(step)]
    return frames


def odd_kind(number: int) -> bytes:
    """A frame of a kind that a later version may write."""
    schema = Schema("m", "", "", (ColumnSpec("x", "<f4", (), "meta"),))
    return encode(77, schema, {"x": 0}, rows=1, incarnation=9, stream=9, first=number)


def numbered(frames: list[bytes]) -> list[tuple[Offset, bytes]]:
    """The frames with their offsets."""
    return [(Offset(1, row), body) for row, body in enumerate(frames, 1)]


def everything(pipeline: Pipeline, db: sqlite3.Connection) -> dict[str, Any]:
    """All that a run leaves behind: states in memory, and every row in the file."""
    rows = {table: db.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES}  # noqa: S608  ours
    return {**states(pipeline), **rows}


@functools.cache
def uninterrupted(seed: int) -> dict[str, Any]:
    """What one round over everything leaves behind."""
    with tempfile.TemporaryDirectory() as name:
        db = open_store(Path(name))
        pipeline = Pipeline(db, worlds.settings(), REGISTRY, worlds.IDS)
        pipeline.feed(numbered(story(seed)))
        left = everything(pipeline, db)
        db.close()
        return left
