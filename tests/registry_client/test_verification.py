"""The comparison of an export with its original."""

from __future__ import annotations

import math

import numpy as np
import pytest

from registry_client.errors import PublishError
from registry_client.verification import Answers, Difference, Tolerance, best_margin, compare

OUTPUTS = ("label", "probabilities")
SCORES = np.array([[0.9, 0.1], [0.2, 0.8], [0.50002, 0.49998]])
ORIGINAL = Answers(np.array([0, 1, 0]), SCORES, best_margin(SCORES))


def test_equal() -> None:
    """Equal answers agree, also when one side's labels are booleans."""
    assert compare(ORIGINAL, Answers(np.array([0, 1, 0]), SCORES), Tolerance(), outputs=OUTPUTS) is None
    flags = Answers(np.array([False, True, False]), SCORES, best_margin(SCORES))
    assert compare(flags, Answers(np.array([0, 1, 0]), SCORES), Tolerance(), outputs=OUTPUTS) is None


def test_undecided_rows_may_change_their_label() -> None:
    """A label may differ where the original's two best scores are within the margin, and only there."""
    undecided = Answers(np.array([0, 1, 1]), SCORES)
    assert compare(ORIGINAL, undecided, Tolerance(), outputs=OUTPUTS) is None
    strict = compare(ORIGINAL, undecided, Tolerance(margin=0.0), outputs=OUTPUTS)
    assert strict is not None
    assert strict.shown == (Difference(2, "label", "0", "1"),)


@pytest.mark.parametrize("given", [{"score": math.nan}, {"score": math.inf}, {"margin": -1.0}, {"rows": -1}])
def test_a_tolerance_is_a_number_to_compare_with(given: dict[str, float]) -> None:
    """Nothing is greater than NaN: with it every export would agree."""
    with pytest.raises(PublishError, match=f"tolerance: {next(iter(given))}: wanted a number of at least 0"):
        Tolerance(**given)  # type: ignore[arg-type]


def test_scores() -> None:
    """A score that is off by more than the tolerance is shown with its place and both values."""
    off = SCORES.copy()
    off[1] = (0.3, 0.7)
    found = compare(ORIGINAL, Answers(np.array([0, 1, 0]), off), Tolerance(), outputs=OUTPUTS)
    assert found is not None
    assert (found.rows, found.total) == (1, 3)
    assert str(found) == "1 of 3 reference rows: row 1 probabilities[0]: original 0.2, export 0.3"
    assert compare(ORIGINAL, Answers(np.array([0, 1, 0]), off), Tolerance(rows=1), outputs=OUTPUTS) is None


def test_text_labels() -> None:
    """Text labels are compared as text."""
    original = Answers(np.array(["yes", "no"]))
    found = compare(original, Answers(np.array(["yes", "yes"], object)), Tolerance(), outputs=OUTPUTS)
    assert found is not None
    assert found.shown == (Difference(1, "label", "'no'", "'yes'"),)


@pytest.mark.parametrize(("exported", "agrees"), [(1000.5, True), (1002.0, False), (np.nan, False)])
def test_values(exported: float, *, agrees: bool) -> None:
    """Values of a regressor agree relative to their magnitude; NaN agrees with NaN alone."""
    original = Answers(np.array([[1000.0], [np.nan]]))
    found = compare(original, Answers(np.array([[exported], [np.nan]])), Tolerance(), outputs=("y", ""))
    assert (found is None) == agrees


def test_only_the_first_few_are_shown() -> None:
    """However many rows differ, the report is one short line."""
    found = compare(Answers(np.zeros(1000, int)), Answers(np.ones(1000, int)), Tolerance(), outputs=OUTPUTS)
    assert found is not None
    assert (found.rows, [place.row for place in found.shown]) == (1000, [0, 1, 2])


def test_margins() -> None:
    """A margin is between the two best scores; of a decision value, its distance from zero."""
    assert best_margin(np.array([[0.1, 0.7, 0.2]])) == pytest.approx([0.5])
    assert best_margin(np.array([-0.3])) == pytest.approx([0.3])
    assert best_margin(np.array([[1.0]])) == pytest.approx([np.inf])
