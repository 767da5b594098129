"""Conversions: what a graph asks of the system that it is loaded on, and the datatypes that are tried."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from registry_client.errors import ConversionError, ReferenceDataError
from registry_client.export import export_estimator
from registry_client.graph import load_graph
from registry_client.signature import Datatype
from registry_client.verification import Tolerance
from tests.registry_client.support import approvals, loans

SAID = pd.DataFrame({"said": ["Good Day", "bad DAY", "GOOD", "Bad luck"] * 10, "n": range(40)})
KIND = [1, 0, 1, 0] * 10
STRANGE = ["Ünïcode día x_1 ½", "日本 é naïve"]


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
    "words",
    [
        CountVectorizer(),
        TfidfVectorizer(ngram_range=(1, 2)),
        CountVectorizer(token_pattern=r"(?u)\b\w+\b", ngram_range=(1, 2)),
        TfidfVectorizer(token_pattern=r"\w+", lowercase=False),
        TfidfVectorizer(token_pattern=r"[a-z]+"),
    ],
    ids=repr,
)
def test_words_are_what_they_were_in_any_language(words: Any) -> None:
    """Letters beyond ASCII and words of one letter answer alike, though no reference row has had any."""
    spoken = ["a fine day", "a bad day", "fine", "not a day"] * 5
    fitted = make_pipeline(words, LogisticRegression()).fit([*spoken, *STRANGE], [*KIND[:20], 1, 0])
    graph = load_graph(export_estimator(fitted, spoken, Tolerance(), None).model)
    answers = graph.run({"input": np.array(STRANGE, object).reshape(-1, 1)})
    assert answers["probabilities"] == pytest.approx(fitted.predict_proba(STRANGE), abs=1e-4)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (TfidfVectorizer(sublinear_tf=True), "takes the logarithm of its counts.*sublinear_tf=False"),
        (
            CountVectorizer(stop_words=["the"], ngram_range=(1, 2)),
            "both sides of a stop word.*stop_words=None",
        ),
    ],
)
def test_what_is_computed_otherwise_is_refused_whatever_the_reference_shows(words: Any, said: str) -> None:
    """No reference row has a word twice or a stop word, and the step is refused by name all the same."""
    fitted = make_pipeline(words, LogisticRegression()).fit(["good the day", "bad bad day"], [1, 0])
    with pytest.raises(ConversionError, match=said):
        export_estimator(fitted, ["good day", "bad day"], Tolerance(), None)


CITIES = pd.DataFrame({"city": ["rome"] * 20 + ["paris"] * 15 + ["bonn"] * 5, "kind": ["a", "b"] * 20})


@pytest.mark.parametrize("unknown", ["ignore", "infrequent_if_exist"])
def test_an_unknown_category_is_nothing_where_none_is_infrequent(unknown: str) -> None:
    """What clients send and nobody has seen is answered as the original answers it, and no failed run."""
    encoder = OneHotEncoder(handle_unknown=unknown)
    fitted = make_pipeline(encoder, LogisticRegression()).fit(CITIES, KIND)
    graph = load_graph(export_estimator(fitted, CITIES, Tolerance(), None).model)
    strange = CITIES.assign(city="oslo")
    answers = graph.run({name: strange[[name]].to_numpy(object) for name in ("city", "kind")})
    assert answers["probabilities"] == pytest.approx(fitted.predict_proba(strange), abs=1e-4)


def test_an_unknown_category_that_stands_for_infrequent_ones_is_refused() -> None:
    """The graph would fail at it, and no reference row shows that."""
    encoder = OneHotEncoder(min_frequency=10, handle_unknown="infrequent_if_exist")
    fitted = make_pipeline(encoder, LogisticRegression()).fit(CITIES, KIND)
    with pytest.raises(
        ConversionError, match=r"\(OneHotEncoder\) takes a category.*handle_unknown=\"ignore\""
    ):
        export_estimator(fitted, CITIES, Tolerance(), None)


@pytest.mark.parametrize("reference", [SAID["said"], SAID[["said"]]], ids=["a series", "a table"])
def test_what_was_fitted_on_texts_takes_texts(reference: Any) -> None:
    """A pipeline that begins with counting words has one input of texts, called as the column is."""
    fitted = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(SAID["said"], KIND)
    export = export_estimator(fitted, reference, Tolerance(), None)
    assert [(spec.name, spec.datatype, spec.shape) for spec in export.signature.inputs] == [
        ("said", Datatype.BYTES, (-1, 1))
    ]
    assert export.predictions is not None
    assert export.predictions.tolist() == fitted.predict(SAID["said"]).tolist()


@pytest.mark.parametrize(
    ("model", "columns", "outputs"),
    [
        (LogisticRegression(), ["label", "probabilities"], ["output_label", "output_probabilities"]),
        (LogisticRegression(), ["label", "output_label"], ["output_label_", "probabilities"]),
        (LinearRegression(), ["variable", "prediction"], ["output_variable"]),
    ],
)
def test_an_output_makes_way_for_a_column_of_its_name(
    model: Any, columns: list[str], outputs: list[str]
) -> None:
    """A column keeps its name, which clients send, though a classifier's label is called so too."""
    rows = loans()[["age", "salary (EUR)"]].set_axis(columns, axis=1)
    export = export_estimator(model.fit(rows, approvals(loans())), rows, Tolerance(), None)
    assert [spec.name for spec in export.signature.inputs] == columns
    assert [spec.name for spec in export.signature.outputs] == outputs
    assert export.reading.label_output == outputs[0]


