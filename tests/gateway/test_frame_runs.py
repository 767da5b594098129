"""What of a frame is run again, and in which runs."""

import itertools
from collections import OrderedDict
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.frame_runs import Chosen, chosen, jobs, parts, run, wanted
from gateway.model import LoadedModel
from gateway.ways import Way
from prediction_log import frame as frames
from prediction_log.frame import Frame
from prediction_log.record import Arm, Outcome, Validity, prediction_schema
from prediction_log.sampling import FULL
from rollouts.route import Route
from tests.gateway.worlds import ROW, World, call, request, world
from tests.models import fragile_logistic, identity, logistic

SCHEMA = prediction_schema("m", "1", "", [("x", "<f4", (1,))], [("y", "<f4", (1,))])
REQUESTS = st.lists(
    st.tuples(
        st.integers(1, 4),  # rows
        st.sampled_from(Arm),
        st.integers(3, 4),  # revision
        st.sampled_from(Outcome),
        st.booleans(),  # left out
        st.booleans(),  # whole
    ),
    max_size=12,
)
Requests = list[tuple[int, Arm, int, Outcome, bool, bool]]


def identifier(place: int) -> bytes:
    """The id of the request at this place: random-looking, and the same in each run."""
    return np.random.default_rng(place).bytes(16)


def frame_of(requests: Requests, *, validity: bool = True) -> Frame:
    """A frame of requests, whose every row has its own number for input and output."""
    lengths = [one[0] for one in requests]
    rows = sum(lengths)

    def each(place: int) -> list[int]:
        return [int(one[place]) for one in requests for _ in range(one[0])]

    ids = b"".join(identifier(place) * length for place, length in enumerate(lengths))
    columns = {
        "id": np.frombuffer(ids, np.uint8).reshape(rows, 16),
        "row": [row for length in lengths for row in range(length)],
        "time": each(2),
        "arm": each(1),
        "revision": each(2),
        "outcome": each(3),
        "latency": 0,
        "kept": 1,
        "client_id": [b""] * rows,
        "trace_id": 0,
        "x": np.arange(rows, dtype=np.float32).reshape(rows, 1),
        "y": np.arange(rows, dtype=np.float32).reshape(rows, 1) + 0.5,
    }
    odd = np.array([[0, 0 if whole else Validity.MISSING] for whole in each(5)], np.uint8).reshape(rows, 2)
    body = frames.encode(
        1, SCHEMA, columns, rows=rows, incarnation=1, stream=1, first=0, validity=odd if validity else None
    )
    return frames.decode(body)


def way_of(model: LoadedModel, beside: LoadedModel | None = None, share: int = FULL) -> Way:
    """Stable's way under revision 3."""
    return Way(model, beside or model, Arm.STABLE, 3, share, None, OrderedDict())


BARE = object.__new__(LoadedModel)
"""A version that nobody asks for anything."""


@given(REQUESTS)
def test_exactly_the_rows_wanted_are_chosen(requests: Requests) -> None:
    """All rows of what the arm answered well under the revision, in order, and of nothing else."""
    frame = frame_of(requests)
    left_out = {identifier(place) for place, one in enumerate(requests) if one[4]} | {b"elsewhere"}
    looked = wanted(frame, way_of(BARE), left_out)
    due = [one[1] is Arm.STABLE and one[2] == 3 for one in requests]
    good = [due[at] and one[3] is Outcome.OK and not one[4] for at, one in enumerate(requests)]
    rows = [good[at] and one[5] for at, one in enumerate(requests) for _ in range(one[0])]
    assert looked.rows.tolist() == rows
    assert looked.requests == sum(good[at] and one[5] for at, one in enumerate(requests))
    assert looked.odd == sum(good[at] and not one[5] for at, one in enumerate(requests))
    assert looked.met == {identifier(at) for at, one in enumerate(requests) if due[at] and one[4]}
    found = chosen(frame, looked.rows)
    places = np.flatnonzero(rows)
    assert found.feeds["x"].reshape(-1).tolist() == places.tolist()
    assert found.outputs[0].reshape(-1).tolist() == (places + 0.5).tolist()
    assert found.meta["row"].tolist() == frame.array("row")[places].tolist()
    assert (found.rows, found.requests) == (len(places), looked.requests)


@given(REQUESTS, st.integers(0, FULL))
def test_a_share_is_drawn_by_ids(requests: Requests, share: int) -> None:
    """A request is drawn by bytes 4 to 7 of its id, with all of its rows; a larger share draws it too."""
    frame = frame_of([(one[0], Arm.STABLE, 3, Outcome.OK, False, True) for one in requests])
    drawn = wanted(frame, way_of(BARE, share=share), ()).rows
    told = [
        int.from_bytes(identifier(at)[4:8], "little") < share
        for at, one in enumerate(requests)
        for _ in range(one[0])
    ]
    assert drawn.tolist() == told
    assert not (drawn & ~wanted(frame, way_of(BARE), ()).rows).any()


