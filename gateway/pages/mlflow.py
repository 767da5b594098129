"""Health as MLflow, SageMaker, Vertex AI and Azure ML ask for it, and the version of this program.

200 while this worker is ready and serves at least one model (the default one, where a setting names it); it
waits on no prediction.
"""

from typing import Final

from gateway.errors import NotReadyError, UnknownModelError
from gateway.pages.page import Exchange, get
from gateway.protocols.mlflow import fault
from gateway.responses import OK, Header, Response

_TEXT: Final[Header] = (b"content-type", b"text/plain; charset=utf-8")


async def _ping(asked: Exchange) -> Response:
    core = asked.premises.core
    if not core.ready:
        raise NotReadyError("this worker is starting or stopping; try again in a moment")
    named = core.settings.platform.default_model
    if not core.lanes.served or (named and named not in core.lanes.served):
        raise UnknownModelError(
            f"the default model {named!r} is not served" if named else "no model is served"
        )
    return Response(OK, (_TEXT,), b"\n")


async def _version(asked: Exchange) -> Response:
    return Response(OK, (_TEXT,), asked.premises.version.encode())


PING: Final = get(_ping, fault)
VERSION: Final = get(_version, fault)
