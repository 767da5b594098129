"""One request as it is known so far: what an edge hands over, the lane it takes, and what was found out.

It reads the headers that every protocol shares (a pinned version, a trace) and writes those that name who
answered. It runs nothing.
"""

import functools
from typing import Final

import msgspec

from gateway.inference import InferenceRequest
from gateway.lanes import Bound
from gateway.meters import ARM_NAMES
from gateway.model import LoadedModel
from gateway.protocols.codec import MOST_JSON, Codec, Headers
from gateway.responses import ANSWER_ARM, ANSWER_VERSION, Header
from gateway.stream import NO_TRACE
from gateway.ways import Way
from prediction_log.record import Arm

VERSION_HEADER: Final = b"x-driftgate-version"
_TRACEPARENT: Final = b"traceparent"
_TRACE_LENGTH: Final = 55


class Call(msgspec.Struct, frozen=True, gc=False):
    """One request as an edge hands it over; `version` is None where the path names none.

    `timeout` is how many seconds its client waits, counted from the call; `priority` is 1 (first) to 9
    (last), 0 where the client does not say. What a body or a header says of both counts beside them. `body`
    may be a read-only view, where the codec takes one.
    """

    codec: Codec
    model: str
    version: str | None
    headers: Headers
    body: bytes
    timeout: float | None = None
    priority: int = 0


def mentions(body: bytes | memoryview, word: bytes) -> bool:
    """Whether a body has a word in its JSON; where it has it elsewhere, the answer may be either."""
    return word in (body if isinstance(body, bytes) else bytes(body[:MOST_JSON]))


class Work:
    """What is known so far about one request; lives as long as the request."""

    __slots__ = (
        "arm",
        "began",
        "bound",
        "call",
        "counted",
        "ended",
        "model",
        "queued",
        "request",
        "shadow",
        "started",
    )

    request: InferenceRequest
    began: float
    ended: float

    def __init__(
        self,
        call: Call,
        bound: Bound,
        model: LoadedModel,
        arm: Arm,
        shadow: LoadedModel | None,
        started: float,
    ) -> None:
        self.call = call
        self.bound = bound
        self.model = model
        self.arm = arm
        self.shadow = shadow
        self.started = started
        self.counted = arm is not Arm.PINNED
        self.queued = 0.0

    def held(self) -> tuple[LoadedModel | Way, ...]:
        """What must stay until it is answered: its version, stable if a candidate may fail, its ways."""
        ways = self.bound.ways
        if self.arm is Arm.CANDIDATE:
            return self.model, self.bound.lane.stable, *ways
        return self.model, *ways


@functools.lru_cache(maxsize=4096)
def arm_headers(version: str, arm: Arm) -> tuple[Header, ...]:
    """The headers that name who answered."""
    return ((ANSWER_VERSION, version.encode()), (ANSWER_ARM, ARM_NAMES[arm].encode()))


def asked_version(headers: Headers) -> str | None:
    """The version that a header pins the request to."""
    value = headers.get(VERSION_HEADER)
    return None if value is None else value.decode("latin-1")


def trace_id(headers: Headers) -> bytes:
    """The trace id of a W3C traceparent header, or zeros."""
    value = headers.get(_TRACEPARENT)
    if value is None or len(value) != _TRACE_LENGTH:
        return NO_TRACE
    try:
        return bytes.fromhex(value[3:35].decode("ascii"))
    except ValueError:
        return NO_TRACE
