"""The path of one request, without sockets: decode, assign, run, encode, record, count, offer to the shadow.

    begin(call) ─▶ Response                      everything was cheap: answered in this turn of the loop
                └▶ awaitable ─▶ Response         a large body, an expensive run, or a version to be loaded

Cancel who awaits it when nobody waits for the answer any more: what has not begun to run is then not run.

Rules:

1. Each request is answered by the table that stood when it began; `lanes.table = table` is the only swap.
2. The path waits on the model and on nothing else. No lock, no file, no log line, no metric is on it.
3. An answer's row is in the slot before the answer is returned; so is the row of a failure or a refusal.
4. A candidate that fails is no reason for an error: the stable version answers in its place, once, and the
   failure is recorded and counted against the candidate. That run of stable is not its evidence, for it was
   chosen by a failure and not by the draw.
5. It knows no protocol; a `Codec` reads and writes. It decides no route; `routing.assign` does.
"""

from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from gateway import metrics
from gateway.away import Away
from gateway.beside import Job, size_of
from gateway.body_room import AnswerRoom
from gateway.call import Call, Work, arm_headers, asked_version, mentions, trace_id
from gateway.counting import count_answered, count_failed
from gateway.deadlines import TIMEOUT
from gateway.demand import Demand, OnDemand
from gateway.dispatch import Dispatch
from gateway.errors import InvalidInputError, OverloadedError, RunError
from gateway.inference import Array
from gateway.interface import extent_of
from gateway.journal import Journal
from gateway.lanes import Bound, Lanes
from gateway.large import LargeAnswers
from gateway.large_bodies import LargeBodies
from gateway.loop_lag import LoopLag
from gateway.meters import ARM_NAMES
from gateway.model import LoadedModel
from gateway.protocols.codec import Answer, Headers
from gateway.queueing import Waiting
from gateway.refusals import Refusals
from gateway.responses import OK, PREDICTION_ID, ErrorBody, Header, Response, plain_fault, refused
from gateway.routing import Lane, assign, draw_for_key, draw_for_request
from gateway.settings import GatewaySettings
from gateway.shadow import Shadow
from gateway.sizing import LEAST_RUNS
from gateway.stream import Noted
from gateway.translating import Translators
from groundwork.clock import Clock
from groundwork.counters import Counters
from groundwork.errors import DriftgateError
from prediction_log.record import Arm, Kept

_MOST_MICROSECONDS: Final = 2**32 - 1
_MICROSECONDS: Final = 1e6
_GONE: Final = "client-gone"
_PRIORITY: Final = b"priority"

Pending = Coroutine[Any, Any, Response] | Away


