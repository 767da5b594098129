"""Tests of monitor.parts: a round may end inside a frame, and nothing is counted twice or forgotten."""

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor import metrics
from monitor.parts import parts
from monitor.pipeline import Pipeline
from monitor.store import open_store
from prediction_log.frame import decode
from prediction_log.transport import Offset
from tests.monitor import worlds
from tests.monitor.stories import EXAMPLES, REGISTRY, everything, numbered, story
from tests.monitor.worlds import retention
from tests.prediction_log import samples

CELLS = 2_000
"""Values of a part in these tests: some 40 rows of predictions."""


def opened(db: sqlite3.Connection) -> Pipeline:
    """A pipeline that takes frames in small parts."""
    return Pipeline(db, worlds.settings(), REGISTRY, worlds.IDS, cells=CELLS)


@contextlib.contextmanager
def stored() -> Iterator[sqlite3.Connection]:
    """A store in a folder of its own."""
    with tempfile.TemporaryDirectory() as name, contextlib.closing(open_store(Path(name))) as db:
        yield db


def left(db: sqlite3.Connection, pipeline: Pipeline) -> dict[str, Any]:
    """All that a run leaves behind."""
    return {**everything(pipeline, db), "begun": db.execute("SELECT * FROM begun").fetchall()}


@given(rows=st.integers(0, 40), cells=st.integers(1, 2_000), cut=st.integers(0, 39), texts=st.booleans())
def test_parts_are_the_rows_of_their_frame(rows: int, cells: int, cut: int, texts: bool) -> None:  # noqa: FBT001
    """From the first that was not taken yet, each once and in order, with all of their values."""
    columns = samples.columns(0, rows) | ({} if texts else {"city": [b""] * rows})
    validity = np.arange(rows * 4, dtype=np.uint8).reshape(rows, 4) % 3
    frame = decode(samples.make_frame(0, rows, columns=columns, validity=validity, skipped=2))
    begun = min(cut, max(rows - 1, 0))
    found = list(parts(frame, begun, cells))
    assert [upto for _, upto in found] == list(np.cumsum([part.rows for part, _ in found]) + begun)
    assert (found[-1][1], sum(part.skipped for part, _ in found)) == (rows, 2)
    assert np.concatenate([part.array("time") for part, _ in found]).tolist() == list(range(begun, rows))
    assert [text for part, _ in found for text in part.strings("city")] == columns["city"][begun:]
    assert all(part.validity is not None for part, _ in found)
    kept = np.concatenate([part.validity for part, _ in found if part.validity is not None])
    assert kept.tolist() == validity[begun:].tolist()


@hypothesis.settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.sampled_from(["go on", "enough", "killed"]), min_size=1, max_size=60), st.integers(0, 3))
def test_what_is_found_does_not_depend_on_where_in_a_frame_rounds_end(ends: list[str], seed: int) -> None:
    """However many parts a round takes, and whoever is started after it, all ends as in one round."""
    frames = numbered(story(seed))
    with stored() as db:
        whole = opened(db)
        assert whole.feed(frames) == len(frames)
        wanted = left(db, whole)
    with stored() as db:
        pipeline, asked = opened(db), 0
        while pipeline.offset < frames[-1][0]:
            fate = "go on"

            def enough() -> bool:
                nonlocal asked, fate
                asked, fate = asked + 1, ends[asked % len(ends)]
                return fate != "go on"

            pipeline.feed([frame for frame in frames if frame[0] > pipeline.offset], enough=enough)
            if fate == "killed":
                pipeline = opened(db)
        assert left(db, pipeline) == wanted


def test_a_round_takes_no_more_of_a_large_frame_than_there_is_time_for() -> None:
    """It is at the frame's offset when all of it was taken, and counts each row when that is committed."""
    body, _ = worlds.Traffic(1).predictions(100)
    with stored() as db:
        pipeline = opened(db)
        seen: list[tuple[int, int, int, int]] = []
        while not seen or seen[-1][0] == 0:
            taken = pipeline.feed([(Offset(1, 1), body)], enough=lambda: True)
            seen.append((taken, pipeline.offset.row, rows(pipeline), count(db)))
    assert [(row, counted) for _, row, counted, _ in seen] == [(0, 45), (0, 90), (1, 100)]
    assert [held for *_, held in seen] == [45, 90, 100]


def test_a_frame_that_comes_again_elsewhere_is_gone_on_with() -> None:
    """A log that lost it, and has it again from its slot, gives only those rows that were not taken."""
    traffic = worlds.Traffic(1)
    body, other = traffic.predictions(100)[0], worlds.Traffic(2, stream=2).predictions(100)[0]
    with stored() as db:
        opened(db).feed([(Offset(1, 1), body)], enough=lambda: True)
        pipeline = opened(db)
        frames = [(Offset(2, row), frame) for row, frame in enumerate([other, body, body], 1)]
        assert pipeline.feed(frames) == 3
        assert (rows(pipeline), count(db)) == (200, 200)
        assert pipeline.tally.counts[metrics.key(metrics.REPEATED)] == 100


def test_a_segment_that_goes_amid_a_frame_was_read_as_far_as_it_was() -> None:
    """Rows of the frame that nobody took are counted as dropped unread."""
    body, _ = worlds.Traffic(1).predictions(100)
    with stored() as db:
        pipeline = opened(db)
        pipeline.feed([(Offset(1, 1), body)], enough=lambda: True)
        pipeline.feed([(Offset(2, 1), retention("000001:1", 100))])
        told = {
            read: pipeline.tally.counts.get(metrics.key(metrics.DROPPED, read=read)) for read in ("yes", "no")
        }
    assert told == {"yes": 45, "no": 55}


def rows(pipeline: Pipeline) -> int:
    """Rows of predictions that were counted."""
    of = {"model": worlds.MODEL, "version": "1", "kind": "prediction"}
    return pipeline.tally.counts[metrics.key(metrics.ROWS, **of)]


def count(db: sqlite3.Connection) -> int:
    """Predictions in the ledger."""
    found: int = db.execute("SELECT count(*) FROM predictions").fetchone()[0]
    return found
