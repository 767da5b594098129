"""Tests of monitor.pipeline: nothing is counted twice or forgotten, whatever happens between two frames."""

import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from monitor import metrics
from monitor.pipeline import Pipeline
from monitor.status import problems, status
from monitor.store import open_store
from prediction_log.frame import Strings, decode, encode
from prediction_log.record import Kind
from prediction_log.transport import Offset
from registry_client.memory import MemoryRegistry
from rollouts.history import Entry
from tests.monitor import worlds
from tests.monitor.stories import EXAMPLES, REGISTRY, everything, numbered, odd_kind, story, uninterrupted
from tests.monitor.worlds import MODEL, Traffic, pairs

ENDS = ("go on", "kill before", "kill after")


class Failing(Pipeline):
    """A pipeline whose disk is full at the end of every round."""

    def _save(self) -> NoReturn:
        super()._save()
        raise sqlite3.OperationalError("database or disk is full")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of its own for each example."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.integers(0, 3))
def test_a_killed_monitor_ends_as_one_that_was_not(data: st.DataObject, seed: int) -> None:
    """Killed before or after any commit, it ends with equal states, incidents and events, bit for bit."""
    frames, chosen = numbered(story(seed)), worlds.settings()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(frames)), max_size=8)))
    ends = data.draw(st.lists(st.sampled_from(ENDS), min_size=9, max_size=9))
    with tempfile.TemporaryDirectory() as name:
        db = open_store(Path(name))
        pipeline, start = Pipeline(db, chosen, REGISTRY, worlds.IDS), 0
        for stop, end in zip([*cuts, len(frames)], ends, strict=False):
            if end == "kill before":
                with pytest.raises(sqlite3.OperationalError):
                    Failing(db, chosen, REGISTRY, worlds.IDS).feed(frames[start:stop])
                db.close()
                db = open_store(Path(name))
                pipeline = Pipeline(db, chosen, REGISTRY, worlds.IDS)
            pipeline.feed(frames[start:stop])
            if end == "kill after":
                db.close()
                db = open_store(Path(name))
                pipeline = Pipeline(db, chosen, REGISTRY, worlds.IDS)
            start = stop
        left = everything(pipeline, db)
        db.close()
    assert left == uninterrupted(seed)


def test_a_round_that_fails_changes_nothing(folder: Path) -> None:
    """When a commit fails, memory goes back to the last commit, and the same round can be fed again."""
    frames = numbered(story())
    db = open_store(folder)
    pipeline = Failing(db, worlds.settings(), REGISTRY, worlds.IDS)
    before = everything(pipeline, db)
    with pytest.raises(sqlite3.OperationalError):
        pipeline.feed(frames)
    assert everything(pipeline, db) == before
    db.close()


def test_the_story_raises_one_incident_one_request_and_its_end(folder: Path) -> None:
    """A drift is detected once, asked about once, and resolved when its version is fine again."""
    db = open_store(folder)
    pipeline = Pipeline(db, worlds.settings(), REGISTRY, worlds.IDS)
    traffic, told = Traffic(3), 0
    for step in range(260):
        bad = 20 <= step < 60
        body, labels = traffic.predictions(64, shift=1.5 if bad else 0.0, wrong=0.5 if bad else 0.1)
        pipeline.feed([(Offset(1, 2 * step + 1), body), (Offset(1, 2 * step + 2), traffic.labels(labels))])
        for event in db.execute("SELECT body FROM events WHERE sequence > ? ORDER BY sequence", (told,)):
            told += 1
            data = msgspec.json.decode(event[0])["data"]
            # Rows, and not labels besides; the labels of a step come behind its rows.
            assert data["rows"] == 64 * (step + 1)
            assert data["labelled"] <= data["rows"]
    kinds = [kind for (kind,) in db.execute("SELECT type FROM events ORDER BY sequence")]
    assert kinds == ["drift.detected", "retrain.requested", "drift.resolved"]
    body = db.execute("SELECT body FROM events WHERE type = 'retrain.requested'").fetchone()[0]
    data = msgspec.json.decode(body)["data"]
    assert data["labelled_since_onset"] >= 50
    assert data["window"]["from"] < data["window"]["to"]
    assert {signal["group"] for signal in data["signals"]} <= {"risk", "inputs", "adwin"}
    (watch,) = pipeline.watches
    assert watch.incident is not None
    assert watch.incident.state == "resolved"
    db.close()


