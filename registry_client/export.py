"""From what was given to what can be published: an export with everything a manifest and a profile need.

Rules: of an estimator's possible exports the first that answers as the original is taken; if none does, the
closest one says where it differs. A ready graph is only run. It knows no registry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
import numpy as np

from registry_client.conversion import TYPINGS, convert, with_widths
from registry_client.errors import (
    ConversionError,
    ExportDisagreementError,
    MissingExtraError,
    PublishError,
    ReferenceDataError,
    RegistryError,
    SignatureError,
)
from registry_client.graph import Graph, Reading, load_graph, read_outputs
from registry_client.manifest import Task
from registry_client.original import answers_of, as_fitted, class_text, refuse_unseen, task_of
from registry_client.reference import Column, feed, feed_graph, read_columns
from registry_client.signature import Datatype, Signature
from registry_client.translation import needs_doubles
from registry_client.verification import Answers, Difference, Disagreement, Tolerance, compare


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """A checked model, ready to be published.

    Attributes:
        model: the graph's bytes.
        signature: its inputs and outputs.
        reading: what the outputs mean.
        classes: the classes as text, in the order of the scores.
        source: what it was made from.
        producer: the program that wrote the graph.
        feeds: the reference rows as the graph was fed, by input; empty without reference.
        outputs: what it answered on them.
        single: where float32 inputs answered otherwise, when that is why it has doubles.
    """

    model: bytes
    signature: Signature
    reading: Reading
    classes: tuple[str, ...] = ()
    source: str
    producer: str
    feeds: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    single: Disagreement | None = None

    @property
    def has_doubles(self) -> bool:
        """Whether an input is FP64."""
        return any(spec.datatype == Datatype.FP64 for spec in self.signature.inputs)

    @property
    def predictions(self) -> np.ndarray | None:
        """The predicted class or value of each reference row, [rows]."""
        if self.reading.label_output is None or not self.outputs:
            return None
        values = self.outputs[self.reading.label_output]
        return values.reshape(-1) if values.size == len(values) else None


def export_graph(model: bytes, reference: Any, called: str = "the graph") -> Export:
    """A ready graph, which an error calls ``called``; with a reference, run on it.

    Raises:
        PublishError: it does not load, fails on the reference, or answers with NaN or infinity.
        ReferenceDataError: the reference does not fit the inputs.
    """
    graph = load_graph(model, called)
    feeds = {} if reference is None else feed_graph(reference, graph.signature)
    outputs = graph.run(feeds) if feeds else {}
    _refuse_other_rows(outputs, next((len(rows) for rows in feeds.values()), 0))
    for name, values in outputs.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))[0])
            raise PublishError(f"output {name!r} is not finite on reference row {row}; mend the graph")
    return Export(
        model=model,
        signature=graph.signature,
        reading=read_outputs(graph.signature),
        source="onnx",
        producer=graph.producer,
        feeds=feeds,
        outputs=outputs,
    )


def export_estimator(
    estimator: Any, reference: Any, tolerance: Tolerance, previous: Signature | None
) -> Export:
    """A fitted classifier or regressor, converted and compared with itself on the reference.

    The datatypes of ``previous``, the signature of an older version, are tried first, so that clients of the
    older one can be answered by this one.

    Raises:
        ReferenceDataError: no reference, or one that the estimator cannot be called with.
        ConversionError: no choice of datatypes gives a graph that loads.
        ExportDisagreementError: some do, but none answers as the original.
    """
    task = task_of(estimator)
    if reference is None:
        raise ReferenceDataError(
            "an estimator is published only with reference rows, on which its export is checked: "
            "give --reference FILE or reference= (a few hundred held-out rows in the form it was fitted on)"
        )
    reference = as_fitted(estimator, reference)
    refuse_unseen(estimator, reference)
    columns = read_columns(reference)
    original = answers_of(estimator, reference, task)
    attempts = _attempts(estimator, columns, task, previous)
    return _chosen(original, attempts, tolerance, type(estimator).__name__)


def _chosen(
    original: Answers, attempts: Iterable[Export | RegistryError], tolerance: Tolerance, kind: str
) -> Export:
    """The first that answers as the original does, an estimator of this kind; raises where none does."""
    closest: Disagreement | None = None
    single: Disagreement | None = None
    obstacle: RegistryError | None = None
    for attempt in attempts:
        if isinstance(attempt, RegistryError):
            obstacle = obstacle or attempt
            continue
        difference = _difference(original, attempt, tolerance)
        if difference is None:
            return msgspec.structs.replace(attempt, single=single if attempt.has_doubles else None)
        if single is None and not attempt.has_doubles:
            single = difference
        if closest is None or difference.rows < closest.rows:
            closest = difference
    if closest is not None:
        raise ExportDisagreementError(
            f"the export disagrees with the original {kind} on {closest}; nothing was published: replace the "
            "step that differs, or state the tolerance you accept"
        )
    raise obstacle or ConversionError("no datatypes fit the reference")


def _attempts(
    estimator: Any, columns: tuple[Column, ...], task: Task, previous: Signature | None
) -> Iterator[Export | RegistryError]:
    """One export per distinct choice of datatypes, or the reason why there is none."""
    for datatypes in _choices(estimator, columns, previous):
        try:
            feeds = feed(columns, datatypes)
            model = convert(estimator, columns, datatypes)
            graph = load_graph(model)
            outputs = graph.run(feeds)
            if not _as_said(outputs, graph.signature):
                model = with_widths(model, {name: values.shape[1:] for name, values in outputs.items()})
                graph = load_graph(model)
            yield _export(estimator, task, model, graph, feeds, outputs)
        except MissingExtraError:
            raise
        except (PublishError, SignatureError) as error:
            yield error


def _choices(
    estimator: Any, columns: tuple[Column, ...], previous: Signature | None
) -> list[tuple[Datatype, ...]]:
    """The distinct choices of datatypes, in the order in which they are tried."""
    wants_doubles = needs_doubles(estimator)
    typings = sorted(TYPINGS, key=lambda typing: wants_doubles and typing.real != Datatype.FP64)
    choices = list(dict.fromkeys(typing.of(columns) for typing in typings))
    if previous is None or [spec.name for spec in previous.inputs] != [column.name for column in columns]:
        return choices
    known = tuple(spec.datatype for spec in previous.inputs)
    return sorted(choices, key=lambda choice: choice != known)


def _as_said(outputs: Mapping[str, np.ndarray], signature: Signature) -> bool:
    """Whether the rows of every output have the shape that the signature says."""
    return all(
        len(spec.shape) == outputs[spec.name].ndim
        and all(b in {-1, a} for a, b in zip(outputs[spec.name].shape[1:], spec.shape[1:], strict=True))
        for spec in signature.outputs
    )


def _export(
    estimator: Any,
    task: Task,
    model: bytes,
    graph: Graph,
    feeds: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
) -> Export:
    names = [spec.name for spec in graph.signature.outputs]
    is_scored = hasattr(estimator, "predict_proba") and len(names) > 1
    kind = type(estimator)
    return Export(
        model=model,
        signature=graph.signature,
        reading=Reading(task, names[0], names[1] if is_scored else None),
        classes=tuple(class_text(value) for value in getattr(estimator, "classes_", ())),
        source=f"estimator {kind.__module__.split('.')[0]}.{kind.__qualname__}",
        producer=graph.producer,
        feeds=feeds,
        outputs=outputs,
    )


def _refuse_other_rows(outputs: Mapping[str, np.ndarray], rows: int) -> None:
    """PublishError for an output that does not answer each reference row: there is nothing to count of it."""
    for name, values in outputs.items():
        if values.shape[:1] != (rows,):
            raise PublishError(
                f"output {name!r} has shape {list(values.shape)} for {rows} reference rows, wanted an answer "
                "for each; publish without the reference, or export a graph that gives one"
            )


def _difference(original: Answers, export: Export, tolerance: Tolerance) -> Disagreement | None:
    label, score = export.reading.label_output or "", export.reading.score_output
    values = export.outputs[label]
    if values.size != original.values.size:
        shapes = (f"shape {list(side.shape)}" for side in (original.values, values))
        return Disagreement(len(values), len(values), (Difference(0, label, *shapes),))
    shaped = values.reshape(original.values.shape)
    scores = None if score is None else export.outputs[score]
    return compare(original, Answers(shaped, scores), tolerance, outputs=(label, score or ""))
