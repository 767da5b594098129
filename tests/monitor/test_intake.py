"""Tests of monitor.intake: what one frame changes, rule by rule; the stories stand in test_pipeline."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from groundwork.database import transaction
from monitor import metrics, reports
from monitor.pipeline import Pipeline, states
from monitor.settings import PolicySettings
from monitor.store import open_store
from prediction_log.frame import decode, encode
from prediction_log.labels import LabelRow
from prediction_log.record import Arm, Kept, Kind, Outcome
from prediction_log.transport import Offset
from registry_client.memory import MemoryRegistry
from tests.monitor import worlds
from tests.monitor.worlds import MODEL, Traffic, identifiers, retention

REGISTRY = worlds.registry("1", "2")
NAN = float("nan")


class Bench:
    """A pipeline over a folder, fed frame by frame."""

    def __init__(self, folder: Path, registry: MemoryRegistry = REGISTRY) -> None:
        self.db = open_store(folder)
        self.pipeline = Pipeline(self.db, worlds.settings(), registry, worlds.IDS)
        self.place = Offset(1, 0)

    def feed(self, *frames: bytes) -> None:
        """Each at the next place of the log."""
        for frame in frames:
            self.place = Offset(self.place.segment, self.place.row + 1)
            self.pipeline.feed([(self.place, frame)])

    def count(self, name: str, **labels: str) -> int:
        """What was counted under these labels, and under any others."""
        wanted = set(labels.items())
        counts = self.pipeline.tally.counts.items()
        return sum(count for key, count in counts if key.name == name and wanted <= {*key.labels})

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        """Everything in a table."""
        return self.db.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608  our tables


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A bench in a folder of its own."""
    made = Bench(tmp_path)
    yield made
    made.db.close()


@pytest.mark.parametrize(
    ("stable", "candidate", "kept"),
    [
        ((Outcome.OK, 1.0), (Outcome.OK, 0.0), (1, 0)),
        ((Outcome.OK, 1.0), (Outcome.FAILED, 0.0), (1, None)),
        ((Outcome.FAILED, 1.0), (Outcome.OK, 0.0), (None, 0)),
        ((Outcome.FAILED, 1.0), (Outcome.FAILED, 0.0), None),
        ((Outcome.OK, NAN), (Outcome.OK, 0.0), None),
        ((Outcome.OK, 1.0), (Outcome.OK, NAN), None),
        ((Outcome.OK, NAN), (Outcome.FAILED, 0.0), None),
        ((Outcome.FAILED, 0.0), (Outcome.OK, NAN), None),
        ((Outcome.FAILED, NAN), (Outcome.OK, 1.0), (None, 1)),
    ],
)
def test_which_pairs_wait_for_their_labels(
    bench: Bench, stable: tuple[int, float], candidate: tuple[int, float], kept: tuple[int | None, ...] | None
) -> None:
    """Those of which a label says who was right: a failure is wrong, an answer of nothing says nothing."""
    frame = worlds.pairs(
        identifiers(1, 0, 1),
        [stable[1]],
        [candidate[1]],
        stable_outcome=stable[0],
        candidate_outcome=candidate[0],
        dtype="<f8",
    )
    bench.feed(frame)
    found = [row[-2:] for row in bench.rows("pairs")]
    assert found == ([] if kept is None else [kept])


@pytest.mark.parametrize(("revision", "kept"), [(2**63 - 1, 1), (2**63, 0), (2**64 - 1, 0)])
def test_a_revision_that_no_store_has_is_passed_over(bench: Bench, revision: int, kept: int) -> None:
    """A frame may name any number of 64 bits."""
    bench.feed(worlds.pairs(identifiers(1, 0, 1), [1], [0], revision=revision))
    assert len(bench.rows("pairs")) == kept


def test_pairs_of_a_class_and_a_number_say_nothing(tmp_path: Path) -> None:
    """A candidate that predicts numbers is neither right nor wrong where the stable version names classes."""
    mixed = worlds.registry("1")
    other = msgspec.structs.replace(REGISTRY.manifest(MODEL, "2"), task="regression", profile_digest=None)
    mixed.publish(other, b"model 2", None)
    bench = Bench(tmp_path, mixed)
    bench.feed(worlds.pairs(identifiers(1, 0, 1), [1], [0]))
    assert bench.rows("pairs") == []
    bench.db.close()


