"""The contract of every entry in the table of detectors."""

import math
import os
import pkgutil
from typing import cast

import msgspec
import numpy as np
import pytest

from monitor.columns import Layout
from monitor.detectors.detector import DETECTORS, Detector
from monitor.errors import DetectorStateError
from monitor.settings import DetectionSettings
from registry_client.profile import CategoricalColumn, NumericColumn, Profile
from tests.monitor.detectors.feeds import blocks, evidence, hostile, profile

SCALE = 16 if os.environ.get("TORTURE") else 1
BUDGET = 10_000.0
STATIONARY = 40_000 * SCALE
ADVICE = math.log(1 / 0.002)


def make(name: str, *, seed: int = 0, budget: float = BUDGET) -> tuple[Detector, Layout]:
    """A detector of the table over the profile of a seed."""
    kind = cast("type[Detector]", pkgutil.resolve_name(DETECTORS[name]))
    reference = profile(np.random.default_rng(seed))
    detector = kind.build(reference, DetectionSettings(budget_rows=budget))
    assert detector is not None
    return detector, Layout(reference)


def threshold(detector: Detector, budget: float = BUDGET) -> float:
    """The evidence that counts as speaking: the budget, or for advice its own level."""
    return math.log(budget) if detector.share else ADVICE - 1e-9


@pytest.mark.parametrize("name", DETECTORS)
def test_quiet_on_a_stationary_stream(name: str) -> None:
    """On unchanged data a detector speaks at most once in its budget of rows, a fresh one after each time."""
    detector, layout = make(name)
    spoke, quiet = 0, True
    for block in blocks(detector.feed, np.random.default_rng(99), layout, STATIONARY):
        loud = evidence(detector, block) >= threshold(detector)
        spoke += loud and quiet
        if loud and detector.share:
            detector, _ = make(name)
        quiet = not loud or detector.share > 0
    assert spoke <= STATIONARY / BUDGET


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("seed", range(3 * SCALE))
def test_speaks_on_a_planted_shift(name: str, seed: int) -> None:
    """A shift of one sigma, or of the error rate from .1 to .3, is told within 512 rows at 10⁸ budgeted."""
    detector, layout = make(name, seed=seed, budget=1e8)
    rng = np.random.default_rng(1_000 + seed)
    for block in blocks(detector.feed, rng, layout, 2_048):
        assert evidence(detector, block) < threshold(detector, 1e8)
    told = [
        block.end.rows
        for block in blocks(detector.feed, rng, layout, 512, shift=1.0, wrong=0.3)
        if evidence(detector, block) >= threshold(detector, 1e8)
    ]
    assert told


@pytest.mark.parametrize("name", DETECTORS)
def test_effect_says_what_changed(name: str) -> None:
    """After a shift the strongest signal's effect names a rise, its size and an onset within the stream."""
    detector, layout = make(name)
    values: dict[str, float] = {}
    for block in blocks(detector.feed, np.random.default_rng(3), layout, 2_048):
        values = dict(detector.update(block))
    for block in blocks(detector.feed, np.random.default_rng(4), layout, 512, shift=1.0, wrong=0.4):
        values = dict(detector.update(block))
    effect = detector.effect(max(values, key=values.__getitem__))
    assert effect.after > effect.before
    assert effect.size > 0.02
    assert effect.rows > 0


@pytest.mark.parametrize("name", DETECTORS)
def test_what_is_wrong_from_the_first_row_began_with_the_stream(name: str) -> None:
    """A version that never met its reference is told of from its first block on, not from 1970 on."""
    detector, layout = make(name)
    feed = blocks(detector.feed, np.random.default_rng(6), layout, 1_024, shift=3.0, wrong=0.9)
    for block in feed:
        begun = msgspec.structs.replace(block.begin, time=block.begin.time + 10**18)
        ended = msgspec.structs.replace(block.end, time=block.end.time + 10**18)
        values = dict(detector.update(msgspec.structs.replace(block, begin=begun, end=ended)))
        worst = max(values, key=values.__getitem__)
        if values[worst] > 0.0:
            assert detector.effect(worst).onset.time >= 10**18