def test_counts_are_those_of_the_log(folder: Path) -> None:
    """Rows and frames by kind add up to what was written; what does not decode is counted and skipped."""
    db = open_store(folder)
    pipeline = Pipeline(db, worlds.settings(), REGISTRY, worlds.IDS)
    traffic = Traffic()
    body, labels = traffic.predictions(70)
    pipeline.feed(numbered([body, traffic.labels(labels), b"\x00" * 64, odd_kind(1)]))
    counts = pipeline.tally.counts
    of = {"model": MODEL, "version": "1", "kind": "prediction"}
    assert counts[metrics.key(metrics.ROWS, **of)] == 70
    assert [found["rows"] for found in status(pipeline.shown)["versions"]] == [70]
    assert counts[metrics.key(metrics.FRAMES, **of)] == 1
    assert counts[metrics.key(metrics.LABELS, model=MODEL, outcome="matched")] == 70
    assert counts[metrics.key(metrics.BAD_FRAMES, reason="does not decode")] == 1
    assert counts[metrics.key(metrics.BAD_FRAMES, reason="unknown kind")] == 1
    db.close()


@pytest.mark.parametrize(("arm", "kept", "used"), [(1, 1, 64), (2, 1, 64), (4, 1, 0), (1, 2, 0)])
def test_only_the_sample_of_stable_and_candidate_feeds_detectors(
    folder: Path, arm: int, kept: int, used: int
) -> None:
    """Pinned answers and rows kept for another reason are counted and judge nothing."""
    db = open_store(folder)
    pipeline = Pipeline(db, worlds.settings(), REGISTRY, worlds.IDS)
    body, _ = Traffic().predictions(64, arm=arm, kept=kept)
    pipeline.feed(numbered([body]))
    assert pipeline.watches[0].mark.rows == used
    db.close()


def test_a_version_without_manifest_is_counted_and_shown(folder: Path) -> None:
    """A version the registry does not have feeds no input detector; its labels count by the output's name."""
    db = open_store(folder)
    pipeline = Pipeline(db, worlds.settings(), MemoryRegistry(), worlds.IDS)
    traffic = Traffic()
    body, labels = traffic.predictions(64)
    pipeline.feed(numbered([body, traffic.labels(labels)]))
    assert "no manifest" in problems(pipeline.shown)[f"{MODEL}/1"]
    assert pipeline.watches[0].accuracy.right > 0
    key = metrics.key(metrics.INPUTS, model=MODEL, version="1", use="no manifest")
    assert pipeline.tally.counts[key] == 64
    db.close()


def test_another_model_under_the_same_name_is_not_judged(folder: Path) -> None:
    """A frame whose digest is not the manifest's feeds no detector, and the status says why."""
    db = open_store(folder)
    pipeline = Pipeline(db, worlds.settings(), REGISTRY, worlds.IDS)
    traffic = Traffic()
    traffic.digest = "sha256:" + "0" * 64
    pipeline.feed(numbered([traffic.predictions(64)[0]]))
    assert pipeline.watches[0].mark.rows == 0
    assert "two models" in problems(pipeline.shown)[f"{MODEL}/1"]
    db.close()


def test_an_unused_version_resolves_its_incident(folder: Path) -> None:
    """When others of the model run and a version does not, its incident ends: it was replaced."""
    db = open_store(folder)
    pipeline = Pipeline(db, worlds.settings(), REGISTRY, worlds.IDS)
    old, new = Traffic(1), Traffic(2, stream=2, version="2")
    frames = [old.predictions(256, shift=2.0)[0]]
    for _ in range(20):
        new.time += 3 * 10**9
        frames.append(new.predictions(10)[0])
    pipeline.feed(numbered(frames))
    incident = pipeline.watches[0].incident
    assert incident is not None
    assert (incident.state, incident.reason) == ("resolved", "the version is not used any more")
    db.close()


