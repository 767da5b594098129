"""Functions of one number: what they compute is what numpy computes, and what nobody can read is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, PowerTransformer, StandardScaler

from registry_client.elementwise import steps_of
from registry_client.errors import ConversionError
from registry_client.export import Export, export_estimator
from registry_client.verification import Tolerance

ROWS = pd.DataFrame({"income": np.geomspace(0.5, 90.0, 60), "age": np.arange(60) + 18})
PRICE = (2 * ROWS.income + ROWS.age).to_numpy()
FUNCTIONS = [
    np.absolute, np.cos, np.exp, np.expm1, np.log, np.log10, np.log1p, np.log2, np.negative, np.reciprocal,
    np.sin, np.sqrt, np.square, np.tanh,
]  # fmt: skip


def published(estimator: Any, rows: Any = ROWS) -> Export:
    """The export of an estimator; it was compared with the original, within a thousandth."""
    return export_estimator(estimator, rows, Tolerance(), None)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_a_function_before_a_model_is_computed_by_the_graph(function: Any) -> None:
    """Each function of numpy that is known answers as numpy."""
    rows = ROWS / [10, 20]
    turned = ColumnTransformer([("turned", FunctionTransformer(function), ["income", "age"])])
    fitted = make_pipeline(turned, LinearRegression()).fit(rows, PRICE)
    export = published(fitted, rows)
    assert export.predictions is not None
    np.testing.assert_allclose(export.predictions, fitted.predict(rows), rtol=1e-3)


def test_whole_numbers_are_taken_as_numbers_with_a_fraction() -> None:
    """A function of a column of whole numbers gives what numpy makes of them, not whole numbers."""
    turned = ColumnTransformer([("turned", FunctionTransformer(np.log1p), ["age"])])
    fitted = make_pipeline(turned, LinearRegression()).fit(ROWS, PRICE)
    export = published(fitted, ROWS)
    assert export.predictions is not None
    np.testing.assert_allclose(export.predictions, fitted.predict(ROWS), rtol=1e-3)


@pytest.mark.parametrize(
    "how",
    [
        {"func": np.log1p, "inverse_func": np.expm1},
        {"func": np.sqrt, "inverse_func": np.square},
        {"transformer": StandardScaler()},
        {"transformer": StandardScaler(with_std=False)},
        {"transformer": StandardScaler(with_mean=False)},
        {"transformer": MinMaxScaler()},
        {},
    ],
    ids=["log1p", "sqrt", "standard", "mean", "deviation", "range", "nothing"],
)
@pytest.mark.parametrize("where", ["alone", "last step", "around a pipeline", "found by a search"])
def test_a_target_is_turned_back(how: dict[str, Any], where: str) -> None:
    """The graph answers in the unit of the target, wherever the regressor that turns it stands."""
    model = make_pipeline(StandardScaler(), Ridge()) if where == "around a pipeline" else Ridge()
    target: Any = TransformedTargetRegressor(model, **how)
    if where == "last step":
        target = make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), target))
    if where == "found by a search":
        target = GridSearchCV(target, {"regressor__alpha": [0.1, 1.0]}, cv=2)
    fitted = target.fit(ROWS, PRICE)
    export = published(fitted)
    assert export.predictions is not None
    np.testing.assert_allclose(export.predictions, fitted.predict(ROWS), rtol=1e-3)
    assert [spec.name for spec in export.signature.outputs] == ["prediction"]


def test_a_forest_behind_a_turned_target_keeps_its_doubles() -> None:
    """Trees behind arithmetic get doubles as ever; what is put behind them is of the answer's datatype."""
    forest = RandomForestRegressor(8, random_state=0)
    target = TransformedTargetRegressor(forest, func=np.log, inverse_func=np.exp)
    fitted = make_pipeline(StandardScaler(), target).fit(ROWS, PRICE)
    export = published(fitted)
    assert export.predictions is not None
    np.testing.assert_allclose(export.predictions, fitted.predict(ROWS), rtol=1e-3)


def _third(value: Any) -> Any:
    return value / 3


@pytest.mark.parametrize(
    ("estimator", "told"),
    [
        (make_pipeline(FunctionTransformer(_third), Ridge()), "FunctionTransformer: what _third computes"),
        (make_pipeline(FunctionTransformer(np.cbrt), Ridge()), r"what cbrt computes .* np\.log1p"),
        (make_pipeline(FunctionTransformer(np.exp, kw_args={"where": True}), Ridge()), "kw_args"),
        (
            TransformedTargetRegressor(Ridge(), func=_third, inverse_func=_third, check_inverse=False),
            "TransformedTargetRegressor: what _third computes",
        ),
        (TransformedTargetRegressor(Ridge(), transformer=PowerTransformer()), "how PowerTransformer turns"),
    ],
)
def test_what_cannot_be_read_is_refused(estimator: Any, told: str) -> None:
    """A function that is not numpy's, or not known, is refused by its name, with what to do."""
    with pytest.raises(ConversionError, match=told):
        published(estimator.fit(ROWS, PRICE))


def test_nothing_computes_nothing() -> None:
    """No function at all, which is the identity, has no steps."""
    assert steps_of(None, "a test") == ()
    assert math.isclose(steps_of(np.log2, "a test")[1].operand[0], 1 / math.log(2))
