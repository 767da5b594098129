"""Conversions: what a graph asks of the system that it is loaded on, and the datatypes that are tried."""

from __future__ import annotations

from typing import Any

import onnx
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from registry_client.export import export_estimator
from registry_client.signature import Datatype
from registry_client.verification import Tolerance
from tests.registry_client.support import approvals, loans

SAID = pd.DataFrame({"said": ["Good Day", "bad DAY", "GOOD", "Bad luck"] * 10, "n": range(40)})
KIND = [1, 0, 1, 0] * 10


@pytest.mark.parametrize("kind", [CountVectorizer, TfidfVectorizer])
@pytest.mark.parametrize("beside", [[], ["n"]], ids=["alone", "beside a number"])
def test_words_are_counted_on_every_system(kind: Any, beside: list[str]) -> None:
    """A vectoriser with its defaults asks for no locale but the one that every container has."""
    columns = [("words", kind(), "said"), *(("rest", "passthrough", [name]) for name in beside)]
    rows = SAID[["said", *beside]]
    fitted = make_pipeline(ColumnTransformer(columns), LogisticRegression()).fit(rows, KIND)
    export = export_estimator(fitted, rows, Tolerance(), None)
    assert export.predictions is not None
    assert export.predictions.tolist() == fitted.predict(rows).tolist()
    nodes = onnx.load_model_from_string(export.model).graph.node
    assert [one.s for node in nodes for one in node.attribute if one.name == "locale"] == [b"C.UTF-8"]


@pytest.mark.parametrize(
    ("model", "number"),
    [(LogisticRegression(), Datatype.FP32), (HistGradientBoostingClassifier(max_iter=3), Datatype.FP64)],
    ids=["float32", "doubles"],
)
def test_flags_stay_flags_where_whole_numbers_become_real(model: Any, number: Datatype) -> None:
    """An imputer over whole and real numbers wants one type of them; truth values beside them keep theirs."""
    rows = loans()[["age", "salary (EUR)", "owns home"]]
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = ColumnTransformer([("numbers", numbers, ["age", "salary (EUR)"])], remainder="passthrough")
    fitted = make_pipeline(columns, model).fit(rows, approvals(loans()))
    signature = export_estimator(fitted, rows, Tolerance(), None).signature
    assert [spec.datatype for spec in signature.inputs] == [number, number, Datatype.BOOL]
