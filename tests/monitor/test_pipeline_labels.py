"""Tests of monitor.pipeline with labels that are late, strange, or of another clock's time."""

import contextlib
import itertools
import math
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from groundwork.database import transaction
from monitor import metrics, reports
from monitor.pipeline import Pipeline
from monitor.status import labels, status
from monitor.store import load_waiting, open_store
from prediction_log.labels import LabelRow
from prediction_log.transport import Offset
from registry_client.memory import MemoryRegistry
from tests.monitor import worlds
from tests.monitor.test_status import NONE
from tests.monitor.worlds import MODEL, Traffic, pairs, registry

REGISTRY = registry("1")


def numbered(frames: list[bytes]) -> list[tuple[Offset, bytes]]:
    """The frames with their offsets."""
    return [(Offset(1, row), body) for row, body in enumerate(frames, 1)]


def test_labels_that_come_days_later_ask_for_a_retrain_now(tmp_path: Path) -> None:
    """What late labels prove happens when they come; a request dated by its predictions would be over."""
    db = open_store(tmp_path)
    pipeline = Pipeline(db, worlds.settings(), REGISTRY, worlds.IDS)
    traffic, days = Traffic(5), 3 * 86_400 * 10**9
    asked = [traffic.predictions(64, wrong=0.7) for _ in range(10)]
    traffic.time += days
    since = traffic.predictions(64)[0]
    told = [
        traffic.labels([replace(label, time=label.time + days) for label in labels]) for _, labels in asked
    ]
    pipeline.feed(numbered([*(body for body, _ in asked), since, *told]))
    rows = db.execute("SELECT time, expires FROM events WHERE type = 'retrain.requested'").fetchall()
    assert len(rows) == 1
    time, expires = rows[0]
    assert worlds.START + days <= time < expires
    (watch,) = pipeline.watches
    assert watch.incident is not None
    assert watch.incident.onset.time < worlds.START + days <= watch.incident.opened.time
    db.close()


def test_a_clock_set_back_does_not_keep_a_request_waiting(tmp_path: Path) -> None:
    """An onset from a clock thirty days ahead is dated anew when it is set right: labels count from there."""
    db = open_store(tmp_path)
    pipeline = Pipeline(db, worlds.settings(), REGISTRY, worlds.IDS)
    traffic, ahead = Traffic(6), 30 * 86_400 * 10**9
    traffic.time += ahead
    early = [traffic.predictions(64, shift=2.0) for _ in range(6)]
    traffic.time -= ahead
    after = [traffic.predictions(64, shift=2.0) for _ in range(6)]
    pipeline.feed(numbered([*(body for body, _ in early), after[0][0]]))
    (watch,) = pipeline.watches
    assert watch.incident is not None
    assert watch.incident.onset.time == watch.mark.time < worlds.START + ahead
    stale = [traffic.labels(labels) for _, labels in early]
    late = [frame for body, labels in after[1:] for frame in (body, traffic.labels(labels))]
    pipeline.feed([(Offset(2, row), frame) for row, frame in enumerate([*stale, *late], 1)])
    (body,) = db.execute("SELECT body FROM events WHERE type = 'retrain.requested'").fetchone()
    data = msgspec.json.decode(body)["data"]
    assert 50 <= data["labelled_since_onset"] <= 64
    assert data["window"]["from"] <= data["window"]["to"]
    db.close()


def test_labels_of_classes_that_the_model_does_not_know_are_counted(tmp_path: Path) -> None:
    """They are wrong where they can be compared, unscored where not, and shown as what they are."""
    db = open_store(tmp_path)
    known = MemoryRegistry()
    manifest = REGISTRY.manifest(MODEL, "1")
    known.publish(replace(manifest, classes=("0", "1"), profile_digest=None), b"model 1", None)
    pipeline = Pipeline(db, worlds.settings(), known, worlds.IDS)
    traffic = Traffic()
    body, labels = traffic.predictions(60, wrong=0.0)
    values: list[int | str] = [7] * 20 + ["paid"] * 10
    odd = [replace(label, value=value) for label, value in zip(labels, values, strict=False)]
    pipeline.feed(numbered([body, traffic.labels([*odd, *labels[30:]])]))
    of = {"model": MODEL, "version": "1"}
    assert pipeline.tally.counts[metrics.key(metrics.UNKNOWN_CLASSES, **of)] == 30
    (found,) = status(Pipeline(db, worlds.settings(), known, worlds.IDS).shown)["versions"]
    assert (found["accuracy"]["labelled"], found["accuracy"]["right"]) == (50, 30)
    assert found["accuracy"]["unknown_class"] == 30
    db.close()


