"""Blocks for detectors: stationary, shifted, and hostile ones."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.random import Generator

from monitor.blocks import MISSING, WITHHELD, Block, Mark, Rows
from monitor.columns import Layout
from monitor.detectors.detector import Detector
from registry_client.profile import Profile, Risk
from registry_client.profiling import build_profile

NUMBERS = 6
TEXTS = 2
CATEGORIES = 5


def profile(rng: Generator, rows: int = 10_000) -> Profile:
    """A reference of six normal numbers and two texts, wrong one time in ten."""
    inputs: dict[str, np.ndarray] = {f"x{index}": rng.normal(size=rows) for index in range(NUMBERS)}
    for index in range(TEXTS):
        inputs[f"s{index}"] = np.array([f"c{code}" for code in rng.integers(0, CATEGORIES, rows)], object)
    made = build_profile(inputs, {})
    return Profile(
        rows=rows, columns=made.columns, outputs=(), risk=Risk(n=rows, errors=int(rows * 0.1)), held_out=True
    )


def blocks(
    feed: str,
    rng: Generator,
    layout: Layout,
    rows: int,
    *,
    shift: float = 0.0,
    wrong: float = 0.1,
    size: int = 64,
) -> Iterator[Block]:
    """Blocks of one feed; `shift` moves the first number, `wrong` is the share of errors."""
    for start in range(0, rows, size):
        yield Block(
            _inputs(rng, layout, size, shift) if feed == "inputs" else _errors(rng, size, wrong),
            Mark(start, start, 1, start),
            Mark(start + size, start + size, 1, start + size),
        )


def _inputs(rng: Generator, layout: Layout, size: int, shift: float) -> Rows:
    numeric = rng.normal(size=(size, len(layout.numeric)))
    numeric[:, 0] += shift
    codes = np.empty((size, len(layout.categorical)), np.int32)
    for index, column in enumerate(layout.categorical):
        places = {name: code for code, name in enumerate(column.categories)}
        drawn = rng.integers(0, CATEGORIES, size).tolist()
        codes[:, index] = [places.get(f"c{code}", len(places)) for code in drawn]
    width = numeric.shape[1] + codes.shape[1]
    return Rows(numeric, codes, np.zeros((size, width), np.uint8), np.zeros(size, np.int64))


def _errors(rng: Generator, size: int, wrong: float) -> Rows:
    bits = (rng.random((size, 1)) < wrong).astype(np.float64)
    return Rows(bits, np.zeros((size, 0), np.int32), np.zeros((size, 1), np.uint8), np.zeros(size, np.int64))


def hostile(feed: str, layout: Layout, size: int = 16) -> Iterator[Block]:
    """Blocks of extremes: huge numbers, everything missing, everything withheld, nothing but one value."""
    texts = 0 if feed == "errors" else len(layout.categorical)
    numbers = 1 if feed == "errors" else len(layout.numeric)
    flags = np.zeros((size, numbers + texts), np.uint8)
    for value, mark in (
        (1e308, flags),
        (-1e308, flags),
        (math.nan, flags + np.uint8(MISSING)),
        (math.inf, flags + np.uint8(WITHHELD)),
        (0.0, flags),
    ):
        unlisted = np.array([len(column.categories) for column in layout.categorical][:texts], np.int32)
        codes = np.broadcast_to(unlisted, (size, texts)).astype(np.int32)
        rows = Rows(np.full((size, numbers), value), codes, mark, np.zeros(size, np.int64))
        yield Block(rows, Mark(), Mark(size, 0, 1, 1))


def evidence(detector: Detector, block: Block) -> float:
    """Log of the detector's weighted average, as the level above takes it."""
    values = detector.update(block)
    return float(
        np.logaddexp.reduce([math.log(detector.weights[name]) + value for name, value in values.items()])
    )
