"""Waiting for an answer only as long as its client does.

A client that leaves takes its request back: what has not begun to run is then not run, and nothing is
recorded as answered. What is running already runs to its end, for a graph cannot be stopped.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from gateway.responses import Response

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class GoneError(Exception):
    """The client left before it could be answered; nobody is there to be told."""


async def unless_gone(pending: Awaitable[Response], receive: Receive) -> Response:
    """The answer; GoneError where the client leaves first. The request's body must have been received."""
    answering = asyncio.ensure_future(pending)
    leaving = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not answering.done() and not leaving.exception() and leaving.result():
            raise GoneError
        return await answering
    finally:
        leaving.cancel()
        answering.cancel()


async def _left(receive: Receive) -> bool:
    message = await receive()
    return bool(message["type"] == "http.disconnect")
