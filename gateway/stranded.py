"""Models whose stable version cannot be served: a request that names a good version of one is answered.

Such a model has no lane, for a lane begins with a stable version that answers; its requests are refused with
the reason, and it does not count as served. A version that a request names is loaded and answers as if it
were pinned beside a stable one: under the route's revision, as nobody's evidence.

Nothing of this is on the path of a model that has a lane.
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from gateway.call import Bound, Call, Work, asked_version
from gateway.core import Core
from gateway.model import LoadedModel
from gateway.responses import Response
from gateway.routing import Lane
from groundwork.errors import DriftgateError
from prediction_log.record import Arm
from rollouts.route import Route


class PinningCore(Core):
    """A core that answers for stranded models what names a version.

    `stranded` are their routes by name; each is in `dormant` too, which is where a model without a lane is
    looked for.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """As the core's."""
        self.stranded: Mapping[str, Route] = MappingProxyType({})
        super().__init__(*arguments, **named)

    @property
    def served(self) -> Collection[str]:
        """As the core's: a stranded model is not served."""
        return set(super().served) - self.stranded.keys()

    async def find(self, model: str, version: str | None) -> LoadedModel:
        """As the core's; a stranded model has no version that describes it, but those that are named."""
        if model not in self.stranded:
            return await super().find(model, version)
        if version is None:
            raise self.absent(model)
        return await self._on_demand(model, version)

    async def _wake(self, call: Call, started: float) -> Response:
        route = self.stranded.get(call.model)
        if route is None:
            return await super()._wake(call, started)
        version = call.version or asked_version(call.headers)
        try:
            if version is None:
                raise self.absent(call.model)
            model = await self._on_demand(call.model, version)
            bound = Bound(Lane(route, model), {}, plain=True)
            answer = self._proceed(Work(call, bound, model, Arm.PINNED, None, started))
            return answer if isinstance(answer, Response) else await answer
        except DriftgateError as error:
            return self.refuse(error, call.model, version, started, call.codec.fault)