@pytest.mark.parametrize("name", DETECTORS)
def test_a_restored_detector_goes_on_exactly(name: str) -> None:
    """Stored at any block and restored, a detector gives the same evidence and the same state ever after."""
    whole, layout = make(name)
    parted, _ = make(name)
    rng, again = np.random.default_rng(5), np.random.default_rng(5)
    pairs = zip(
        blocks(whole.feed, rng, layout, 3_200, wrong=0.3),
        blocks(whole.feed, again, layout, 3_200, wrong=0.3),
        strict=True,
    )
    for count, (one, other) in enumerate(pairs):
        if count % 7 == 3:
            state, (parted, _) = parted.state(), make(name)
            parted.restore(state)
        assert dict(whole.update(one)) == dict(parted.update(other))
    assert whole.state() == parted.state()
    assert [whole.effect(signal) for signal in whole.weights] == [parted.effect(s) for s in parted.weights]


@pytest.mark.parametrize("name", DETECTORS)
def test_state_is_bounded(name: str) -> None:
    """The state of a detector does not grow with the stream beyond 64 kB for eight columns."""
    detector, layout = make(name)
    for block in blocks(detector.feed, np.random.default_rng(6), layout, 60_000):
        detector.update(block)
    assert len(detector.state()) < 65_536


@pytest.mark.parametrize("name", DETECTORS)
def test_hostile_rows_give_numbers(name: str) -> None:
    """Huge, missing, withheld and unlisted values give evidence that is a number or -inf, and a state."""
    detector, layout = make(name)
    for _ in range(50):
        for block in hostile(detector.feed, layout):
            assert all(
                not math.isnan(value) and value < math.inf for value in detector.update(block).values()
            )
    assert detector.state()
    for signal in detector.weights:
        effect = detector.effect(signal)
        assert math.isfinite(effect.size)


@pytest.mark.parametrize("name", DETECTORS)
def test_a_foreign_state_is_refused(name: str) -> None:
    """Bytes that are no state of this detector are refused by an error that names it."""
    detector, _ = make(name)
    for state in (b"", b"\xc1", msgspec.msgpack.encode(["other-1", 1])):
        with pytest.raises(DetectorStateError):
            detector.restore(state)


@pytest.mark.parametrize("name", DETECTORS)
def test_weights_are_shares_of_one(name: str) -> None:
    """The weights of a detector's signals sum to 1, and its share of the budget lies in [0, 1]."""
    detector, _ = make(name)
    assert math.isclose(sum(detector.weights.values()), 1.0)
    assert 0.0 <= detector.share <= 1.0


@pytest.mark.parametrize("name", DETECTORS)
def test_an_odd_reference_is_total(name: str) -> None:
    """Constant, empty and missing reference columns build a detector or none, and never raise."""
    columns = (
        NumericColumn("constant", 100, 0, 1.0, 1.0, 1.0, 0.0, (1.0,), (100, 0)),
        NumericColumn("empty", 0, 0, 0.0, 0.0, 0.0, 0.0, (), (0,)),
        NumericColumn("gone", 0, 100, 0.0, 0.0, 0.0, 0.0, (), (0,)),
        CategoricalColumn("one", 100, 0, ("a",), (100,), 0, 0),
        CategoricalColumn("none", 0, 100, (), (), 0, 0),
    )
    reference = Profile(rows=100, columns=columns, outputs=())
    kind = cast("type[Detector]", pkgutil.resolve_name(DETECTORS[name]))
    detector = kind.build(reference, DetectionSettings(budget_rows=BUDGET))
    if detector is None:
        return
    for block in hostile(detector.feed, Layout(reference)):
        assert all(value < math.inf for value in detector.update(block).values())
