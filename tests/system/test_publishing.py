"""What scikit-learn fits can be published, and a real gateway answers as it would have."""

import asyncio
import functools
from collections.abc import Iterator
from typing import Any, Final

import httpx
import numpy as np
import pandas as pd
import pytest
from sklearn import discriminant_analysis as discriminant
from sklearn import ensemble, linear_model, naive_bayes, neighbors, neural_network, svm, tree
from sklearn.base import clone, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)

from registry_client.publishing import publish
from registry_client.signature import Datatype
from tests.system.rig import Gateway

ROWS: Final = 300
ASKED: Final = 40
CLOSE: Final = 1e-3


def people() -> pd.DataFrame:
    """Numbers whole and broken, some of them missing, and texts."""
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "amount": random.lognormal(3, 1, ROWS),
            "age": random.integers(18, 90, ROWS),
            "score": random.normal(0, 1, ROWS),
            "debt": np.where(np.arange(ROWS) % 9 == ROWS % 9, np.nan, random.normal(10, 4, ROWS)),
            "city": random.choice(["paris", "berlin", "rome"], ROWS),
            "plan": random.choice(["a", "b", "c", "d"], ROWS),
        }
    )


FRAME: Final = people()
MATRIX: Final = FRAME[["amount", "age", "score"]].to_numpy(np.float64)
VALUE: Final = (FRAME.amount / 30 + FRAME.age / 40 + FRAME.score + (FRAME.city == "rome")).to_numpy(
    np.float64
)
CLASS: Final = np.where(VALUE > 2.8, "high", "low")


def prepared(numbers: Any, texts: Any) -> ColumnTransformer:
    """Numbers one way, texts another."""
    return ColumnTransformer(
        [("n", numbers, ["amount", "age", "score", "debt"]), ("t", texts, ["city", "plan"])]
    )


STEPS: Final[dict[str, Any]] = {
    "scaled": prepared(
        make_pipeline(SimpleImputer(), StandardScaler()),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    ),
    "ordinal": prepared(
        make_pipeline(SimpleImputer(strategy="median"), MinMaxScaler()),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    ),
    "products": prepared(
        make_pipeline(SimpleImputer(), RobustScaler(), PolynomialFeatures(2)),
        make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")),
    ),
    "functions": ColumnTransformer(
        [
            ("log", FunctionTransformer(np.log1p), ["amount", "age"]),
            ("bins", make_pipeline(SimpleImputer(), KBinsDiscretizer(4)), ["score", "debt"]),
        ]
    ),
}


def linear() -> Any:
    """A linear classifier."""
    return linear_model.LogisticRegression(max_iter=500)


def forest() -> Any:
    """A small forest."""
    return ensemble.RandomForestClassifier(8, random_state=0)


MODELS: Final[dict[str, Any]] = {
    "logistic": linear(),
    "forest": forest(),
    "boosted": ensemble.GradientBoostingClassifier(n_estimators=8, random_state=0),
    "histogram": ensemble.HistGradientBoostingClassifier(max_iter=8, random_state=0),
    "svc": svm.SVC(random_state=0),
    "svc-with-probabilities": CalibratedClassifierCV(svm.LinearSVC(), cv=2),
    "neighbours": neighbors.KNeighborsClassifier(),
    "network": neural_network.MLPClassifier((8,), max_iter=30, random_state=0, tol=1.0),
    "bag": ensemble.BaggingClassifier(n_estimators=6, random_state=0),
    "vote": ensemble.VotingClassifier([("linear", linear()), ("forest", forest())], voting="soft"),
    "stack": ensemble.StackingClassifier([("linear", linear()), ("forest", forest())], cv=2),
    "bayes": naive_bayes.GaussianNB(),
    "discriminant": discriminant.LinearDiscriminantAnalysis(),
    "quadratic": discriminant.QuadraticDiscriminantAnalysis(reg_param=0.2),
    "adaptive": ensemble.AdaBoostClassifier(n_estimators=4, random_state=0),
    "least-squares": linear_model.LinearRegression(),
    "forest-of-values": ensemble.RandomForestRegressor(8, random_state=0),
    "boosted-values": ensemble.GradientBoostingRegressor(n_estimators=8, random_state=0),
    "histogram-of-values": ensemble.HistGradientBoostingRegressor(max_iter=8, random_state=0),
    "svr": svm.SVR(),
    "turned-target": TransformedTargetRegressor(linear_model.Ridge(), transformer=StandardScaler()),
    "neighbours-of-values": neighbors.KNeighborsRegressor(),
    "network-of-values": neural_network.MLPRegressor(
        hidden_layer_sizes=(8,), max_iter=30, random_state=0, tol=1.0
    ),
    "bag-of-values": ensemble.BaggingRegressor(n_estimators=6, random_state=0),
    "vote-on-values": ensemble.VotingRegressor(
        [("linear", linear_model.Ridge()), ("tree", tree.DecisionTreeRegressor(max_depth=5, random_state=0))]
    ),
    "stack-of-values": ensemble.StackingRegressor(
        [("linear", linear_model.Ridge()), ("tree", tree.DecisionTreeRegressor(max_depth=5, random_state=0))],
        cv=2,
    ),
}
CASES: Final = [
    *[(model, steps) for model in MODELS for steps in ("matrix", "scaled")],
    *[(model, steps) for model in ("forest", "histogram", "bag", "vote", "svr") for steps in STEPS],
]


