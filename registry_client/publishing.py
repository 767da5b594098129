"""Publishing: an estimator or an ONNX graph becomes a version, or is refused with the reason.

Rules: an estimator is published only after its export gave the same answers as the original on reference
rows; a version appears whole or not at all. Conversion, checking and profiling stand in modules of their
own; this one only puts them in order. The heavy libraries load when they are first needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from registry_client.manifest import Manifest
from registry_client.registry import Registry


class Tolerance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far an export may differ from the original.

    Attributes:
        score: greatest absolute difference of a probability (or, for regression, of a value relative to the
            larger of 1 and its magnitude).
        margin: a row may change its label only when the original's two best scores are closer than this.
        rows: how many reference rows may differ by more than that.
    """

    score: float = 1e-3
    margin: float = 1e-4
    rows: int = 0


def publish(
    model: Any,
    *,
    name: str,
    registry: Registry | str | Path,
    version: str | int | None = None,
    reference: Any = None,
    labels: Any = None,
    held_out: bool = False,
    tolerance: Tolerance = Tolerance(),  # noqa: B008  a frozen value
) -> Manifest:
    """Publish a fitted scikit-learn estimator, ONNX bytes, or the path of an ``.onnx`` file.

    Args:
        model: the estimator (classifier or regressor, alone or as a pipeline), the bytes, or the path.
        name: the model's name.
        registry: an open registry, or what ``open_registry`` takes.
        version: a positive whole number; None means the highest plus one, or the highest itself when it
            already holds exactly this.
        reference: rows such as the model will see, in the form the estimator was fitted on: a DataFrame or a
            2-D array; for a graph also a mapping of input name to array. Required for an estimator.
        labels: the true values of the reference rows, from which the risk is computed.
        held_out: say True only when the model was not trained on the reference rows; it is recorded.
        tolerance: how far the export may differ from the original.

    Returns:
        The manifest as it is stored.

    Raises:
        ReferenceDataError: the reference or the labels cannot be used.
        ConversionError: the estimator cannot be written as ONNX.
        ExportDisagreementError: the export answers differently; says where.
        SignatureError: the graph has inputs or outputs that are not plain tensors.
        VersionExistsError: other bytes are already there.
        MissingExtraError: scikit-learn, skl2onnx or pandas is not installed.
    """
    raise NotImplementedError
