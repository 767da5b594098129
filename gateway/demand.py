"""Requests for what is not in memory: they wait until it is loaded, and then go the way of all others.

Three are such: for a model that has left memory to make room (dormant); for a version that a request names
and the lane does not; and, where a model's stable version cannot be served (stranded), for a good one that a
request names. A stranded model has no lane, for a lane begins with a stable version that answers: other
requests for it are refused with the reason, and what is named answers as if it were pinned beside a stable
version, under the route's revision, as nobody's evidence.

Nothing of this is on the path of a request for what a lane has in memory.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from gateway.call import Call, Work, asked_version
from gateway.errors import ExpiredError, NotReadyError
from gateway.lanes import Bound, Lanes
from gateway.model import LoadedModel
from gateway.responses import ErrorBody, Response
from gateway.routing import Lane
from groundwork.errors import DriftgateError
from prediction_log.record import Arm
from rollouts.route import Route

OnDemand = Callable[[str, str], Awaitable[LoadedModel]]
"""Load (model, version) because a request names it; raises as `Fleet.load` does."""


class Answering(Protocol):
    """The part of a core that goes on with a request."""

    def begin(self, call: Call, started: float) -> Response | Awaitable[Response]:
        """Answer the request, which came at `started`, by what is in memory now."""
        ...

    def proceed(self, work: Work) -> Response | Awaitable[Response]:
        """Answer the request by the version that was found for it."""
        ...

    def refuse(
        self, error: DriftgateError, model: str, version: str | None, started: float, fault: ErrorBody
    ) -> Response:
        """The refusal."""
        ...


class Demand:
    """What one worker loads because a request asks for it; used on its loop.

    `left` says how many seconds a request still has that came at a time, None where it does not say.
    """

    def __init__(
        self,
        core: Answering,
        lanes: Lanes,
        load: OnDemand,
        left: Callable[[Call, float], float | None],
    ) -> None:
        self._core = core
        self._lanes = lanes
        self._load = load
        self._left = left

    async def find(self, model: str, version: str | None) -> LoadedModel:
        """The version that describes a model: the one named, else stable; raises as for a request."""
        lanes = self._lanes
        if model in lanes.stranded:
            if version is None:
                raise lanes.absent(model)
            return await self._load(model, version)
        if model not in lanes.bound and model in lanes.dormant:
            await self._load(model, lanes.dormant[model])
        bound = lanes.bound.get(model)
        if bound is None:
            raise lanes.absent(model)
        if version is None:
            return bound.lane.stable
        return bound.lane.versions.get(version) or await self._load(model, version)

    async def pinned(self, call: Call, bound: Bound, version: str, started: float) -> Response:
        """Answer by a version that the request names and its lane does not; `started` is monotonic."""
        try:
            model = await self._in_time(call, version, started)
            return await self._proceed(Work(call, bound, model, Arm.PINNED, None, started))
        except DriftgateError as error:
            return self._core.refuse(error, call.model, version, started, call.codec.fault)

    async def woken(self, call: Call, started: float) -> Response:
        """Answer for a model without a lane, once what it is loaded for is there; `started` is monotonic."""
        route = self._lanes.stranded.get(call.model)
        if route is not None:
            return await self._beside(call, route, started)
        stable = self._lanes.dormant.get(call.model)
        try:
            if stable is not None:  # else it has come back between the request and this
                await self._in_time(call, stable, started)
            if call.model not in self._lanes.bound:
                raise NotReadyError(f"model {call.model!r} is being loaded; ask again")
        except DriftgateError as error:
            return self._core.refuse(error, call.model, call.version, started, call.codec.fault)
        answer = self._core.begin(call, started)
        return answer if isinstance(answer, Response) else await answer

    async def _beside(self, call: Call, route: Route, started: float) -> Response:
        """Answer for a stranded model by the version that the request names."""
        version = call.version or asked_version(call.headers)
        try:
            if version is None:
                raise self._lanes.absent(call.model)
            model = await self._in_time(call, version, started)
            bound = Bound(Lane(route, model), {}, plain=True)
            return await self._proceed(Work(call, bound, model, Arm.PINNED, None, started))
        except DriftgateError as error:
            return self._core.refuse(error, call.model, version, started, call.codec.fault)

    async def _in_time(self, call: Call, version: str, started: float) -> LoadedModel:
        """The version, loaded; ExpiredError where the request's time is over before. The load goes on."""
        try:
            async with asyncio.timeout(self._left(call, started)):
                return await self._load(call.model, version)
        except TimeoutError:
            raise ExpiredError(
                f"the request's deadline passed while model {call.model} version {version} was being loaded"
            ) from None

    async def _proceed(self, work: Work) -> Response:
        answer = self._core.proceed(work)
        return answer if isinstance(answer, Response) else await answer