@functools.cache
def fitted(model: str, steps: str) -> tuple[Any, Any]:
    """The fitted estimator, and the rows that it was fitted on."""
    last = MODELS[model]
    truth = CLASS if is_classifier(last) else VALUE
    rows = MATRIX if steps == "matrix" else FRAME
    first = StandardScaler() if steps == "matrix" else STEPS[steps]
    return make_pipeline(clone(first), clone(last)).fit(rows, truth), rows


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway over the registry in which every case is published, by the name `model.steps`."""
    made = Gateway(tmp_path_factory.mktemp("published"), workers=1)
    for model, steps in dict.fromkeys(CASES):
        estimator, rows = fitted(model, steps)
        publish(estimator, name=f"{model}.{steps}", registry=made.models, reference=rows)
    asyncio.run(made.start())
    yield made
    asyncio.run(made.close())


def asked(gateway: Gateway, name: str, rows: Any) -> dict[str, Any]:
    """The answer's outputs by name, [rows, width] each, to a request with these rows as JSON."""
    path = f"{gateway.http}/v2/models/{name}"
    with httpx.Client(trust_env=False, timeout=60) as client:
        wanted = client.get(path).json()["inputs"]
        inputs = []
        for one in wanted:
            values = rows[[one["name"]]].to_numpy() if hasattr(rows, "columns") else rows
            told = {"datatype": one["datatype"], "shape": list(values.shape), "data": values.ravel().tolist()}
            inputs.append({"name": one["name"], **told})
        answer = client.post(f"{path}/infer", json={"inputs": inputs})
    assert answer.status_code == 200, answer.text
    return {one["name"]: one for one in answer.json()["outputs"]}


@pytest.mark.parametrize(("model", "steps"), list(dict.fromkeys(CASES)))
def test_a_gateway_answers_as_the_estimator_would(gateway: Gateway, model: str, steps: str) -> None:
    """Classes are the same, probabilities and values within a thousandth, row by row."""
    estimator, rows = fitted(model, steps)
    chosen = rows[:ASKED] if steps == "matrix" else rows[rows.debt.notna()][:ASKED]
    found = asked(gateway, f"{model}.{steps}", chosen)
    if not is_classifier(estimator):
        (told,) = found.values()
        np.testing.assert_allclose(told["data"], estimator.predict(chosen), atol=CLOSE, rtol=CLOSE)
        return
    assert found["label"]["datatype"] == Datatype.BYTES
    assert found["label"]["data"] == estimator.predict(chosen).tolist()
    if hasattr(estimator, "predict_proba"):
        scores = np.reshape(found["probabilities"]["data"], found["probabilities"]["shape"])
        np.testing.assert_allclose(scores, estimator.predict_proba(chosen), atol=CLOSE)
