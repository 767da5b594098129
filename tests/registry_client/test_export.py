"""Exports of scikit-learn estimators: what is fed, what comes out, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, PolynomialFeatures, StandardScaler
from sklearn.svm import LinearSVC

from registry_client.errors import (
    ConversionError,
    ExportDisagreementError,
    PublishError,
    ReferenceDataError,
)
from registry_client.export import Export, export_estimator, export_graph
from registry_client.signature import Datatype
from registry_client.verification import Tolerance
from tests.registry_client.support import a_graph, approvals, loans, pipeline, with_gaps

FRAME = loans()
HOLED = with_gaps(FRAME)
Y = approvals(FRAME)


def _export(model: Any, reference: Any = FRAME, previous: Export | None = None) -> Export:
    signature = None if previous is None else previous.signature
    return export_estimator(model, reference, Tolerance(), signature)


def _datatypes(export: Export) -> list[Datatype]:
    return [spec.datatype for spec in export.signature.inputs]


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(),
        KNeighborsClassifier(),
        LinearSVC(),
        RandomForestClassifier(10, random_state=0),
        GradientBoostingClassifier(n_estimators=10, random_state=0),
        HistGradientBoostingClassifier(max_iter=10, random_state=0),
        CalibratedClassifierCV(RandomForestClassifier(5, random_state=0)),
        VotingClassifier([("a", LogisticRegression()), ("b", KNeighborsClassifier())], voting="soft"),
    ],
    ids=lambda model: type(model).__name__,
)
@pytest.mark.parametrize("frame", [FRAME, HOLED], ids=["whole", "with gaps"])
def test_classifiers(model: Any, frame: pd.DataFrame) -> None:
    """Common classifiers over numeric and categorical columns, with and without gaps, are exported."""
    encoder = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    fitted = pipeline(model, encoder).fit(frame, Y)
    export = _export(fitted, frame)
    assert [spec.name for spec in export.signature.inputs] == list(frame.columns)
    assert (export.reading.task, export.reading.label_output) == ("classification", "label")
    assert export.classes == ("0", "1")
    assert export.predictions is not None
    assert export.predictions.tolist() == fitted.predict(frame).tolist()


@pytest.mark.parametrize(
    "encoder",
    [
        OneHotEncoder(handle_unknown="ignore"),
        OneHotEncoder(drop="first"),
        OrdinalEncoder(encoded_missing_value=-1),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-2, encoded_missing_value=-1),
        make_pipeline(SimpleImputer(strategy="constant", fill_value="none"), OneHotEncoder()),
    ],
    ids=["one-hot", "one-hot-drop", "ordinal", "ordinal-unknown", "imputed"],
)
def test_missing_texts(encoder: Any) -> None:
    """A missing text travels as the empty string and means to the export what it meant to the original."""
    export = _export(pipeline(LogisticRegression(), encoder).fit(HOLED, Y), HOLED)
    assert "" in export.feeds["car"].ravel().tolist()


TREES = RandomForestClassifier(5, random_state=0)


@pytest.mark.parametrize(
    "model",
    [
        BaggingClassifier(n_estimators=6, random_state=0),
        VotingClassifier([("a", LogisticRegression()), ("b", TREES)], voting="soft"),
        VotingClassifier([("a", make_pipeline(StandardScaler(), LogisticRegression())), ("b", TREES)]),
        StackingClassifier([("a", LogisticRegression()), ("b", TREES)], cv=2),
        AdaBoostClassifier(n_estimators=5, random_state=0),
    ],
    ids=["bag", "vote", "vote-of-pipelines", "stack", "adaptive"],
)
def test_trees_inside_others_see_float32(model: Any) -> None:
    """Behind a scaler no row is on the other side of a threshold, wherever in the estimator the trees are."""
    fitted = pipeline(model).fit(FRAME, Y)
    export = _export(fitted, loans(2000, seed=1))
    assert Datatype.FP64 in _datatypes(export)


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(max_iter=500),
        TREES,
        KNeighborsClassifier(),
        BaggingClassifier(n_estimators=3, random_state=0),
        make_pipeline(StandardScaler(), HistGradientBoostingClassifier(max_iter=5)),
        make_pipeline(PCA(2), LogisticRegression()),
        make_pipeline(SelectKBest(k=2), LogisticRegression()),
    ],
    ids=["logistic", "forest", "neighbours", "bag", "scaled-histogram", "components", "selected"],
)
def test_a_table_without_a_column_transformer(model: Any) -> None:
    """What was fitted on a table of numbers as it is keeps one input per column, each of its own type."""
    numbers = FRAME[["age", "salary (EUR)", "owns home"]]
    fitted = clone(model).fit(numbers, Y)
    export = _export(fitted, numbers)
    assert [spec.name for spec in export.signature.inputs] == list(numbers.columns)
    assert export.predictions is not None
    assert export.predictions.tolist() == fitted.predict(numbers).tolist()


@pytest.mark.parametrize("degree", [1, 2, 3])
@pytest.mark.parametrize(
    "last", [HistGradientBoostingClassifier(max_iter=5, random_state=0), LogisticRegression()]
)
def test_polynomials(degree: int, last: Any) -> None:
    """Products are those of scikit-learn, to the last bit where trees compare them."""
    fitted = make_pipeline(StandardScaler(), PolynomialFeatures(degree), last)
    numbers = loans(500)[["salary (EUR)", "age"]]
    export = _export(fitted.fit(numbers, approvals(loans(500))), numbers)
    assert (Datatype.FP64 in _datatypes(export)) is not isinstance(last, LogisticRegression)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_discriminant(classes: int) -> None:
    """Its probabilities are those of the original, of two classes too."""
    kinds = FRAME["age"].to_numpy() // 10 % classes
    fitted = make_pipeline(StandardScaler(), LinearDiscriminantAnalysis()).fit(FRAME[["age"]], kinds)
    export = _export(fitted, FRAME[["age"]])
    assert export.outputs["probabilities"] == pytest.approx(fitted.predict_proba(FRAME[["age"]]), abs=1e-4)


@pytest.mark.parametrize("model", [LinearRegression(), HistGradientBoostingRegressor(max_iter=10)])
def test_regressors(model: Any) -> None:
    """A regressor's output is called prediction, and is its label output."""
    fitted = pipeline(model).fit(FRAME, FRAME["age"] * 2.0)
    export = _export(fitted)
    assert (export.reading.task, export.reading.label_output) == ("regression", "prediction")
    assert export.predictions == pytest.approx(fitted.predict(FRAME), rel=1e-3)


