"""Answers that wait for the log."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from gateway.durable import DurableCore
from gateway.errors import LogFullError
from gateway.flusher import Flusher
from gateway.labels import take
from gateway.log_settings import JournalSettings
from gateway.responses import Response
from gateway.settings import GatewaySettings
from groundwork.errors import NoRoomError
from groundwork.logs import Log
from prediction_log.frame import decode
from prediction_log.record import Kind
from prediction_log.segment_sink import SegmentSink
from prediction_log.segment_source import SegmentSource
from prediction_log.spill import MOST
from prediction_log.transport import START
from rollouts.route import Route
from tests.facts import until
from tests.gateway.worlds import ROW, Lines, World, call, request, world

SETTINGS = GatewaySettings(journal=JournalSettings(durability="sync", buffer_bytes=1))


class Counted(SegmentSink):
    """A durable sink that counts its transactions, and can be out of room."""

    writes = 0
    full = False

    def write(self, frames: Sequence[bytes]) -> int:
        """As before."""
        if self.full:
            raise NoRoomError("the disk is full")
        self.writes += 1
        return super().write(frames)


class Bench:
    """A world whose core waits for a flusher over real segments."""

    def __init__(self, here: World, folder: Path) -> None:
        self.here = here
        self.folder = folder
        self.sink = Counted(folder, clock=here.clock, durable=True)
        log = Log(Lines(), here.clock)
        self.flusher = Flusher(here.journal.files, self.sink, here.slot.counters, 60.0, log)
        here.journal.spooled = self.flusher.committed
        self.core = DurableCore(
            here.core.lanes,
            here.journal,
            here.slot.counters,
            SETTINGS,
            here.clock,
            on_demand=here.fleet.load,
        )
        self.running = asyncio.create_task(self.flusher.run())

    async def ask(self, rows: int = 1) -> Response:
        """One request."""
        answer = self.core.begin(call(request([ROW] * rows)))
        assert not isinstance(answer, Response)
        return await answer

    def logged(self) -> list[str]:
        """The ids in the segments."""
        source = SegmentSource(self.folder)
        frames = [decode(body) for _, body in source.read(START, 1000)]
        source.close()
        return [
            row.tobytes().hex()
            for frame in frames
            if frame.kind == Kind.PREDICTION
            for row in frame.array("id")
        ]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A bench whose flusher runs."""
    async with world(tmp_path, SETTINGS) as here:
        made = Bench(here, tmp_path / "log")
        yield made
        await made.flusher.close()
        await made.running
        await made.core.close()
        made.sink.close()


def identity(response: Response) -> str:
    """The id that an answer carries."""
    return dict(response.headers)[b"x-prediction-id"].decode()


async def test_an_answer_is_in_the_log_before_it_is_given(bench: Bench) -> None:
    """Though the flush interval is a minute, each answer's row is in a segment when the answer is there."""
    for _ in range(3):
        response = await bench.ask()
        assert response.status == 200
        assert identity(response) in bench.logged()


async def test_all_that_wait_share_a_transaction(bench: Bench) -> None:
    """Forty requests at once cost a few transactions, not forty."""
    answers = await asyncio.gather(*(bench.ask() for _ in range(40)))
    assert {answer.status for answer in answers} == {200}
    assert {identity(answer) for answer in answers} == set(bench.logged())
    assert bench.sink.writes <= 4


async def test_what_cannot_be_logged_is_not_answered(bench: Bench) -> None:
    """On a full disk the client gets 503 and may ask again; with room all is answered again."""
    bench.sink.full = True
    response = await bench.ask()
    assert response.status == 503
    assert b"could not be logged" in response.body
    assert identity(response)
    bench.sink.full = False
    assert (await bench.ask()).status == 200


async def test_a_row_that_was_lost_is_not_answered(bench: Bench) -> None:
    """Rows that no buffer can hold get no answer, though the log itself can be written."""
    answers = await asyncio.gather(*(bench.ask(rows=100) for _ in range(2 * MOST)))
    told = {identity(answer) for answer in answers if answer.status == 200}
    assert {answer.status for answer in answers} == {200, 503}
    assert told == set(bench.logged())
    assert not bench.here.journal.missed
    assert (await bench.ask()).status == 200


async def test_who_leaves_leaves_no_id_behind(bench: Bench) -> None:
    """Ids of rows that were lost are forgotten with their requests, also when a client did not wait."""
    flushed = asyncio.Event()
    bench.here.journal.spooled = flushed.wait  # which nobody sets: all of them are waiting when they leave
    asked = [asyncio.create_task(bench.ask(rows=100)) for _ in range(2 * MOST + 2)]
    await until(lambda: bool(bench.here.journal.missed), "rows are lost")
    for task in asked:
        task.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    assert not bench.here.journal.missed


async def test_requests_behind_a_full_buffer_wait_for_it(bench: Bench) -> None:
    """Where one buffer was full already, whoever filled the other one waits for a flush more."""
    answers = await asyncio.gather(*(bench.ask(rows=40) for _ in range(3)))
    told = {identity(answer) for answer in answers if answer.status == 200}
    assert len(told) >= 2
    assert told <= set(bench.logged())


async def test_labels_wait_as_well(bench: Bench) -> None:
    """A label is accepted when it is on the disk, and refused where it cannot be."""
    body = b'{"labels":[{"client_id":"a","value":1}]}'
    assert (await take(bench.core, "m", body)).status == 202
    bench.sink.full = True
    with pytest.raises(LogFullError):
        await take(bench.core, "m", body)
    bench.sink.full = False


async def test_a_route_that_is_loaded_on_demand_is_answered_alike(bench: Bench) -> None:
    """Answers that took a detour wait for the log too."""
    await bench.here.serve(Route(model="m", revision=2, stable="1"))
    answer = bench.core.begin(call(request([ROW]), **{"x-driftgate-version": "1"}))
    assert not isinstance(answer, Response)
    assert identity(await answer) in bench.logged()


async def test_a_model_that_sleeps_is_woken_and_waits_for_the_log_once(bench: Bench) -> None:
    """A request that wakes its model has its answer when the log has it, and waits for one transaction."""
    bench.here.sleep(bench.core)
    answer = await bench.ask()
    assert (answer.status, identity(answer) in bench.logged(), bench.sink.writes) == (200, True, 1)
