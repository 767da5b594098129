"""Builds reference profiles from arrays.

Rules: arrays are taken *as the model was fed* (a float64 column that is served as float32 is profiled as
float32, or a live value would fall on the other side of an edge); nothing of a row is kept but counts.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from registry_client.profile import Profile


def build_profile(
    inputs: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
    *,
    labels: np.ndarray | None = None,
    predictions: np.ndarray | None = None,
    held_out: bool = False,
    grid: Profile | None = None,
) -> Profile:
    """The profile of reference rows; whose it is stays empty until ``profile.identify`` says so.

    Args:
        inputs: tensors by input name, each [rows, …]; numeric, bool or text.
        outputs: what the model answered on the same rows, by output name.
        labels: the true values, [rows]; None or NaN where unknown.
        predictions: the predicted values to compare them with, [rows].
        held_out: the caller's statement that the model was not trained on these rows.
        grid: a profile whose edges and categories are to be used, so that the two can be merged.

    Raises:
        ReferenceDataError: no rows, arrays of differing length, labels without predictions.
        ProfileError: the grid does not name the same columns.
    """
    raise NotImplementedError