def test_labels_of_a_regression_compare_its_versions(tmp_path: Path) -> None:
    """They are neither right nor wrong by themselves; of each pair the closer is right, and NaN never is."""
    db = open_store(tmp_path)
    known = MemoryRegistry()
    for version in "12":
        found = replace(REGISTRY.manifest(MODEL, "1"), version=version, task="regression")
        known.publish(replace(found, profile_digest=None), b"model 1", None)
    pipeline = Pipeline(db, worlds.settings(), known, worlds.IDS)
    traffic = Traffic()
    body, labels = traffic.predictions(40, wrong=0.0)
    ids = np.frombuffer(b"".join(label.id for label in labels), np.uint8).reshape(-1, 16)
    values = [int(label.value) for label in labels]
    near, far = [value + 1.5 for value in values], [value - 10.5 for value in values]
    lost = [math.nan] * 30 + near[30:]
    frames = [
        body,
        pairs(ids, near, far, dtype="<f8"),
        pairs(ids, far, lost, first=40, revision=8, dtype="<f8"),
        traffic.labels(labels),
    ]
    pipeline.feed(numbered(frames))
    totals = pipeline.pair_totals()
    assert [(one.both_right, one.only_stable, one.only_candidate, one.both_wrong) for one in totals] == [
        (0, 40, 0, 0),
        (0, 30, 10, 0),
    ]
    (shown,) = [one for one in status(pipeline.shown)["versions"] if one["version"] == "1"]
    assert shown["accuracy"]["labelled"] == 0
    db.close()


@pytest.mark.parametrize("value", [1e19, -1e25, 1e300, 2.0**63, 2**64 - 1])
def test_a_label_larger_than_any_integer_of_the_store_is_joined(tmp_path: Path, value: float) -> None:
    """A label of any number is counted, whether its prediction came before it, comes later or never."""
    db = open_store(tmp_path)
    pipeline = Pipeline(db, worlds.settings(), REGISTRY, worlds.IDS)
    traffic = Traffic(5)
    (first, told), (second, early) = traffic.predictions(4), traffic.predictions(4)
    nobody = LabelRow(float(value), worlds.START, client_id=b"nobody")
    odd = [replace(label, value=float(value)) for label in (told[0], early[0])]
    pipeline.feed(numbered([first, traffic.labels([*odd, nobody]), second]))
    of = {"model": MODEL, "outcome": "matched"}
    assert pipeline.tally.counts[metrics.key(metrics.LABELS, **of)] == 2
    stored = db.execute("SELECT label FROM predictions WHERE labelled = 1").fetchall()
    assert stored == [(float(value),)] * 2
    db.close()


@pytest.mark.parametrize(("said", "requests"), [(None, 1), ("running", 1), ("failed", 2)])
def test_a_retrain_that_failed_is_asked_for_again(tmp_path: Path, said: Any, requests: int) -> None:
    """What was reported of the last request decides whether there is another, once it has cooled down."""
    db = open_store(tmp_path)
    pipeline = Pipeline(db, worlds.settings(), REGISTRY, worlds.IDS)
    traffic = Traffic(5)
    bad = [traffic.predictions(64, wrong=0.7) for _ in range(10)]
    pipeline.feed(numbered([frame for body, labels in bad for frame in (body, traffic.labels(labels))]))
    ((event,),) = db.execute("SELECT id FROM events WHERE type = 'retrain.requested'").fetchall()
    if said is not None:
        with transaction(db):
            reports.save(db, event, reports.Report(said), worlds.START)
            db.execute("INSERT INTO reports VALUES ('another', 'failed', 0, x'')")
    traffic.time += 61 * 10**9
    later = [traffic.predictions(64, wrong=0.7) for _ in range(3)]
    told = [frame for body, labels in later for frame in (body, traffic.labels(labels))]
    pipeline.feed([(Offset(2, row), frame) for row, frame in enumerate(told, 1)])
    found = db.execute("SELECT count(*) FROM events WHERE type = 'retrain.requested'").fetchone()
    assert found == (requests,)
    db.close()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 5), st.lists(st.integers(1, 6), max_size=6))
def test_labels_of_rows_that_were_left_out_are_not_drawn(come: int, cuts: list[int]) -> None:
    """Whether they come before or behind the frame, and whatever is recorded afterwards; others join."""
    traffic = Traffic()
    (first, of_first), (second, of_second), (third, _) = (
        traffic.predictions(4, left_out=left_out) for left_out in (3, 0, 2)
    )
    left_out = [LabelRow(value=1, time=worlds.START, id=worlds.IDS.encode(1, 1, row)) for row in (4, 5, 6)]
    sent = [first, traffic.labels(of_first), second, traffic.labels(of_second), third]
    sent.insert(come, Traffic(stream=2).labels(left_out))
    frames = [(Offset(1, row), frame) for row, frame in enumerate(sent, 1)]
    with tempfile.TemporaryDirectory() as name, contextlib.closing(open_store(Path(name))) as db:
        pipeline = Pipeline(db, worlds.settings(), registry("1"), worlds.IDS)
        for begin, end in itertools.pairwise([0, *sorted(cuts), len(frames)]):
            pipeline.feed(frames[begin:end])
            pipeline.reload()
        (told,) = labels(pipeline.shown.series, load_waiting(db), None)
    early = {"early": 3} if come == 0 else {}
    assert told == {"model": MODEL, **NONE, "matched": 8, "not_drawn": 3, **early, "waiting": 0}
