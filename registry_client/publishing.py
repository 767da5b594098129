"""Publishing: an estimator or an ONNX graph becomes a version, or is refused with the reason.

Rules: an estimator is published only after its export gave the same answers as the original on reference
rows; a version appears whole or not at all. Conversion, checking and profiling stand in modules of their
own; this one only puts them in order. The heavy libraries load when they are first needed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from groundwork.clock import Clock, SystemClock
from registry_client.backends import open_registry
from registry_client.errors import BadNameError, ReferenceDataError, RegistryError, VersionExistsError
from registry_client.export import Export, export_estimator, export_graph
from registry_client.manifest import Manifest, check_name, check_version, digest_of
from registry_client.onnx_file import read_whole, require_whole
from registry_client.original import class_text
from registry_client.profile import Profile, encode, identify
from registry_client.profiling import build_profile
from registry_client.reference import read_labels
from registry_client.registry import Registry, is_same
from registry_client.signature import Datatype, Signature
from registry_client.verification import Disagreement, Tolerance

_RACES: Final = 100
"""How often an automatic version is tried again when another publisher took it."""

_DEFAULT: Final = Tolerance()

_log: Final = logging.getLogger(__name__)


def publish(  # noqa: PLR0913  one call that people write by hand, all but the model by keyword
    model: Any,
    *,
    name: str,
    registry: Registry | str | Path,
    version: str | int | None = None,
    reference: Any = None,
    labels: Any = None,
    held_out: bool = False,
    tolerance: Tolerance = _DEFAULT,
    clock: Clock | None = None,
    tell: Callable[[str], None] | None = None,
) -> Manifest:
    """Publish a fitted scikit-learn estimator, or an ONNX graph.

    Args:
        model: the estimator (classifier or regressor, alone or as a pipeline); or the graph, as a ModelProto,
            as bytes, or as the path of an ``.onnx`` file.
        name: the model's name.
        registry: an open registry, or what ``open_registry`` takes.
        version: a positive whole number; None means the highest plus one, or the highest of those that
            already hold exactly this.
        reference: rows such as the model will see, in the form the estimator was fitted on: a DataFrame or a
            2-D array; for a graph also a mapping of input name to array. Required for an estimator.
        labels: the true values of the reference rows, from which the risk is computed.
        held_out: say True only when the model was not trained on the reference rows; it is recorded.
        tolerance: how far the export may differ from the original.
        clock: what dates the manifest; the system's when left out.
        tell: hears, in a line, why the inputs are FP64 where float32 was tried first.

    Returns:
        The manifest as it is stored.

    Raises:
        RegistryError: the registry cannot be read or written; all others are kinds of it.
        BadNameError: the name or the version is none.
        PublishError: the graph does not load, or fails on the reference.
        ReferenceDataError: the reference or the labels cannot be used.
        ConversionError: the estimator cannot be written as ONNX.
        ExportDisagreementError: the export answers differently; says where.
        SignatureError: the graph has inputs or outputs that are not plain tensors.
        VersionExistsError: other bytes are already there.
        MissingExtraError: scikit-learn, skl2onnx or onnxruntime is not installed.
    """
    check_name(name)
    wanted = None if version is None else check_version(str(version))
    opened = open_registry(registry) if isinstance(registry, (str, Path)) else registry
    if labels is not None and reference is None:
        raise ReferenceDataError("labels were given without the reference rows they belong to")
    export = _export(model, reference, tolerance, previous(opened, name, single=tolerance.rows > 0))
    if tell is not None and export.single is not None:
        tell(_why_doubles(export.single))
    profile = None if reference is None else _profile(export, labels, held_out=held_out)
    created = _rfc3339((clock or SystemClock()).now())
    draft = _draft(export, name=name, created=created)
    return _place(opened, draft, export.model, profile, wanted)


def previous(registry: Registry, name: str, *, single: bool) -> Signature | None:
    """The signature whose types are tried first: that of the highest version that can be read and has one.

    With `single`, where rows may differ: that of the newest version with the same inputs and none of them
    FP64, if there is one. Who accepts such rows wants the types that clients sent before there were doubles.
    """
    highest: Signature | None = None
    for version in reversed(registry.versions(name)):
        manifest = _readable(registry, name, version)
        if manifest is None or manifest.signature is None:
            continue
        found = manifest.signature
        highest = highest or found
        if not single or (_names(found) == _names(highest) and not _has_doubles(found)):
            return found
    return highest


def _names(signature: Signature) -> set[str]:
    return {tensor.name for tensor in signature.inputs}


def _has_doubles(signature: Signature) -> bool:
    return any(tensor.datatype is Datatype.FP64 for tensor in signature.inputs)


def _why_doubles(single: Disagreement) -> str:
    return (
        f"its inputs are FP64: in FP32 {single.rows} of {single.total} reference rows are answered otherwise "
        f"(--tolerate-rows {single.rows} accepts them)"
    )


def _readable(registry: Registry, name: str, version: str) -> Manifest | None:
    """An older version's manifest; None, and a warning, where it is broken: no reason to refuse a new one."""
    try:
        return registry.manifest(name, version)
    except RegistryError as error:
        _log.warning("version %s of model %s is passed over: %s", version, name, error)
        return None


