"""The demo's training job: a scikit-learn pipeline over numbers and texts, trained in a second or two.

This is what a team's own job would look like. Rules: the rows a version is judged on are not the rows it was
trained on; a version that is no better than the one it should replace is not published.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from driftgate.demo.world import COLUMNS, NUMBERS, TEXTS

if TYPE_CHECKING:
    import pandas as pd

    from registry_client.manifest import Manifest

MODEL: Final = "loans"
HELD_OUT: Final = 0.3
OUTPUT: Final = "output.label"
"""The column of an export that holds the predicted class; `label` is what really happened."""
TOLERATED_LOSS: Final = 0.01
"""A refit may be this much less accurate than what answers, by the luck of the draw."""
SWAPPED: Final = ("salary", "commission")
"""The two columns that the faulty training job of version 4 takes for one another."""


class Trained(msgspec.Struct, frozen=True):
    """A fitted pipeline and the rows it was not fitted on."""

    pipeline: Any
    rows: Any
    labels: Any
    accuracy: float


def new_pipeline(seed: int) -> Any:
    """An unfitted pipeline: numbers as they are, one-hot texts, boosted trees.

    Trees need no scaling, and without it the exported graph compares the very numbers that scikit-learn does.
    """
    from sklearn.compose import ColumnTransformer  # noqa: PLC0415  loads slowly
    from sklearn.ensemble import GradientBoostingClassifier  # noqa: PLC0415  loads slowly
    from sklearn.pipeline import Pipeline  # noqa: PLC0415  loads slowly
    from sklearn.preprocessing import OneHotEncoder  # noqa: PLC0415  loads slowly

    columns = ColumnTransformer(
        [
            ("numbers", "passthrough", list(NUMBERS)),
            ("texts", OneHotEncoder(handle_unknown="ignore"), list(TEXTS)),
        ],
    )
    trees = GradientBoostingClassifier(
        n_estimators=80,
        max_depth=4,
        learning_rate=0.3,
        subsample=0.7,
        random_state=seed,
    )
    return Pipeline([("columns", columns), ("trees", trees)])


def train(frame: pd.DataFrame, labels: pd.Series[int], *, seed: int) -> Trained:
    """Fit on most of the rows and measure on the rest."""
    from sklearn.model_selection import train_test_split  # noqa: PLC0415  loads slowly

    frame = frame[list(COLUMNS)]
    seen, unseen, known, asked = train_test_split(frame, labels, test_size=HELD_OUT, random_state=seed)
    pipeline = new_pipeline(seed).fit(seen, known)
    return Trained(pipeline, unseen, asked, float(pipeline.score(unseen, asked)))


def mistaken(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows with two columns swapped, as a careless export would write them."""
    one, other = SWAPPED
    return frame.assign(**{one: frame[other], other: frame[one]})


def publish(trained: Trained, models: Path, version: str | None = None) -> Manifest:
    """Publish the pipeline with its held-out rows as the reference."""
    from registry_client.publishing import publish as publish_version  # noqa: PLC0415  loads slowly

    return publish_version(
        trained.pipeline,
        name=MODEL,
        version=version,
        reference=trained.rows,
        labels=trained.labels,
        held_out=True,
        registry=models,
    )
