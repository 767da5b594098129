"""Tests of gateway.pair_streams."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import numpy as np

from gateway.log_settings import JournalSettings
from gateway.settings import GatewaySettings
from gateway.stream import Noted
from prediction_log.record import Arm, Kind, Outcome, Validity
from rollouts.route import Route
from tests.gateway.worlds import World, world
from tests.models import logistic


async def test_a_pair_says_the_same_by_either_way(tmp_path: Path) -> None:
    """One row of plain outputs takes the short way; values, and what is missing, are told as in general."""
    async with world(tmp_path) as here:
        await here.publish("m", "2", logistic(bias=1.0))
        versions = await here.serve(Route(model="m", revision=2, stable="1", candidate="2", weight=1))
        pair = versions["1"], versions["2"]
        here.journal.open_pairs(*pair)
        feeds = {"x": np.ones((1, 30), np.float32)}
        ours, theirs = (version.session.run(feeds) for version in pair)
        odd: list[Any] = [theirs[0].astype(np.int32), theirs[1].astype(np.float64)]
        noted = Noted(b"i" * 16, 5, 1, Arm.CANDIDATE, 2)
        wider: list[Any] = [theirs[0], np.zeros((1, 3), np.float32)]
        for candidate in (theirs, odd, None, wider):
            here.journal.paired(pair, noted, ours, candidate, 1)
        (frame,) = here.frames(Kind.PAIR)
        assert frame.rows == 4
        names = [column.name for column in frame.schema.columns]
        for name in names:
            short, general = frame.array(name)[:2]
            assert short.tolist() == general.tolist()
        assert frame.array("candidate_outcome").tolist() == [
            Outcome.OK,
            Outcome.OK,
            Outcome.FAILED,
            Outcome.OK,
        ]
        assert frame.validity is not None
        missing = (frame.validity == Validity.MISSING).sum(axis=1)
        assert missing.tolist() == [0, 0, 2, 1]
        assert here.counted("driftgate_log_rows_accepted_total", kind="pair") == 4


async def test_many_pairs_say_what_each_would(tmp_path: Path) -> None:
    """Pairs of several requests that are recorded at once are those that were recorded one by one."""
    async with world(tmp_path) as here:
        await here.publish("m", "2", logistic(bias=1.0))
        versions = await here.serve(Route(model="m", revision=2, stable="1", candidate="2", weight=1))
        pair = versions["1"], versions["2"]
        here.journal.open_pairs(*pair)
        feeds = {"x": np.random.default_rng(1).normal(size=(3, 30)).astype(np.float32)}
        ours, theirs = (version.session.run(feeds) for version in pair)
        for place, rows in ((0, 1), (1, 2)):
            noted = Noted(bytes([place] * 16), 5 + place, 1, Arm.CANDIDATE, 2)
            part = slice(place, place + rows)
            sides = [array[part] for array in ours], [array[part] for array in theirs]
            here.journal.paired(pair, noted, *sides, rows)
        meta = {
            "id": np.array([[0] * 16, [1] * 16, [1] * 16], np.uint8),
            "row": np.array([0, 0, 1]),
            "time": np.array([5, 6, 6]),
            "revision": np.array([2, 2, 2]),
        }
        here.journal.paired_rows(pair, Arm.CANDIDATE, meta, ours, theirs)
        (frame,) = here.frames(Kind.PAIR)
        assert frame.rows == 6
        for column in frame.schema.columns:
            values = frame.array(column.name).tolist()
            assert values[:3] == values[3:]
        assert here.counted("driftgate_log_rows_accepted_total", kind="pair") == 6


async def test_pairs_have_one_stream_whoever_comes_first(here: World) -> None:
    """Threads that open the pairs of two versions at once make one file."""
    await here.publish("m", "2", logistic())
    pair = await here.fleet.load("m", "1"), await here.fleet.load("m", "2")
    before = {file.path for file in here.journal.files()}
    barrier = threading.Barrier(4)

    def open_pairs() -> None:
        barrier.wait(10)
        here.journal.open_pairs(*pair)

    await asyncio.gather(*(asyncio.to_thread(open_pairs) for _ in range(4)))
    assert len({file.path for file in here.journal.files()} - before) == 1


async def test_pairs_are_told_of_room(tmp_path: Path) -> None:
    """While there is said to be room, as many rows as may be recorded at once are lost by nobody."""
    small = GatewaySettings(journal=JournalSettings(side_buffer_bytes=8192))
    async with world(tmp_path, small) as here:
        await here.publish("m", "2", logistic())
        pair = await here.fleet.load("m", "1"), await here.fleet.load("m", "2")
        here.journal.open_pairs(*pair)
        rows = here.journal.pairs_at_once(pair)
        outputs = pair[0].session.run({"x": np.zeros((rows, 30), np.float32)})
        noted = Noted(bytes(16), 1, 1, Arm.STABLE, 2)
        turns = 0
        while here.journal.has_room(pair):
            here.journal.paired(pair, noted, outputs, outputs, rows)
            turns += 1
        assert turns >= 4
        assert here.counted("driftgate_log_rows_lost_total") == 0
        assert sum(frame.rows for frame in here.frames(Kind.PAIR)) > 0
        assert here.journal.has_room(pair)
