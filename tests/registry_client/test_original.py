"""Tests of registry_client.original."""

from typing import Any

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression, SGDClassifier

from registry_client.errors import ExportDisagreementError, PublishError, ReferenceDataError
from registry_client.original import answers_of, as_fitted, class_text, refuse_unseen, task_of
from registry_client.publishing import publish
from registry_client.verification import Answers, Tolerance
from tests.registry_client.support import approvals, loans, pipeline

POINTS = np.random.default_rng(0).normal(size=(200, 2))
KINDS = np.digitize(POINTS.sum(axis=1), [-0.8, 0.8])
FRAME = loans()
Y = approvals(FRAME)


def said_by(model: Any, reference: Any) -> Answers:
    """What an original says on the reference that fits it."""
    task = task_of(model)
    fitting = as_fitted(model, reference)
    refuse_unseen(model, fitting)
    return answers_of(model, fitting, task)


def test_a_row_is_undecided_only_where_its_decision_is_too() -> None:
    """Classes of one probability are told apart by what the original decides by."""
    fitted = SGDClassifier(loss="modified_huber", random_state=0).fit(POINTS, KINDS)
    answers = said_by(fitted, POINTS)
    assert answers.scores is not None
    assert answers.margin is not None
    alike = np.ptp(answers.scores, axis=1) == 0
    assert alike.any()
    assert (answers.margin[alike] > Tolerance().margin).all()


def test_an_export_that_labels_otherwise_where_probabilities_tie_is_refused() -> None:
    """skl2onnx takes the first of classes that are alike, and the original the one that it decides for."""
    fitted = SGDClassifier(loss="modified_huber", random_state=0).fit(POINTS, KINDS)
    with pytest.raises(ExportDisagreementError, match="label: original"):
        publish(fitted, name="m", registry="memory:", reference=POINTS)
    steady = LogisticRegression().fit(POINTS, KINDS)
    assert publish(steady, name="m", registry="memory:", reference=POINTS).task == "classification"


@pytest.mark.parametrize(
    ("model", "reference", "error", "said"),
    [
        (pipeline().fit(FRAME, Y), FRAME[["age"]], ReferenceDataError, "fails on the reference"),
        (pipeline(), FRAME, ReferenceDataError, "Pipeline is not fitted; fit it"),
        (
            pipeline().fit(FRAME, Y),
            FRAME.assign(approved=Y),
            ReferenceDataError,
            "has 'approved', which the Pipeline was not fitted on; leave it out, or say",
        ),
        (KMeans(2, random_state=0).fit(FRAME[["age"]]), FRAME[["age"]], PublishError, "neither a classifier"),
        (object(), FRAME, PublishError, "found object"),
    ],
)
def test_what_is_no_original_of_the_reference_is_refused(
    model: Any, reference: Any, error: type[Exception], said: str
) -> None:
    """One that is not fitted, or on other columns, or that predicts nothing, in one line."""
    with pytest.raises(error, match=said) as caught:
        said_by(model, reference)
    assert "\n" not in str(caught.value)


def test_what_the_original_warns_of_is_not_printed(recwarn: pytest.WarningsRecorder) -> None:
    """A table for an estimator that was fitted on a matrix is not warned of: the comparison decides."""
    table = FRAME[["age"]].astype(float)
    fitted = LogisticRegression().fit(table.to_numpy(), Y)
    said_by(fitted, table.astype(object).astype(float))
    said_by(LogisticRegression().fit(FRAME[["age"]].to_numpy(), Y), FRAME[["age"]])
    assert list(recwarn) == []


@pytest.mark.parametrize(("value", "text"), [("yes", "yes"), (True, "1"), (3.0, "3")])
def test_a_class_reads_as_the_label_output_gives_it(value: object, text: str) -> None:
    """Texts as they are, numbers and truth values by their digits."""
    assert class_text(value) == text
