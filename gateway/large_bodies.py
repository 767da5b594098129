"""A request whose body is too large for one turn of the loop: read off it, then run as any other.

Rules: what it will be run by stays in memory meanwhile, and its deadline counts. It is read in a thread where
its codec goes in pieces, else in a process, which has an interpreter of its own.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Protocol

from gateway.call import Call, Work
from gateway.errors import ExpiredError
from gateway.inference import InferenceRequest
from gateway.responses import Response
from gateway.translating import Translators
from groundwork.errors import DriftgateError


class Running(Protocol):
    """The part of a core that goes on with a request that was read."""

    def run(self, work: Work) -> Response | Awaitable[Response]:
        """Answer the request that `work` has."""
        ...

    def give_up(self, work: Work, error: DriftgateError) -> Response:
        """The refusal."""
        ...


class LargeBodies:
    """Those of one worker; used on its loop.

    `left` says how many seconds a request still has whose body is not read yet, None where it does not say.
    """

    def __init__(
        self,
        core: Running,
        left: Callable[[Call, float], float | None],
        pool: Executor,
        translators: Translators,
    ) -> None:
        self._core = core
        self._left = left
        self._pool = pool
        self._translators = translators

    async def answer(self, work: Work) -> Response:
        """Read the body, and answer."""
        held = work.held()
        for one in held:
            one.hold()
        try:
            async with asyncio.timeout(self._left(work.call, work.started)):
                work.request = await self._read(work)
            answer = self._core.run(work)
            return answer if isinstance(answer, Response) else await answer
        except TimeoutError:
            late = ExpiredError("the request's deadline passed while its body was being read")
            return self._core.give_up(work, late)
        except DriftgateError as error:
            return self._core.give_up(work, error)
        finally:
            for one in held:
                one.let_go()

    async def _read(self, work: Work) -> InferenceRequest:
        call, model = work.call, work.model
        if call.codec.pieces is not None:
            request = await asyncio.get_running_loop().run_in_executor(
                self._pool, call.codec.pieces.read, model, call.headers, call.body
            )
            if request is not None:
                return request
        return await self._translators.read(call.codec, model, call.headers, call.body)
