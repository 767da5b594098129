"""Tests of monitor.detectors.edetector: what it finds, and what it forgives."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import Generator

from monitor.blocks import MISSING, Block, Mark, Rows
from monitor.columns import Layout
from monitor.detectors.edetector import InputDetector
from monitor.settings import DetectionSettings
from registry_client.profiling import build_profile

ROWS = 10_000
SIZE = 64
Draw = Callable[[Generator, int], tuple[np.ndarray, np.ndarray, np.ndarray]]


def usual(rng: Generator, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One normal number, one category of three, which of the numbers are missing."""
    return rng.normal(size=rows), rng.choice(3, rows, p=[0.5, 0.3, 0.2]), np.zeros(rows, bool)


def changed(number: Callable[[np.ndarray], np.ndarray]) -> Draw:
    """The usual rows with the number changed."""

    def draw(rng: Generator, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        x, codes, gone = usual(rng, rows)
        return number(x), codes, gone

    return draw


def with_new_category(rng: Generator, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Five rows in a hundred hold a category the reference never saw."""
    x, codes, gone = usual(rng, rows)
    return x, np.where(rng.random(rows) < 0.05, 3, codes), gone


def with_missing(rng: Generator, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Five rows in a hundred have no number."""
    x, codes, _ = usual(rng, rows)
    return x, codes, rng.random(rows) < 0.05


def with_other_mix(rng: Generator, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The categories in other shares."""
    x, _, gone = usual(rng, rows)
    return x, rng.choice(3, rows, p=[0.3, 0.5, 0.2]), gone


def make(seed: int) -> InputDetector:
    """A detector over one number and one category."""
    rng = np.random.default_rng(seed)
    x, codes, _ = usual(rng, ROWS)
    text = np.array(["a", "b", "c"], object)[codes]
    return InputDetector(Layout(build_profile({"x": x, "s": text}, {})), DetectionSettings())


def delay(detector: InputDetector, draw: Draw, rng: Generator, most: int) -> tuple[int | None, str]:
    """Rows until the alarm at a budget of 10⁸, None if there is none, and the strongest signal then."""
    values: dict[str, float] = {}
    for start in range(0, most, SIZE):
        x, codes, gone = draw(rng, SIZE)
        validity = np.zeros((SIZE, 2), np.uint8)
        validity[gone, 0] = MISSING
        rows = Rows(x[:, None], codes[:, None].astype(np.int32), validity, np.zeros(SIZE, np.int64))
        values = dict(detector.update(Block(rows, Mark(start), Mark(start + SIZE))))
        total = np.logaddexp.reduce(
            [math.log(detector.weights[key]) + value for key, value in values.items()]
        )
        if total >= math.log(1e8):
            return start + SIZE, max(values, key=values.__getitem__)
    return None, max(values, key=values.__getitem__)


@pytest.mark.parametrize(
    ("draw", "most", "signal"),
    [
        (changed(lambda x: x + 0.5), 1_024, "x"),
        (changed(lambda x: x - 1.0), 320, "x"),
        (changed(lambda x: x * 1.5), 2_048, "x"),
        (changed(lambda x: x * 0.6), 2_048, "x"),
        (changed(lambda x: x * 1000.0), 256, "x"),
        (changed(np.zeros_like), 128, "x"),
        (with_new_category, 2_048, "s:unseen"),
        (with_missing, 2_048, "x:missing"),
        (with_other_mix, 1_024, "s"),
    ],
    ids=["up", "down", "wider", "narrower", "rescaled", "frozen", "new category", "missing", "mix"],
)
def test_finds_a_change_and_names_it(draw: Draw, most: int, signal: str) -> None:
    """Each kind of change is told within its rows, and the strongest signal is the changed one."""
    detector = make(1)
    rng = np.random.default_rng(7)
    assert delay(detector, usual, rng, 4_096)[0] is None
    found, named = delay(detector, draw, rng, most)
    assert found is not None
    assert named == signal


def test_forgives_a_change_within_the_tolerance() -> None:
    """A shift of three hundredths of a sigma, about one point of the distribution, is never told."""
    assert delay(make(2), changed(lambda x: x + 0.03), np.random.default_rng(8), 100_000)[0] is None


def test_a_small_reference_is_not_taken_at_its_word() -> None:
    """With 500 reference rows, unchanged data never alarm: the reference's own error is allowed for."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        x, codes, _ = usual(rng, 500)
        text = np.array(["a", "b", "c"], object)[codes]
        detector = InputDetector(Layout(build_profile({"x": x, "s": text}, {})), DetectionSettings())
        assert delay(detector, usual, rng, 50_000)[0] is None


def test_a_signal_on_which_nothing_can_be_bet_is_not_watched() -> None:
    """Where nearly any value may be a new one, missing values are told as missing, and as nothing else."""
    text = np.array([f"only {row}" if row < 4_070 else "a" for row in range(ROWS)], object)
    detector = InputDetector(Layout(build_profile({"s": text}, {})), DetectionSettings())
    codes = (np.arange(SIZE) % 32 >= 19).astype(np.int32)[:, None]
    rows = Rows(np.zeros((SIZE, 0)), codes, np.zeros((SIZE, 1), np.uint8), np.zeros(SIZE, np.int64))
    rows.validity[: SIZE // 2] = MISSING
    for _ in range(10):
        evidence = detector.update(Block(rows, Mark(), Mark(SIZE)))
    loud = {signal for signal, found in evidence.items() if found >= math.log(1e8)}
    assert loud == {"s:missing"}


def test_the_effect_on_a_rare_values_column_is_what_the_common_one_lost() -> None:
    """A value that was nearly always there and gives way to unknown ones has an effect of what it lost."""
    text = np.array(["b" if row < 100 else "a" for row in range(ROWS)], object)
    detector = InputDetector(Layout(build_profile({"s": text}, {})), DetectionSettings())
    codes = np.where(np.arange(SIZE) % 4 == 0, 2, 0).astype(np.int32)[:, None]
    rows = Rows(np.zeros((SIZE, 0)), codes, np.zeros((SIZE, 1), np.uint8), np.zeros(SIZE, np.int64))
    for _ in range(10):
        detector.update(Block(rows, Mark(), Mark(SIZE)))
    assert detector.effect("s").size == pytest.approx(0.24, abs=0.01)


def test_evidence_falls_when_the_change_is_over() -> None:
    """After a long drift, evidence is a hundredth of the budget again within 4 096 unchanged rows."""
    detector, rng = make(3), np.random.default_rng(9)
    for _ in range(10):
        delay(detector, changed(lambda x: x + 2.0), rng, 2_048)
    for _ in range(4_096 // SIZE):
        delay(detector, usual, rng, SIZE)
    x, codes, _ = usual(rng, SIZE)
    rows = Rows(
        x[:, None], codes[:, None].astype(np.int32), np.zeros((SIZE, 2), np.uint8), np.zeros(SIZE, np.int64)
    )
    assert max(detector.update(Block(rows, Mark(), Mark())).values()) < math.log(1e8 / 100)


def test_the_effect_is_the_distance_that_was_planted() -> None:
    """The effect of a one-sigma shift is close to its Kolmogorov distance of .38, counted since the onset."""
    detector, rng = make(4), np.random.default_rng(10)
    delay(detector, usual, rng, 4_096)
    for _ in range(20):
        delay(detector, changed(lambda x: x + 1.0), rng, SIZE)
    effect = detector.effect("x")
    assert effect.size == pytest.approx(0.38, abs=0.06)
    assert effect.rows >= 19 * SIZE
