"""Answers that take a thread: recorded once, under their ids, and no one else waits for them."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.call import Call
from gateway.errors import InvalidInputError, OverloadedError
from gateway.inference import InferenceRequest
from gateway.large import LargeAnswers
from gateway.log_settings import JournalSettings
from gateway.protocols.codec import Answer
from gateway.protocols.open_inference import OpenInference
from gateway.responses import Header, Response
from gateway.run_settings import RequestSettings
from gateway.settings import GatewaySettings
from gateway.slot_streams import Large
from prediction_log.record import Kind
from tests.facts import until
from tests.gateway.worlds import ROW, World, call, request, world

SMALL = RequestSettings(inline_body_bytes=1000)
ROWS = 200
TIGHT = GatewaySettings(requests=SMALL, journal=JournalSettings(buffer_bytes=4096))
ROOMY = GatewaySettings(requests=SMALL)


def recorded(here: World) -> list[str]:
    """The ids of all rows, in the order of the log."""
    found: list[str] = []
    for _ in range(16):  # a large request is a frame of its own, and so is what came before it
        for frame in here.frames(Kind.PREDICTION):
            found += [bytes(row).hex() for row in frame.array("id")]
    return found


@pytest.mark.parametrize("settings", [TIGHT, ROOMY])
async def test_a_large_answer_is_recorded_under_its_id(tmp_path: Path, settings: GatewaySettings) -> None:
    """Every row once, in its place among those of others, whether it has room in a buffer or not."""
    async with world(tmp_path, settings) as here:
        answers = [
            await here.infer(request([ROW])),
            await here.infer(request([ROW] * ROWS)),
            await here.infer(request([ROW])),
        ]
        assert [answer.status_code for answer in answers] == [200, 200, 200]
        one, many, last = (answer.headers["x-prediction-id"] for answer in answers)
        assert len(answers[1].json()["outputs"][0]["data"]) == ROWS
        assert recorded(here) == [one, *[many] * ROWS, last]
        assert here.counted("driftgate_log_rows_accepted_total", kind="prediction") == ROWS + 2
        assert here.counted("driftgate_requests_total", outcome="ok") == 3


async def test_others_are_answered_meanwhile(tmp_path: Path) -> None:
    """Requests that come while large ones are written are answered, and all have rows of their own."""
    async with world(tmp_path, TIGHT) as here:
        large = [asyncio.create_task(here.infer(request([ROW] * ROWS))) for _ in range(3)]
        small = []
        while not all(task.done() for task in large):
            small.append(await here.infer(request([ROW])))
            await asyncio.sleep(0)
        answers = [*small, *[task.result() for task in large]]
        assert {answer.status_code for answer in answers} == {200}
        ids = [answer.headers["x-prediction-id"] for answer in answers]
        lost = here.counted("driftgate_log_rows_lost_total")
        found = recorded(here)
        assert len(found) + lost == len(small) + 3 * ROWS
        assert set(found) <= set(ids)


class Mute(OpenInference):
    """A codec that can tell nothing."""

    def encode(self, _request: InferenceRequest, _answer: Answer) -> tuple[tuple[Header, ...], bytes]:
        """Refuse."""
        raise InvalidInputError("this cannot be told")


async def test_what_cannot_be_encoded_is_not_recorded(tmp_path: Path) -> None:
    """A large answer that is refused leaves no row of an answer, and what comes next is recorded as ever."""
    async with world(tmp_path, TIGHT) as here:
        asked = call(request([ROW] * ROWS))
        answer = here.core.begin(Call(Mute(), asked.model, None, {}, asked.body))
        refused = answer if isinstance(answer, Response) else await answer
        kept = await here.infer(request([ROW]))
        assert refused.status == 400
        assert recorded(here) == [kept.headers["x-prediction-id"]]


async def test_a_large_body_that_is_nobodys_request_is_refused(tmp_path: Path) -> None:
    """What cannot be decoded is refused as a small one would be."""
    async with world(tmp_path, TIGHT) as here:
        document = request([ROW] * ROWS)
        document["inputs"][0]["shape"] = [ROWS, 31]
        refused = await here.infer(msgspec.json.encode(document))
        assert refused.status_code == 400
        assert recorded(here) == []


class Held(ThreadPoolExecutor):
    """Threads that hold rows back from being written until they are let."""

    def __init__(self) -> None:
        super().__init__(1)
        self.writing, self.go = threading.Event(), threading.Event()

    def submit(self, work: Callable[..., Any], /, *args: Any, **more: Any) -> Future[Any]:
        """As any other executor, but for that."""

        def held() -> Any:
            if getattr(work, "__func__", None) is Large.write:
                self.writing.set()
                assert self.go.wait(10)
            return work(*args, **more)

        return super().submit(held)


async def test_a_client_that_leaves_while_its_rows_are_written_leaves_nothing(tmp_path: Path) -> None:
    """Neither rows nor a file that would be there as long as its worker; who comes next is recorded."""
    async with world(tmp_path, TIGHT) as here:
        with Held() as pool:
            here.core._large = LargeAnswers(
                here.core, here.journal, pool, here.core._translators, here.core.answers
            )
            asking = asyncio.create_task(here.infer(request([ROW] * ROWS)))
            await until(pool.writing.is_set, "rows are written")
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            pool.go.set()
        assert [path.name for path in here.slot.folder.iterdir() if path.name.startswith(".")] == []
        kept = await here.infer(request([ROW]))
        assert recorded(here) == [kept.headers["x-prediction-id"]]


NARROW = GatewaySettings(requests=RequestSettings(inline_body_bytes=1000, unread_answers=30_000))


async def answer_to(here: World, rows: int) -> Response:
    """What a request of so many rows is answered."""
    answer = here.core.begin(call(request([ROW] * rows)))
    return answer if isinstance(answer, Response) else await answer


async def test_answers_that_nobody_reads_have_a_bound(tmp_path: Path) -> None:
    """One that finds no room beside them is 503, and recorded as refused; it has room when they are gone."""
    async with world(tmp_path, NARROW) as here:
        kept = [await answer_to(here, ROWS)]
        while kept[-1].status == 200:
            assert 0 < here.core.answers.held == sum(len(answer.body) for answer in kept)
            kept.append(await answer_to(here, ROWS))
        refused = kept.pop()
        assert refused.status == 503
        assert b"clients have not read" in refused.body
        assert (await answer_to(here, 1)).status == 200
        kept.clear()
        assert here.core.answers.held == 0
        assert (await answer_to(here, ROWS)).status == 200
        (frame,) = here.frames(Kind.REJECT)
        assert frame.strings("code").tolist() == [b"overloaded"]


async def test_an_answer_alone_always_has_room(tmp_path: Path) -> None:
    """A model whose answers are longer than any body may be is not refused for that."""
    requests = RequestSettings(unread_answers=200)
    async with world(tmp_path, GatewaySettings(requests=requests)) as here:
        share = here.core.answers.share(1000)
        with pytest.raises(OverloadedError, match="an answer of 1 bytes has no room now"):
            here.core.answers.share(1)
        del share
        assert here.core.answers.held == 0


async def test_an_answer_over_http_has_its_room_until_it_is_written(tmp_path: Path) -> None:
    """Compressed or not, and given back when its client has gone."""
    async with world(tmp_path, NARROW) as here:
        body, reads = msgspec.json.encode(request([ROW] * ROWS)), asyncio.Event()
        for coding in (b"identity", b"gzip"):

            async def receive() -> dict[str, Any]:
                return {"type": "http.request", "body": body}

            async def send(_message: Any) -> None:
                await reads.wait()

            headers = [(b"accept-encoding", coding)]
            scope = {"type": "http", "method": "POST", "path": "/v2/models/m/infer", "headers": headers}
            asking = asyncio.create_task(here.port(scope, receive, send))
            await until(lambda: here.core.answers.held > 0 and here.port.room.held == 0, "it is answered")
            (reads.set if coding == b"gzip" else asking.cancel)()
            await asyncio.gather(asking, return_exceptions=True)
            del asking
            await until(lambda: here.core.answers.held == 0, "it is gone")
