"""A core whose sampled requests become spans: the request, and in it decode, queue, run and encode.

Rules: only a worker whose `traces.endpoint` is set has one of these, so that nobody else pays. A span tells
model, version, arm, rows, status and prediction id; no value of a request. Its parts are the stages that are
measured anyway. A request that was run twice (a candidate failed, stable answered) has the parts of both.
"""

import random
from collections.abc import Callable
from typing import Any, Final, Protocol

from gateway.call import Call, Work
from gateway.core import Core, Pending
from gateway.durable import DurableCore
from gateway.responses import ANSWER_ARM, ANSWER_VERSION, PREDICTION_ID, Response
from gateway.stream import Noted
from groundwork.tracing import OpenSpan, Parent, Tracer, Value, parent_of

_TRACEPARENT: Final = b"traceparent"
_LONGEST: Final = 100
_FAULT: Final = 500
_NS: Final = 1e9
_HEADERS: Final = {
    ANSWER_VERSION: "driftgate.version",
    ANSWER_ARM: "driftgate.arm",
    PREDICTION_ID: "driftgate.prediction_id",
}


class Seen:
    """A request that becomes a span: where its clocks stood when it began, and what is known so far."""

    __slots__ = ("attributes", "began", "span", "started")

    def __init__(self, span: OpenSpan, started: int, began: float) -> None:
        self.span = span
        self.started = started
        self.began = began
        self.attributes: dict[str, Value] = {}

    def at(self, moment: float) -> int:
        """A reading of the monotonic clock in unix ns."""
        return self.started + int((moment - self.began) * _NS)


class Spanned(Core):
    """What both kinds of core do to have spans; `tracer` is set before the first request."""

    tracer: Tracer
    draw: Callable[[], float] = random.random

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """As the core's."""
        super().__init__(*arguments, **named)
        self._seen: dict[int, Seen] = {}

    def begin(self, call: Call, started: float = 0.0) -> Response | Pending:
        """As the core's; see the module."""
        if started:  # it had to wait for its model, and was seen when it came
            return super().begin(call, started)
        value = call.headers.get(_TRACEPARENT)
        parent = None if value is None else parent_of(value.decode("latin-1"))
        if not (self.draw() < self.tracer.ratio if parent is None else parent.sampled):
            return super().begin(call)
        # Kept by its place in memory, which stays its own: `call` is held until the request has ended.
        seen = self._seen[id(call)] = self._see(parent)
        try:
            answer = super().begin(call)
        except BaseException:
            del self._seen[id(call)]
            raise
        if isinstance(answer, Response):
            return self._tell(call, seen, answer)
        return self._later(call, seen, answer)

    def _see(self, parent: Parent | None) -> Seen:
        now = self.clock.now()
        return Seen(self.tracer.begin("infer", "server", now, parent), now, self.clock.monotonic())

    async def _later(self, call: Call, seen: Seen, pending: Pending) -> Response:
        try:
            return self._tell(call, seen, await pending)
        finally:
            self._seen.pop(id(call), None)

    def note(self, work: Work, identifier: bytes) -> Noted:
        """As `Core.note`; the stages of the run are over then."""
        noted = super().note(work, identifier)
        seen = self._seen.get(id(work.call)) if self._seen else None
        if seen is not None:
            self._part(work, seen)
        return noted

    def _part(self, work: Work, seen: Seen) -> None:
        """The stages of one run; a run that failed has no encoding, and ends now."""
        now = self.clock.monotonic()
        queued = work.began - work.queued
        ended = getattr(work, "ended", None)
        seen.attributes["driftgate.rows"] = work.request.rows
        seen.span.part("decode", seen.at(work.started), seen.at(queued))
        if work.queued:
            seen.span.part("queue", seen.at(queued), seen.at(work.began))
        if ended is None or ended < work.began:
            seen.span.part("run", seen.at(work.began), seen.at(now))
            return
        seen.span.part("run", seen.at(work.began), seen.at(ended))
        seen.span.part("encode", seen.at(ended), seen.at(now))

    def _tell(self, call: Call, seen: Seen, answer: Response) -> Response:
        self._seen.pop(id(call), None)
        attributes = seen.attributes
        attributes["driftgate.model"] = call.model[:_LONGEST]
        attributes["http.response.status_code"] = answer.status
        for name, value in answer.headers:
            if name in _HEADERS:
                attributes[_HEADERS[name]] = value.decode("latin-1")
        error = f"status {answer.status}" if answer.status >= _FAULT else ""
        seen.span.end(seen.at(self.clock.monotonic()), attributes, error)
        return answer


class SpannedCore(Spanned):
    """With `journal.durability: buffered`."""


class SpannedDurableCore(Spanned, DurableCore):
    """With `sync`: the span includes the wait for the log."""


class _Made(Protocol):
    """What makes a core."""

    def __call__(self, *arguments: Any, **named: Any) -> Core:
        """As `Core`'s initialiser."""
        ...


def core_of(tracer: Tracer | None, *, durable: bool) -> _Made:
    """What makes the core of a worker, by its settings."""
    if tracer is None:
        return DurableCore if durable else Core

    def made(*arguments: Any, **named: Any) -> Core:
        core = (SpannedDurableCore if durable else SpannedCore)(*arguments, **named)
        core.tracer = tracer
        return core

    return made