def test_rows_that_the_slot_lost_are_counted(bench: Bench) -> None:
    """A frame says how many of its numbers no row has."""
    frame = decode(Traffic().predictions(4)[0])
    lossy = encode(
        Kind.PREDICTION,
        frame.schema,
        frame.columns,
        rows=4,
        incarnation=1,
        stream=1,
        first=0,
        end=11,
        skipped=7,
    )
    bench.feed(lossy)
    assert bench.count(metrics.LOST, model=MODEL, version="1", kind="prediction", reason="slot") == 7
    assert bench.count(metrics.ROWS, kind="prediction") == 4


@pytest.mark.parametrize(
    ("arm", "kept", "judged"),
    [
        (Arm.STABLE, Kept.SAMPLE, True),
        (Arm.CANDIDATE, Kept.SAMPLE, True),
        (Arm.SHADOW, Kept.SAMPLE, False),
        (Arm.PINNED, Kept.SAMPLE, False),
        (Arm.STABLE, 2, False),
    ],
)
def test_who_is_a_sample_of_the_inputs(bench: Bench, arm: int, kept: int, judged: bool) -> None:  # noqa: FBT001  a case
    """Rows that were drawn and answered clients; of all others the inputs are not looked at, and counted."""
    bench.feed(Traffic().predictions(64, arm=arm, kept=kept)[0])
    assert bench.count(metrics.INPUTS, use="used") == (64 if judged else 0)
    assert bench.count(metrics.INPUTS, use="not a sample") == (0 if judged else 64)
    (watch,) = bench.pipeline.watches
    assert bool(watch.evidence) is judged


@pytest.mark.parametrize(("arm", "judged"), [(Arm.STABLE, 8), (Arm.CANDIDATE, 8), (Arm.PINNED, 0)])
def test_labels_of_pinned_answers_judge_no_version(bench: Bench, arm: int, judged: int) -> None:
    """They are joined and counted."""
    traffic = Traffic()
    body, labels = traffic.predictions(8, arm=arm)
    bench.feed(body, traffic.labels(labels))
    (watch,) = bench.pipeline.watches
    assert bench.count(metrics.LABELS, outcome="matched") == 8
    assert watch.accuracy.right + watch.accuracy.wrong == judged


def test_labels_let_the_time_of_the_log_pass(bench: Bench) -> None:
    """A log that has labels only does not stand still: what waits grows old by them."""
    traffic = Traffic()
    for minute in range(3):
        time = worlds.START + minute * 60 * 10**9
        bench.feed(traffic.labels([LabelRow(value=1, time=time, id=bytes([1] * 15 + [minute]))]))
    aged = [found for (found,) in bench.db.execute("SELECT aged FROM early ORDER BY seq")]
    assert [later - aged[0] for later in aged] == [0, 60 * 10**9, 120 * 10**9]


def test_a_retention_without_its_place_is_told(bench: Bench) -> None:
    """What it dropped cannot be told apart: it is a bad frame, and no row is called dropped or lost."""
    bench.feed(retention("nowhere", 5))
    assert bench.count(metrics.BAD_FRAMES, reason="a retention without its offset") == 1
    assert bench.count(metrics.DROPPED) == bench.count(metrics.LOST) == 0
    bench.feed(Traffic().predictions(5)[0], retention("000001:2", 5))
    assert bench.count(metrics.DROPPED, read="yes") == 5


def test_a_deleted_prediction_meets_no_label(bench: Bench) -> None:
    """Row by row, as the deletion names them."""
    traffic = Traffic()
    body, labels = traffic.predictions(3)
    bench.feed(body, worlds.deletion([labels[0].id, labels[2].id]), traffic.labels(labels))
    assert bench.count(metrics.LABELS, outcome="matched") == 1
    assert bench.count(metrics.LABELS, outcome="early") == 2


def test_only_what_was_answered_waits_for_a_label(bench: Bench) -> None:
    """A request that failed has no prediction to be right or wrong about."""
    frame = decode(Traffic().predictions(4)[0])
    outcomes = np.array([Outcome.OK, Outcome.FAILED, Outcome.REJECTED, Outcome.OK], "|u1")
    columns = {**frame.columns, "outcome": outcomes}
    bench.feed(encode(Kind.PREDICTION, frame.schema, columns, rows=4, incarnation=1, stream=1, first=0))
    assert len(bench.rows("predictions")) == 2