class Core:
    """Answers requests; owned by one worker's loop.

    `ready` says whether this worker should be sent requests; it answers them either way. `lanes` is what it
    answers by.
    """

    def __init__(
        self,
        lanes: Lanes,
        journal: Journal,
        counters: Counters,
        settings: GatewaySettings,
        clock: Clock,
        *,
        on_demand: OnDemand,
    ) -> None:
        self.ready = False
        self.lanes = lanes
        self.journal = journal
        self.settings = settings
        self.clock = clock
        self.shadow = Shadow(journal, counters, settings.shadow)
        self._counters = counters
        self._values = counters.values
        self._refusals = Refusals(journal, counters)
        self._monotonic = clock.monotonic
        self.lag = LoopLag(settings.queue.max_lag, clock.monotonic)
        self._dispatch = Dispatch(settings, counters, self.lag, clock.monotonic)
        self._demand = Demand(self, lanes, on_demand, self._dispatch.left)
        self._inline_body = settings.requests.inline_body_bytes
        self._pool = ThreadPoolExecutor(settings.runs.pool or LEAST_RUNS, "run")
        self._translators = Translators()
        self._large_bodies = LargeBodies(self, self._dispatch.left, self._pool, self._translators)
        self.answers = AnswerRoom(settings.requests)
        self._large = LargeAnswers(self, journal, self._pool, self._translators, self.answers)
        self._requests = 0

    def begin(self, call: Call, started: float = 0.0) -> Response | Pending:
        """Answer the request now, or give what will; never raises for what a client can do.

        That is an `Away` where nothing but a run off the loop is still to come, else a coroutine. `started`
        (monotonic) is when a request came that had to wait for its model; 0: now.
        """
        started = started or self._monotonic()
        try:
            if started > self.lag.sheds_at:
                raise OverloadedError("more requests come in than can be answered; try again later")
            bound = self.lanes.bound.get(call.model)
            if bound is None:
                return self._absent(call, started)
            version = call.version or asked_version(call.headers)
            if version is not None:
                return self._pin(call, bound, version, started)
            lane = bound.lane
            if bound.plain:
                return self.proceed(Work(call, bound, lane.stable, Arm.STABLE, None, started))
            chosen = assign(lane, self._draw(lane, call.headers))
            return self.proceed(Work(call, bound, chosen.model, chosen.arm, chosen.shadow, started))
        except DriftgateError as error:
            return self.refuse(error, call.model, call.version, started, call.codec.fault)

    async def find(self, model: str, version: str | None) -> LoadedModel:
        """The version that describes a model: the one named, else stable; raises as for a request."""
        return await self._demand.find(model, version)

    def refuse(
        self,
        error: DriftgateError,
        model: str,
        version: str | None,
        started: float,
        fault: ErrorBody = plain_fault,
    ) -> Response:
        """Record a request that no version is run for, and tell its client why; `started` is monotonic.

        `fault` writes the error as the client's protocol has it.
        """
        latency = self._since(started)
        known = model in self.lanes.bound
        return self._refusals.tell(error, model, version or "", latency, fault, known=known)

    def count(self, name: str, labels: Mapping[str, str], by: int = 1) -> None:
        """Add to a series that is too rare to have its place looked up beforehand."""
        self._values[self._counters.series(name, labels)] += by

    async def close(self) -> None:
        """Finish the shadow runs and let the threads go; no request may be under way."""
        await self.shadow.close()
        self._dispatch.close()
        self._translators.close()
        self._pool.shutdown(wait=False)

    def _draw(self, lane: Lane, headers: Headers) -> int:
        self._requests += 1
        key = headers.get(lane.key_header) if lane.key_header is not None else None
        number = (self.journal.incarnation << 40) + self._requests
        return draw_for_request(lane, number) if key is None else draw_for_key(lane, key, number)

    def _absent(self, call: Call, started: float) -> Pending:
        """What will answer for a model without a lane; raises where nothing will."""
        if call.model not in self.lanes.dormant:
            raise self.lanes.absent(call.model)
        return self._demand.woken(call, started)

    def _pin(self, call: Call, bound: Bound, version: str, started: float) -> Response | Pending:
        model = bound.lane.versions.get(version)
        if model is None:
            return self._demand.pinned(call, bound, version, started)
        return self.proceed(Work(call, bound, model, Arm.PINNED, None, started))

    def proceed(self, work: Work) -> Response | Pending:
        """Answer by the version that was found for the request; raises what its body or its queue refuses."""
        call, batcher = work.call, work.model.batcher
        large = len(call.body) > self._inline_body
        if (
            batcher is not None
            and work.model.inline_rows < 1
            and not (large or mentions(call.body, _PRIORITY))
        ):
            self._dispatch.check_room(batcher, call, work.started)
        elif call.timeout is not None or TIMEOUT in call.headers:
            self._dispatch.check_unread(work)
        if large:
            return self._large_bodies.answer(work)
        work.request = call.codec.decode(work.model, call.headers, call.body)
        return self.run(work)

    def run(self, work: Work) -> Response | Pending:
        """Run the request that was read, at once or off the loop, and answer; raises as `proceed`."""
        model, request, call = work.model, work.request, work.call
        extent = extent_of(model, request) if model.open_inputs else request.rows
        alone = extent > model.inline_rows
        if alone and not self._dispatch.takes_alone(model, extent):
            return Away(self, work, self._dispatch.submit(work))
        if request.parameters or call.timeout is not None or TIMEOUT in call.headers:
            self._dispatch.check_time(work, alone=alone)
        values, executing = self._values, model.meters.executing
        values[executing] += 1
        spent = self._dispatch.spent() if model.watched else 0.0
        work.began = self._monotonic()
        try:
            outputs = model.session.run(work.request.feeds)
        except (RunError, InvalidInputError) as error:
            return self._failed(work, error)
        finally:
            values[executing] -= 1
        work.ended = self._monotonic()
        seconds = work.ended - work.began
        if request.rows != 1:
            model.meters.lone.note(request.rows, seconds)
        if seconds > self._dispatch.too_long or model.watched:
            self._dispatch.ran_inline(model, extent, seconds, spent)
        answer = self._answer(work, outputs)
        if alone and model.batcher is not None:
            model.batcher.ran_alone(extent, seconds)
        return answer

    def _answer(self, work: Work, outputs: list[Array]) -> Response | Pending:
        model, request = work.model, work.request
        if self._large.takes(work, outputs):
            return self._large.give(work, outputs)
        identifier = self.journal.identify(model)
        answer = Answer(model, ARM_NAMES[work.arm], identifier.hex(), outputs)
        headers, body = work.call.codec.encode(request, answer)
        noted = self.note(work, identifier)
        paired = work.shadow is not None
        self.journal.predicted(model, noted, request.feeds, outputs, request.rows, paired=paired)
        return self.answered(work, noted, outputs, headers, body)

    def answered(
        self, work: Work, noted: Noted, outputs: list[Array], headers: tuple[Header, ...], body: bytes
    ) -> Response:
        """Count what was answered and recorded, and offer it to the shadow."""
        count_answered(self._values, work, noted)
        if work.shadow is not None:
            self._offer(work, work.shadow, noted, outputs)
        told = (*headers, *arm_headers(work.model.version, work.arm), _identity(noted.identifier.hex()))
        return Response(OK, told, body)

    def _failed(self, work: Work, error: RunError | InvalidInputError) -> Response | Pending:
        model, arm = work.model, work.arm
        rerun = arm is Arm.CANDIDATE
        if isinstance(error, InvalidInputError) and not rerun:
            raise error
        identifier = self.journal.identify(model)
        kept = Kept.ALWAYS if rerun else Kept.SAMPLE  # the second run's row is the one that counts
        noted = self.note(work, identifier)
        self.journal.predicted(model, noted, work.request.feeds, None, work.request.rows, kept)
        count_failed(self._values, work, noted)
        if rerun:
            work.model, work.arm, work.shadow, work.counted = work.bound.lane.stable, Arm.STABLE, None, False
            return self.run(work)
        answer = refused(error, work.call.codec.fault)
        headers = (*answer.headers, *arm_headers(model.version, arm), _identity(identifier.hex()))
        return Response(answer.status, headers, answer.body)

    def _offer(self, work: Work, shadow: LoadedModel, noted: Noted, outputs: list[Array]) -> None:
        request = work.request
        evidence = work.bound.evidence[Arm.SHADOW] if work.arm is Arm.STABLE else None
        size = size_of(request.feeds, outputs)
        self.shadow.offer(
            Job(work.model, shadow, noted, request.feeds, outputs, request.rows, size, evidence)
        )

    def note(self, work: Work, identifier: bytes) -> Noted:
        """What is recorded of a request under this id, next."""
        if not work.counted and work.arm is Arm.STABLE:
            # In a candidate's place: no pair, though its row looks like any other.
            for way in work.bound.ways:
                if way.arm is Arm.STABLE:
                    way.leave_out(identifier)
        return Noted(
            identifier,
            self.clock.now(),
            self._since(work.started),
            work.arm,
            work.bound.lane.route.revision,
            work.request.client_id,
            trace_id(work.call.headers),
        )

    def _since(self, started: float) -> int:
        """Whole microseconds since then, as many as a row can hold."""
        return min(int((self._monotonic() - started) * _MICROSECONDS), _MOST_MICROSECONDS)

    def settle(self, work: Work, entry: Waiting) -> Response | Pending:
        """The answer to a request whose run off the loop has ended."""
        work.began, work.ended, work.queued = entry.began, entry.ended, entry.began - entry.asked
        try:
            return self._answer(work, entry.future.result())
        except (RunError, InvalidInputError) as error:
            return self._failed_away(work, error)
        except DriftgateError as error:
            return self.give_up(work, error)

    def taken_back(self, work: Work) -> None:
        """Count a request whose client has gone before its run had ended."""
        self.count(metrics.REFUSALS, {"model": work.model.name, "code": _GONE})

    def _failed_away(self, work: Work, error: RunError | InvalidInputError) -> Response | Pending:
        try:
            return self._failed(work, error)
        except DriftgateError as refusal:
            return self.give_up(work, refusal)

    def give_up(self, work: Work, error: DriftgateError) -> Response:
        """The refusal of a request that had begun, in the shape of its protocol."""
        call = work.call
        return self.refuse(error, call.model, work.model.version, work.started, call.codec.fault)


def _identity(prediction_id: str) -> Header:
    return (PREDICTION_ID, prediction_id.encode())