@pytest.mark.parametrize("wrong", [2**62, 1, worlds.START + 40 * 86_400 * 10**9])
def test_one_wrong_record_time_ends_and_forgets_nothing(folder: Path, wrong: int) -> None:
    """A row from another century is counted; the incident stays open, and every label still finds its row."""
    db = open_store(folder)
    pipeline = Pipeline(db, worlds.settings(), REGISTRY, worlds.IDS)
    old, odd = Traffic(1), Traffic(2, stream=2, version="2")
    drifted, labels = old.predictions(256, shift=2.0)
    odd.time = wrong
    frames = [drifted, odd.predictions(1)[0], old.predictions(64, shift=2.0)[0], old.labels(labels)]
    pipeline.feed(numbered(frames))
    incident = pipeline.watches[0].incident
    assert incident is not None
    assert incident.state == "open"
    counted = {key.labels: count for key, count in pipeline.tally.counts.items() if key.name == metrics.HELD}
    assert counted == {(("model", MODEL), ("version", "2")): 1}
    matched = metrics.key(metrics.LABELS, model=MODEL, outcome="matched")
    assert pipeline.tally.counts[matched] == 256
    db.close()


def test_history_becomes_events_once(folder: Path) -> None:
    """Each row of the rollouts' history is one event, however often it is read."""
    db = open_store(folder)
    pipeline = Pipeline(db, worlds.settings(), REGISTRY, worlds.IDS)
    entries = [
        Entry(actor="pilot", verb="set-weight", sequence=n, model=MODEL, at=n, chain=str(n)) for n in (1, 2)
    ]
    pipeline.feed([], entries)
    pipeline.feed([], entries)
    assert pipeline.history == 2
    kinds = [kind for (kind,) in db.execute("SELECT type FROM events")]
    assert kinds == ["rollout.set_weight"] * 2
    db.close()


def test_pair_totals_are_absolute_and_survive(folder: Path) -> None:
    """Labelled pairs are told as totals up to an offset, and are the same after a restart."""
    db = open_store(folder)
    pipeline = Pipeline(db, worlds.settings(), REGISTRY, worlds.IDS)
    traffic = Traffic()
    body, labels = traffic.predictions(40)
    ids = np.frombuffer(b"".join(label.id for label in labels), np.uint8).reshape(-1, 16)
    values = [int(label.value) for label in labels]
    shadow = pairs(ids, values, [1 - value for value in values])
    pipeline.feed(numbered([body, shadow, traffic.labels(labels)]))
    (total,) = pipeline.pair_totals()
    assert (total.stable, total.candidate, total.revision, total.only_stable) == ("1", "2", 7, 40)
    assert Pipeline(db, worlds.settings(), REGISTRY, worlds.IDS).pair_totals() == [total]
    assert total.offset == "000001:3"
    db.close()


def test_kinds_are_told_by_name() -> None:
    """Every kind of the log has a name of its own in the metrics."""
    assert len({kind.name.lower() for kind in Kind}) == len(Kind)


def test_a_version_says_which_columns_are_not_watched(folder: Path) -> None:
    """Why a column is not compared is in its status, and survives a restart."""
    body, _ = Traffic().predictions(10)
    frame = decode(body)
    marked = tuple(
        replace(column, hashed="0a1b2c3d") if column.name == "city" else column
        for column in frame.schema.columns
    )
    columns = {
        name: values.tolist() if isinstance(values, Strings) else values
        for name, values in frame.columns.items()
    }
    schema = replace(frame.schema, columns=marked)
    again = encode(Kind.PREDICTION, schema, columns, rows=10, incarnation=1, stream=1, first=0)
    db = open_store(folder)
    Pipeline(db, worlds.settings(), REGISTRY, worlds.IDS).feed([(Offset(1, 1), again)])
    (found,) = status(Pipeline(db, worlds.settings(), REGISTRY, worlds.IDS).shown)["versions"]
    assert found["unwatched"] == {"city": "hashed by policy; the reference profile is not"}
    db.close()
