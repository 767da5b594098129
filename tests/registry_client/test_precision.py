"""Numbers that an export keeps where skl2onnx's own converters do not."""

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, PowerTransformer
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier

from registry_client.export import export_estimator
from registry_client.graph import load_graph
from registry_client.verification import Tolerance

RANDOM = np.random.default_rng(0)
WHOLE = RANDOM.normal(size=(300, 4)).astype(np.float32)
HOLED = np.where(RANDOM.random(WHOLE.shape) < 0.2, np.nan, WHOLE).astype(np.float32)
Y = np.digitize(WHOLE.sum(axis=1), [-1.0, 1.0])
FOREST = RandomForestClassifier(6, random_state=0)


@pytest.mark.parametrize(
    "model",
    [
        DecisionTreeClassifier(max_depth=6, random_state=0),
        ExtraTreeClassifier(max_depth=6, random_state=0),
        FOREST,
        ExtraTreesClassifier(6, random_state=0),
        DecisionTreeRegressor(max_depth=6, random_state=0),
        RandomForestRegressor(6, random_state=0),
        VotingClassifier(
            [("forest", FOREST), ("tree", DecisionTreeClassifier(random_state=0))], voting="soft"
        ),
        BaggingClassifier(DecisionTreeClassifier(max_depth=4), 4, random_state=0),
    ],
    ids=lambda model: type(model).__name__,
)
@pytest.mark.parametrize("fitted_on", [WHOLE, HOLED], ids=["none missing in training", "some missing"])
def test_a_missing_number_takes_the_side_that_was_found_for_it(model: Any, fitted_on: np.ndarray) -> None:
    """Trees answer rows with gaps as the original does, though no reference row has one."""
    fitted = model.fit(fitted_on, Y)
    graph = load_graph(export_estimator(fitted, WHOLE, Tolerance(), None).model)
    kind = graph.signature.inputs[0].datatype
    answers = list(graph.run({"input": HOLED.astype(np.float64 if kind == "FP64" else np.float32)}).values())
    wanted = fitted.predict_proba(HOLED) if hasattr(fitted, "predict_proba") else fitted.predict(HOLED)
    assert answers[-1].reshape(wanted.shape) == pytest.approx(wanted, abs=1e-4)


def test_trees_that_take_no_missing_number_are_left_as_they_are() -> None:
    """What scikit-learn refuses to answer has no side to take."""
    fitted = GradientBoostingClassifier(n_estimators=3).fit(WHOLE, Y)
    assert export_estimator(fitted, WHOLE, Tolerance(), None).predictions is not None


def test_a_forest_of_several_targets_says_how_many() -> None:
    """The signature has the width of what is answered, so that it can be recorded."""
    fitted = RandomForestRegressor(4, random_state=0).fit(WHOLE, WHOLE[:, :3])
    export = export_estimator(fitted, WHOLE, Tolerance(), None)
    assert [spec.shape for spec in export.signature.outputs] == [(-1, 3)]
    assert load_graph(export.model).signature == export.signature


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
@pytest.mark.parametrize("last", [LinearRegression(), FOREST], ids=["FP32", "FP64"])
def test_a_row_is_put_to_its_norm_whatever_it_holds(norm: str, last: Any) -> None:
    """Rows of zeros, and rows whose largest magnitude is below zero, answer as the original does."""
    fitted = make_pipeline(Normalizer(norm), last).fit(np.abs(WHOLE), Y)
    graph = load_graph(export_estimator(fitted, np.abs(WHOLE), Tolerance(), None).model)
    rows = np.array([[0, 0, 0, 0], [-1, -2, -3, -4], [5, -6, 0, 0], [0, 0, 1e-30, 0]], np.float32)
    kind = np.float64 if graph.signature.inputs[0].datatype == "FP64" else np.float32
    label = next(iter(graph.run({"input": rows.astype(kind)}).values()))
    assert label.ravel() == pytest.approx(fitted.predict(rows.astype(np.float64)), abs=1e-4)


@pytest.mark.parametrize("method", ["yeo-johnson", "box-cox"])
def test_what_is_missing_stays_missing_behind_a_power(method: str) -> None:
    """What takes missing numbers gets them, though no reference row has one."""
    last = HistGradientBoostingRegressor(max_iter=5, random_state=0)
    fitted = make_pipeline(PowerTransformer(method), last).fit(np.abs(WHOLE) + 1, Y)
    export = export_estimator(fitted, np.abs(WHOLE) + 1, Tolerance(rows=len(WHOLE)), None)
    gone = np.full((3, 4), np.nan, np.float32)
    gone[1, 0] = 1.5
    (answers,) = load_graph(export.model).run({"input": gone}).values()
    assert answers.ravel() == pytest.approx(fitted.predict(gone), abs=1e-3)