def test_several_values() -> None:
    """A regressor of several targets is exported; which of them a label means is not guessed."""
    fitted = pipeline(Ridge()).fit(FRAME, np.c_[FRAME["age"], Y])
    export = _export(fitted)
    assert export.signature.outputs[0].shape == (-1, 2)
    assert export.predictions is None


def test_text_classes() -> None:
    """Classes of text are given as text, in the order of the scores."""
    export = _export(pipeline().fit(FRAME, np.where(Y == 1, "yes", "no")))
    assert export.classes == ("no", "yes")
    assert export.signature.outputs[0].datatype == Datatype.BYTES


def test_boolean_classes() -> None:
    """Boolean classes are the whole numbers that the graph answers with."""
    assert _export(pipeline().fit(FRAME, Y == 1)).classes == ("0", "1")


def test_array() -> None:
    """An estimator over an array gets one matrix input."""
    x = FRAME[["salary (EUR)", "age"]].to_numpy()
    export = _export(make_pipeline(StandardScaler(), LogisticRegression()).fit(x, Y), x)
    assert [(spec.name, spec.datatype, spec.shape) for spec in export.signature.inputs] == [
        ("input", Datatype.FP32, (-1, 2))
    ]


def test_table_for_an_array_estimator() -> None:
    """An estimator fitted on an array takes a table of numbers, as a file gives it, for that array."""
    matrix = np.random.default_rng(0).normal(size=(60, 3))
    model = LogisticRegression().fit(matrix, matrix[:, 0] > 0)
    table = pd.DataFrame(matrix, columns=["a", "b", "c"]).assign(b=range(60), c=matrix[:, 2] > 0)
    export = export_estimator(model, table, Tolerance(), None)
    assert [(spec.name, spec.datatype, spec.shape) for spec in export.signature.inputs] == [
        ("input", Datatype.FP32, (-1, 3))
    ]


def test_natural_datatypes() -> None:
    """Floats are FP32, whole numbers INT64, flags BOOL and texts BYTES, where that answers correctly."""
    export = _export(pipeline().fit(FRAME, Y))
    assert _datatypes(export) == [Datatype.FP32, Datatype.INT64, Datatype.BOOL, Datatype.BYTES]


def test_doubles_before_thresholds() -> None:
    """Trees behind arithmetic get doubles at once, so that every refit has the same signature."""
    trees = [RandomForestClassifier(5, random_state=seed) for seed in range(3)]
    exports = [_export(pipeline(tree).fit(FRAME, Y)) for tree in trees]
    assert {tuple(_datatypes(export)) for export in exports} == {
        (Datatype.FP64, Datatype.INT64, Datatype.BOOL, Datatype.BYTES)
    }


def test_previous_datatypes_first() -> None:
    """What an older version's clients send is tried first."""
    x = FRAME[["salary (EUR)"]].to_numpy()
    older = _export(HistGradientBoostingClassifier(max_iter=2).fit(x, Y), x)
    newer = LogisticRegression().fit(x / 1e5, Y)
    assert _datatypes(_export(newer, x / 1e5)) == [Datatype.FP32]
    assert _datatypes(_export(newer, x / 1e5, older)) == [Datatype.FP64]