def test_missing_texts_are_told_where_an_estimator_fails_at_them() -> None:
    """An empty cell of a CSV file is no empty text, and whoever fitted on those is told what to do."""
    words = ColumnTransformer([("words", TfidfVectorizer(), "said")])
    fitted = make_pipeline(words, LogisticRegression()).fit(SAID, KIND)
    with pytest.raises(ReferenceDataError, match=r"texts are missing in 'said', as an empty cell of a CSV"):
        export_estimator(fitted, SAID.replace("GOOD", None)[["said"]], Tolerance(), None)


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


@pytest.mark.parametrize("classes", [[0, 1], ["no", "yes"]], ids=["numbers", "texts"])
def test_a_label_stands_beside_each_row(classes: list[Any]) -> None:
    """Labels are [rows], so that requests can be joined, where a converter lays them into one row."""
    rows = loans()[["age", "salary (EUR)"]]
    kinds = [classes[approved] for approved in approvals(loans())]
    fitted = make_pipeline(StandardScaler(), QuadraticDiscriminantAnalysis()).fit(rows, kinds)
    export = export_estimator(fitted, rows, Tolerance(), None)
    assert [spec.shape for spec in export.signature.outputs] == [(-1,), (-1, 2)]
    assert export.predictions is not None
    assert export.predictions.tolist() == fitted.predict(rows).tolist()


@pytest.mark.parametrize("whole", [False, True], ids=["fractions", "beside whole numbers"])
def test_what_was_missing_is_flagged(whole: bool) -> None:  # noqa: FBT001  one of two cases
    """An imputer with `add_indicator` says in further columns which values it filled."""
    rows = loans()[["age", "salary (EUR)"]].astype({"age": "int64" if whole else "float64"})
    rows["debt"] = np.where(np.arange(len(rows)) % 3 == 0, np.nan, 1.0 * np.arange(len(rows)) % 7)
    approved = rows.debt.isna() ^ (rows.age > 40)
    fitted = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler(), LogisticRegression())
    export = export_estimator(fitted.fit(rows, approved), rows, Tolerance(), None)
    assert export.predictions is not None
    assert export.predictions.astype(bool).tolist() == fitted.predict(rows).tolist()


def test_missing_texts_are_not_flagged() -> None:
    """An imputer that would put flags beside texts is refused, for no tensor has both."""
    rows = pd.DataFrame({"said": ["good", None, "bad", "good"] * 10})
    first = SimpleImputer(strategy="most_frequent", add_indicator=True)
    fitted = make_pipeline(first, OneHotEncoder(), LogisticRegression()).fit(rows, KIND)
    with pytest.raises(ConversionError, match="add_indicator"):
        export_estimator(fitted, rows, Tolerance(), None)
