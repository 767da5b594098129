"""An answer that is too large for one turn of the loop: encoded, and its rows written, off the loop.

Rules: one at a time, for the sake of memory, and because rows of a stream stand in the order of their ids;
of those that wait for their turn, or for their clients to read them, as many as there is room for.
The numbers of its rows are drawn on the loop before they are written, so requests that come meanwhile are
recorded and answered as ever. Nobody has the answer before its rows are where a crash cannot reach them;
where it cannot be encoded, or nobody waits for it any more, there are none. A client that leaves stops no
thread: its rows may still be written when they are given up (`prediction_log.spill` leaves nothing of them).
"""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import Executor
from typing import Any, Protocol

import msgspec

from gateway.body_room import AnswerRoom
from gateway.call import Work
from gateway.inference import Array
from gateway.journal import Filled, Journal
from gateway.meters import ARM_NAMES
from gateway.model import LoadedModel
from gateway.protocols.codec import Answer
from gateway.recording import PredictionPlan
from gateway.responses import Header, Response
from gateway.stream import Noted
from gateway.translating import Translators
from gateway.ways import Way
from groundwork.errors import DriftgateError

Encoded = tuple[tuple[Header, ...], bytes]


class Answering(Protocol):
    """The part of a core that gives answers."""

    def note(self, work: Work, identifier: bytes) -> Noted:
        """What is recorded of a request under this id."""
        ...

    def answered(
        self, work: Work, noted: Noted, outputs: list[Array], headers: tuple[Header, ...], body: bytes
    ) -> Response:
        """The answer, counted."""
        ...

    def give_up(self, work: Work, error: DriftgateError) -> Response:
        """The refusal."""
        ...


class LargeAnswers:
    """Those of one worker, on its loop; large is what comes in or goes out with more than is `small`."""

    def __init__(
        self, core: Answering, journal: Journal, pool: Executor, translators: Translators, room: AnswerRoom
    ) -> None:
        self._core = core
        self._journal = journal
        self._pool = pool
        self._translators = translators
        self._room = room
        self._most = room.small
        self._one = asyncio.Lock()

    def takes(self, work: Work, outputs: list[Array]) -> bool:
        """Whether this one is large; a tenth of a microsecond."""
        most = self._most
        if len(work.call.body) > most:
            return True
        for array in outputs:  # noqa: SIM110  a plain loop: this runs for every request
            if array.nbytes > most:
                return True
        return False

    def give(self, work: Work, outputs: list[Array]) -> Coroutine[Any, Any, Response]:
        """What will answer; the version is held until it has."""
        held = work.held()
        for one in held:
            one.hold()
        return self._give(work, outputs, held)

    async def _give(self, work: Work, outputs: list[Array], held: tuple[LoadedModel | Way, ...]) -> Response:
        try:
            share = self._room.share(sum(array.nbytes for array in outputs))
            async with self._one:
                noted, (headers, body) = await self._written(work, outputs)
            share.hold(len(body))
            return msgspec.structs.replace(
                self._core.answered(work, noted, outputs, headers, body), room=share
            )
        except DriftgateError as error:
            return self._core.give_up(work, error)
        finally:
            for one in held:
                one.let_go()

    async def _written(self, work: Work, outputs: list[Array]) -> tuple[Noted, Encoded]:
        model, journal, loop = work.model, self._journal, asyncio.get_running_loop()
        filled = await loop.run_in_executor(self._pool, fill, journal.plan(model), work, outputs)
        noted = self._core.note(work, journal.identify(model))
        large = journal.begin(model, noted, filled, work.request.rows, paired=work.shadow is not None)
        written = False
        try:
            encoded = await self._encoded(work, outputs, large.identifier)
            await loop.run_in_executor(self._pool, large.write)
            written = True
        finally:
            journal.end(large, wanted=written)
        return noted, encoded

    async def _encoded(self, work: Work, outputs: list[Array], identifier: bytes) -> Encoded:
        """Written in a thread where that goes in pieces, else in a process."""
        codec, request = work.call.codec, work.request
        answer = Answer(work.model, ARM_NAMES[work.arm], identifier.hex(), outputs)
        if codec.pieces is None or not codec.pieces.writes(work.model, request):
            return await self._translators.write(codec, request, answer)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, codec.encode, request, answer)


def fill(plan: PredictionPlan, work: Work, outputs: list[Array]) -> Filled:
    """In the thread: the columns of the tensors."""
    columns: dict[str, Any] = {}
    validity = plan.fill(columns, work.request.feeds, outputs, work.request.rows)
    return columns, validity