def test_same_bytes() -> None:
    """The same estimator is always the same bytes."""
    fitted = pipeline().fit(FRAME, Y)
    assert _export(fitted).model == _export(fitted).model


class _Moody(LogisticRegression):  # type: ignore[misc]  # scikit-learn has no types
    """A classifier with an opinion that its coefficients do not hold."""

    def predict(self, X: Any) -> Any:  # noqa: N803  scikit-learn's own name
        """The sixth row gets the other class."""
        labels = super().predict(X)
        labels[5] = 1 - labels[5]
        return labels


def test_disagreement() -> None:
    """An export that answers differently is refused, with how many rows, where, and both values."""
    import skl2onnx  # noqa: PLC0415  only this test registers a converter
    from skl2onnx.common.shape_calculator import (  # noqa: PLC0415  the same
        calculate_linear_classifier_output_shapes,
    )
    from skl2onnx.operator_converters.linear_classifier import (  # noqa: PLC0415  the same
        convert_sklearn_linear_classifier,
    )

    skl2onnx.update_registered_converter(
        _Moody,
        "Moody",
        calculate_linear_classifier_output_shapes,
        convert_sklearn_linear_classifier,
        options={"zipmap": [True, False], "nocl": [True, False], "raw_scores": [True, False],
                 "output_class_labels": [True, False]},
    )  # fmt: skip
    fitted = pipeline(_Moody()).fit(FRAME, Y)
    expected = int(fitted.predict(FRAME)[5])
    with pytest.raises(ExportDisagreementError) as caught:
        _export(fitted)
    said = str(caught.value)
    assert f"on 1 of 300 reference rows: row 5 label: original {expected}, export {1 - expected}" in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("model", "reference", "error", "said"),
    [
        (pipeline().fit(FRAME, Y), None, ReferenceDataError, "only with reference rows"),
        (
            pipeline(HistGradientBoostingClassifier(max_iter=2), OrdinalEncoder()).fit(HOLED, Y),
            HOLED,
            ConversionError,
            "'columns.texts'",
        ),
        (
            pipeline(KNeighborsClassifier(), OneHotEncoder(min_frequency=110)).fit(FRAME, Y),
            FRAME,
            PublishError,
            "Unknown Category|nfrequent",
        ),
    ],
)
def test_refusals(model: Any, reference: Any, error: type[Exception], said: str) -> None:
    """What cannot be published is refused in one line that names the step or the reference."""
    with pytest.raises(error, match=said) as caught:
        _export(model, reference)
    assert "\n" not in str(caught.value)


def test_trees_that_split_on_categories() -> None:
    """Categorical splits have no ONNX form: the step is named, and what to use instead."""
    frame = FRAME.assign(car=FRAME["car"].astype("category"))
    fitted = HistGradientBoostingClassifier(max_iter=2, categorical_features="from_dtype").fit(frame, Y)
    with pytest.raises(ConversionError, match="OneHotEncoder or OrdinalEncoder"):
        _export(fitted, frame)


def test_the_estimator_is_left_alone() -> None:
    """Exporting changes nothing in the caller's estimator."""
    fitted = pipeline(HistGradientBoostingClassifier(max_iter=2)).fit(HOLED, Y)
    before = fitted.predict_proba(HOLED)
    steps = [name for name, _ in fitted.steps]
    _export(fitted, HOLED)
    assert [name for name, _ in fitted.steps] == steps
    assert np.array_equal(before, fitted.predict_proba(HOLED))


def test_ready_graph() -> None:
    """A ready graph is run on its reference; without one it is only read."""
    export = export_graph(a_graph(), np.ones((3, 1)))
    assert export.predictions is not None
    assert export.predictions.tolist() == [2, 2, 2]
    assert export_graph(a_graph(), None).predictions is None


@pytest.mark.parametrize("keep", [0, 1])
def test_graph_that_answers_all_rows_at_once(keep: int) -> None:
    """With a reference each row wants an answer, as there is nothing else to count; without it is read."""
    total = onnx.helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=keep)
    ends = [onnx.helper.make_tensor_value_info(*end) for end in (("x", 1, [None, 2]), ("sum", 1, None))]
    graph = onnx.helper.make_graph([total], "g", ends[:1], ends[1:])
    opsets = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    with pytest.raises(PublishError, match=r"output 'sum' has shape .* for 3 reference rows"):
        export_graph(model, np.ones((3, 2)))
    assert export_graph(model, None).predictions is None


def test_graph_with_infinite_answers() -> None:
    """A graph that answers with infinity on the reference is refused with the row."""
    with pytest.raises(PublishError, match="row 1"):
        export_graph(a_graph(1e38), np.array([[1.0], [1e10]]))