def _export(model: Any, reference: Any, tolerance: Tolerance, previous: Signature | None) -> Export:
    if isinstance(model, (str, Path)):
        return export_graph(read_whole(Path(model)), reference, f"model file {model}")
    if hasattr(model, "SerializeToString"):  # an onnx.ModelProto, whose library need not be loaded here
        model = model.SerializeToString()
    if isinstance(model, (bytes, bytearray, memoryview)):
        content = bytes(model)
        require_whole(content)
        return export_graph(content, reference)
    return export_estimator(model, reference, tolerance, previous)


def _profile(export: Export, labels: Any, *, held_out: bool) -> Profile:
    if labels is None:
        return build_profile(export.feeds, export.outputs, held_out=held_out)
    predictions = export.predictions
    if predictions is None:
        raise ReferenceDataError(
            "labels were given, but it cannot be told which output they belong to; publish without labels"
        )
    truth = _comparable(read_labels(labels, len(predictions)), predictions)
    _refuse_strange(truth, export.classes)
    return build_profile(
        export.feeds, export.outputs, labels=truth, predictions=predictions, held_out=held_out
    )


def _comparable(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """Labels of the predictions' type; missing ones None."""
    values = [None if label is None or label != label else label for label in labels.tolist()]  # noqa: PLR0124  NaN
    known = [value for value in values if value is not None]
    is_text = predictions.dtype.kind in "OUS"
    is_whole = predictions.dtype.kind in "iub"
    odd = next((value for value in known if _is_odd(value, is_text=is_text, is_whole=is_whole)), None)
    if odd is not None:
        sample = predictions.tolist()[0]
        raise ReferenceDataError(
            f"labels hold {odd!r}, the model predicts {sample!r}; give labels of its type"
        )
    if not known:
        raise ReferenceDataError("labels hold no value; leave them out or give some")
    return np.array(values, dtype=object)


def _is_odd(value: Any, *, is_text: bool, is_whole: bool) -> bool:
    """Whether a label cannot equal a prediction: text for a number, or a fraction for a whole number."""
    if isinstance(value, str) or is_text:
        return isinstance(value, str) != is_text
    return is_whole and isinstance(value, float) and not value.is_integer()


def _refuse_strange(truth: np.ndarray, classes: tuple[str, ...]) -> None:
    """Refuse labels of which none is a class: they are some other column of the reference."""
    known = [value for value in truth.tolist() if value is not None]
    if classes and not any(class_text(value) in classes for value in known):
        raise ReferenceDataError(
            f"labels hold {known[0]!r}, and none of them is one of the model's classes, "
            f"{', '.join(classes[:5])}{', …' if len(classes) > 5 else ''}; give the column that it predicts"  # noqa: PLR2004  five suffice
        )


def _draft(export: Export, *, name: str, created: str) -> Manifest:
    """The manifest as it will be, under version 1 until its version is known."""
    return Manifest(
        name=name,
        version="1",
        digest=digest_of(export.model),
        size=len(export.model),
        signature=export.signature,
        task=export.reading.task,
        label_output=export.reading.label_output,
        score_output=export.reading.score_output,
        classes=export.classes,
        created=created,
        source=export.source,
        producer=export.producer,
    )


def _place(
    registry: Registry, draft: Manifest, model: bytes, profile: Profile | None, version: str | None
) -> Manifest:
    """Publish under the wanted version, or under the next free one however many publishers race for it."""
    if version is not None:
        manifest, content = _finish(draft, profile, version)
        return registry.publish(manifest, model, content)
    for _ in range(_RACES):
        versions = registry.versions(draft.name)
        stored = _stored(registry, draft, profile, versions)
        if stored is not None:
            return stored
        manifest, content = _finish(draft, profile, _next(draft.name, versions))
        try:
            return registry.publish(manifest, model, content)
        except VersionExistsError:
            continue
    raise VersionExistsError(
        f"model {draft.name!r}: {_RACES} versions in a row were taken by other publishers; try again"
    )


def _next(name: str, versions: Sequence[str]) -> str:
    """The highest version plus one; VersionExistsError where there is no higher one."""
    highest = max(map(int, versions), default=0)
    try:
        return check_version(str(highest + 1))
    except BadNameError:
        raise VersionExistsError(
            f"model {name!r} has version {highest}, the highest there can be; name a free one with --version"
        ) from None


def _stored(
    registry: Registry, draft: Manifest, profile: Profile | None, versions: Sequence[str]
) -> Manifest | None:
    """The highest version that already holds exactly this; None where none does.

    An older one too: who wants that one to answer again starts a rollout to it, and needs no copy of it.
    """
    for version in reversed(versions):
        stored = _readable(registry, draft.name, version)
        if stored is not None and stored.digest == draft.digest:
            same, _ = _finish(draft, profile, version)
            if is_same(stored, same):
                return stored
    return None


def _finish(draft: Manifest, profile: Profile | None, version: str) -> tuple[Manifest, bytes | None]:
    """Manifest and profile bytes under this version."""
    if profile is None:
        return msgspec.structs.replace(draft, version=version), None
    content = encode(identify(profile, model=draft.name, version=version, digest=draft.digest))
    return msgspec.structs.replace(draft, version=version, profile_digest=digest_of(content)), content


def _rfc3339(now_ns: int) -> str:
    return datetime.fromtimestamp(now_ns // 10**9, UTC).isoformat().replace("+00:00", "Z")