@given(st.lists(st.integers(1, 9), min_size=1, max_size=40), st.integers(1, 20))
def test_parts_are_whole_requests_in_order(lengths: list[int], most: int) -> None:
    """None is cut and none lost; a part has at most so many rows, or one request, and takes what it can."""
    rows = [row for length in lengths for row in range(length)]
    numbers = np.arange(len(rows))
    every = Chosen({"row": np.array(rows), "id": numbers}, {"x": numbers}, [numbers])
    found = list(parts(every, most))
    assert [number for part in found for number in part.feeds["x"].tolist()] == numbers.tolist()
    assert [number for part in found for number in part.outputs[0].tolist()] == numbers.tolist()
    assert all(part.meta["row"][0] == 0 for part in found)
    assert all(part.rows <= most or part.requests == 1 for part in found)
    assert all(one.rows + _first(other) > most for one, other in itertools.pairwise(found))
    assert sum(part.requests for part in found) == len(lengths)


def _first(part: Chosen) -> int:
    """How many rows the first request of a part has."""
    begins = np.flatnonzero(part.meta["row"] == 0)
    return int(begins[1]) if len(begins) > 1 else part.rows


def test_what_is_taken_whole_is_not_copied() -> None:
    """Where all rows of a frame are wanted its arrays are used as they are."""
    frame = frame_of([(2, Arm.STABLE, 3, Outcome.OK, False, True)] * 3, validity=False)
    found = chosen(frame, wanted(frame, way_of(BARE), ()).rows)
    assert np.shares_memory(found.feeds["x"], frame.array("x"))
    assert next(parts(found, 6)) is found


async def answered(here: World, *requests: list[list[float]]) -> Frame:
    """What the log has of these requests, answered by version 1 under revision 3."""
    await here.serve(Route(model="m", revision=3, stable="1"))
    for rows in requests:
        here.core.begin(call(request(rows)))
    (frame,) = here.frames(1)
    return frame


async def test_runs_give_what_requests_alone_would(tmp_path: Path) -> None:
    """Each row has its own answer of the version beside, in the order of the rows, however runs are cut."""
    async with world(tmp_path) as here:
        await here.publish("m", "2", logistic(sign=-1.0))
        beside = await here.fleet.load("m", "2")
        inputs = [[[number / 10] * 30 for number in range(at, at + 1 + at % 3)] for at in range(9)]
        frame = await answered(here, *inputs)
        every = chosen(frame, frame.array("outcome") == Outcome.OK)
        for most in (1, 4, 512):
            found, odd = run(way_of(here.fleet.loaded["m", "1"], beside), every, most)
            assert (sum(one.requests for one in found), odd) == (9, [])
            alone = np.concatenate(
                [beside.session.run({"x": np.array(rows, np.float32)})[1] for rows in inputs]
            )
            assert np.allclose(np.concatenate([one.outputs[1] for one in found]), alone)


async def test_a_run_that_fails_is_given_back(tmp_path: Path) -> None:
    """Its requests are jobs, each with its own rows and id; other runs of the frame are not touched by it."""
    async with world(tmp_path) as here:
        await here.publish("m", "2", fragile_logistic())
        beside, bad = await here.fleet.load("m", "2"), [5.0, *ROW[1:]]
        frame = await answered(here, [ROW] * 2, [ROW], [bad], [ROW] * 3, [ROW])
        every = chosen(frame, frame.array("outcome") == Outcome.OK)
        way = way_of(here.fleet.loaded["m", "1"], beside)
        found, odd = run(way, every, 3)
        assert [(one.given.rows, one.requests) for one in found] == [(3, 2), (3, 1), (1, 1)]
        assert [job.feeds["x"].tolist() for job in odd] == [np.array([bad], np.float32).tolist()]
        singles = list(jobs(way, every))
        assert [job.rows for job in singles] == [2, 1, 1, 3, 1]
        assert len({job.noted.identifier for job in singles}) == 5
        assert {(job.noted.arm, job.noted.revision, job.pair) for job in singles} == {
            (Arm.STABLE, 3, (way.answered, beside))
        }


async def test_what_was_not_promised_is_given_back(here: World) -> None:
    """Outputs of another shape or type than the graph says are for the path that can say so."""
    answers = await here.add("t", identity([("x", "FP32", [None, 1])]))
    frame = frame_of([(1, Arm.STABLE, 3, Outcome.OK, False, True)] * 2)
    every = chosen(frame, frame.array("outcome") == Outcome.OK)
    other = await here.add("u", identity([("x", "FP32", [None, 1])]))
    assert len(run(way_of(answers, other), every)[0]) == 1
    other.outputs = (await here.add("v", logistic())).outputs[:1]
    assert [job.rows for job in run(way_of(answers, other), every)[1]] == [1, 1]