def named(clients: list[bytes], stream: int = 1) -> bytes:
    """A frame of predictions whose clients gave them these ids."""
    frame = decode(Traffic(stream=stream).predictions(len(clients))[0])
    columns = {**frame.columns, "client_id": clients}
    return encode(
        Kind.PREDICTION, frame.schema, columns, rows=len(clients), incarnation=1, stream=stream, first=0
    )


def test_a_label_finds_its_prediction_by_the_clients_own_id(bench: Bench) -> None:
    """Each row by its own; one without any is found by ours alone."""
    bench.feed(named([b"", b"order-1", b"order-2"]))
    rows = [LabelRow(value=1, time=worlds.START, row=0, client_id=name) for name in (b"order-2", b"order-9")]
    bench.feed(Traffic().labels(rows))
    assert bench.count(metrics.LABELS, outcome="matched") == 1
    assert bench.count(metrics.LABELS, outcome="early") == 1
    (labelled,) = bench.db.execute("SELECT seq FROM predictions WHERE labelled = 1").fetchall()
    assert labelled == (3,)
    nameless = bench.db.execute("SELECT count(*) FROM predictions WHERE client IS NULL").fetchone()
    assert nameless == (1,)


def test_inputs_are_compared_where_there_is_something_to_compare_with(tmp_path: Path) -> None:
    """A version without a profile, or one that the registry does not have, is counted as that."""
    bare = MemoryRegistry()
    manifest = REGISTRY.manifest(MODEL, "1")
    bare.publish(msgspec.structs.replace(manifest, profile_digest=None), b"model 1", None)
    bench = Bench(tmp_path, bare)
    bench.feed(Traffic().predictions(8)[0], Traffic(stream=2, version="2").predictions(5)[0])
    assert bench.count(metrics.INPUTS, version="1", use="no reference profile") == 8
    assert bench.count(metrics.INPUTS, version="2", use="no manifest") == 5
    assert bench.count(metrics.INPUTS) == 13
    assert [watch.evidence for watch in bench.pipeline.watches] == [{}, {}]
    bench.db.close()


def test_traces_of_requests_are_remembered(bench: Bench) -> None:
    """Those of samples, for an incident to come."""
    bench.feed(Traffic().predictions(4, trace=bytes(range(16)))[0])
    bench.feed(Traffic(stream=2).predictions(4, trace=bytes([9] * 16), arm=Arm.PINNED)[0])
    (watch,) = bench.pipeline.watches
    assert watch.traces == (bytes(range(16)).hex(),)


def test_every_loss_but_a_damaged_segment_is_one_of_its_own(bench: Bench) -> None:
    """Of a segment it is told once how many rows went; two other losses are both counted."""
    bench.feed(*[retention("", rows, b"unreadable") for rows in (3, 4)])
    assert bench.count(metrics.LOST, reason="unreadable") == 7
    bench.feed(*[retention("000007:9", 5, b"damaged") for _ in range(2)])
    assert bench.count(metrics.LOST, reason="damaged") == 5


def test_what_policy_decides_at_anothers_frame_is_kept(tmp_path: Path) -> None:
    """A version that nobody asks any more asks for a retrain anew after a failure, and knows it later."""
    bench = Bench(tmp_path)
    settings = worlds.settings(policy=PolicySettings(min_labelled=50, cooldown=0.0))
    bench.pipeline = Pipeline(bench.db, settings, REGISTRY, worlds.IDS)
    traffic, other = Traffic(), Traffic(stream=2, version="2")
    for _ in range(12):
        body, labels = traffic.predictions(64, shift=2.0, wrong=0.6)
        bench.feed(body, traffic.labels(labels))
    (first,) = bench.db.execute("SELECT id FROM events WHERE type = 'retrain.requested'").fetchall()
    with transaction(bench.db):
        reports.save(bench.db, first[0], reports.Report("failed"), worlds.START)
    bench.feed(other.predictions(1)[0])
    asked = bench.db.execute("SELECT id FROM events WHERE type = 'retrain.requested'").fetchall()
    assert len(asked) == 2
    again = Pipeline(bench.db, settings, REGISTRY, worlds.IDS)
    assert states(again) == states(bench.pipeline)
    bench.db.close()
