"""Tests of monitor.status; what it says of versions stands in test_pipeline and test_pipeline_labels."""

from pathlib import Path

from monitor import metrics
from monitor.pipeline import Pipeline
from monitor.status import OUTCOMES, labels
from monitor.store import load_waiting, open_store
from prediction_log.labels import LabelRow
from prediction_log.transport import Offset
from tests.monitor import worlds
from tests.monitor.worlds import MODEL, Traffic

NONE = {outcome.replace(" ", "_"): 0 for outcome in OUTCOMES}


def test_every_label_that_came_is_shown_as_what_became_of_it(tmp_path: Path) -> None:
    """Joined, waiting, or of a row that had one; a label that was early and met its prediction is both."""
    db = open_store(tmp_path)
    pipeline = Pipeline(db, worlds.settings(), worlds.registry("1"), worlds.IDS)
    traffic = Traffic()
    (first, of_first), (second, of_second) = traffic.predictions(10), traffic.predictions(5)
    stray = LabelRow(value=1, time=worlds.START, id=bytes(range(16)))
    sent = [first, traffic.labels([*of_first, of_first[0], *of_second[:2], stray]), second]
    pipeline.feed([(Offset(1, row), frame) for row, frame in enumerate(sent, 1)])
    (told,) = labels(pipeline.tally.counts, load_waiting(db), None)
    assert told == {"model": MODEL, **NONE, "matched": 12, "early": 3, "duplicate": 1, "waiting": 1}
    db.close()


def test_labels_are_told_of_the_model_asked_for() -> None:
    """By name, models without a label left out; one that waits only is there."""
    counts = {
        metrics.key(metrics.LABELS, model="b", outcome="not drawn"): 4,
        metrics.key(metrics.LABELS, model="a", outcome="late"): 2,
        metrics.key(metrics.EVENTS, type="drift.detected"): 9,
    }
    waiting = {"b": 3, "c": 1}
    late, drawn, only = (
        {"model": "a", **NONE, "late": 2, "waiting": 0},
        {"model": "b", **NONE, "not_drawn": 4, "waiting": 3},
        {"model": "c", **NONE, "waiting": 1},
    )
    assert labels(counts, waiting, None) == [late, drawn, only]
    assert labels(counts, waiting, "b") == [drawn]
    assert labels(counts, waiting, "z") == []
