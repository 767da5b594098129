"""When a decoded request is run: at once on the loop, or in its version's queue; and whether there is time.

A request whose version's queue is empty runs on the loop too, where its run is short and nobody is behind it.

Rules: a deadline counts from the moment when the request may have come in, so what it waited for a late loop
is taken from it. A request without one costs nothing here. The queue of a version is made when it is needed.
"""

import sys
from collections.abc import Callable, Mapping
from time import thread_time
from typing import Any, Final
from weakref import WeakSet

from gateway.batching import Batcher, Subject
from gateway.call import Call, Work
from gateway.deadlines import MIDDLE, TIMEOUT, Hurry, hurry_of
from gateway.errors import ExpiredError, LateError
from gateway.inference import NO_PARAMETERS
from gateway.loop_lag import LoopLag
from gateway.model import LoadedModel
from gateway.queue_meters import QueueMeters
from gateway.queueing import Waiting
from gateway.schedule import strayed
from gateway.settings import GatewaySettings
from gateway.sizing import LEAST_RUNS
from groundwork.counters import Counters
from groundwork.processors import processors

SWITCH_SECONDS: Final = 0.00005
_NONE: Final = Hurry(None, MIDDLE)
"""What most requests say of their hurry: nothing."""
_TOO_LONG: Final = 4.0
WATCHED: Final = 64
"""Runs on the loop that are watched after one that was too long."""
PROOFS: Final = 2
_BOTH: Final = 2
"""With so many processors a worker, its loop and a run have one each."""
_REST: Final = 0.25
"""Of what a request has waited for a late loop: its answer is written when the loop's turn ends."""


class Dispatch:
    """The queues of one worker; used on its loop."""

    def __init__(
        self,
        settings: GatewaySettings,
        counters: Counters,
        lag: LoopLag,
        monotonic: Callable[[], float],
        spent: Callable[[], float] = thread_time,
    ) -> None:
        """`spent` is the processor time of the loop's thread, in seconds."""
        self._settings = settings
        self._counters = counters
        self._lag = lag
        self._monotonic = monotonic
        self.spent = spent
        self.too_long = _TOO_LONG * settings.runs.inline
        self._batchers: WeakSet[Batcher] = WeakSet()

    def check_time(self, work: Work, *, alone: bool) -> None:
        """Refuse what a run on the loop would answer too late, as LateError or ExpiredError.

        What such a run takes was measured at load, and where the loop only `takes_alone`, is learnt since.
        """
        timeout = _hurry(work.call, work.request.parameters).timeout
        if timeout is not None:
            model, rows = work.model, work.request.rows
            needs = model.batcher.least(rows) if alone and model.batcher else model.cost.seconds(rows)
            self._check_time(work, timeout, needs)

    def check_unread(self, work: Work) -> None:
        """The same before a request is decoded, by what is known without its body."""
        call, model = work.call, work.model
        timeout = _hurry(call, NO_PARAMETERS).timeout
        if timeout is not None and model.inline_rows >= 1:
            self._check_time(work, timeout, model.cost.seconds(1))

    def left(self, call: Call, started: float) -> float | None:
        """Seconds that a request whose body is not read yet still has; None where it does not say."""
        timeout = _hurry(call, NO_PARAMETERS).timeout
        return None if timeout is None else self._deadline(started, timeout) - self._monotonic()

    def _check_time(self, work: Work, timeout: float, needs: float) -> None:
        waited = self._lag.waited(work.started)
        left = work.started - waited + timeout - self._monotonic()
        if left > 0 and left >= needs + _REST * waited:
            return
        if waited:
            raise LateError("the request waited too long for its turn to be answered within its deadline")
        raise ExpiredError(f"no answer is possible within the request's deadline of {timeout:.6g} s")

    def ran_inline(self, model: LoadedModel, extent: int, seconds: float, before: float) -> None:
        """Take in a run on the loop that was too long, or `watched`.

        What a run costs is foreseen by the runs that were timed at load, and some graphs take much longer for
        some requests. After a run that was too long the next WATCHED are watched: the processor time of this
        thread, which was `before` it, tells a run that is long from one that had to wait for its processor.
        Where PROOFS of them are long (one may have had to wait for a collection of garbage), requests as
        large as that leave the loop for good.
        """
        if not model.watched:
            model.watched, model.proofs = WATCHED, 0
            return
        model.watched -= 1
        if seconds > self.too_long and self.spent() - before > self.too_long:
            model.proofs += 1
            if model.proofs >= PROOFS:
                model.inline_rows, model.strays = min(model.inline_rows, extent - 1), True
                model.schedule = strayed(model.schedule, model.inline_rows, seconds)

    def takes_alone(self, model: LoadedModel, extent: int) -> bool:
        """Whether the loop runs what its version's queue would: quicker for a client that is alone."""
        if model.strays:
            return False
        batcher = model.batcher or self._batcher(model)
        return batcher.takes_alone(extent, self.too_long)

    def check_room(self, batcher: Batcher, call: Call, started: float) -> None:
        """Refuse before it is decoded what the queue will not take, by what is known without its body."""
        hurry = _hurry(call, NO_PARAMETERS)
        timeout = hurry.timeout
        deadline = None if timeout is None else self._deadline(started, timeout)
        batcher.check_room(hurry.priority, deadline)

    def submit(self, work: Work) -> Waiting:
        """Let the request wait for its run, off the loop; refuses as `Batcher.submit` does."""
        model, hurry = work.model, _hurry(work.call, work.request.parameters)
        batcher = model.batcher or self._batcher(model)
        deadline = None if hurry.timeout is None else self._deadline(work.started, hurry.timeout)
        request, body = work.request, len(work.call.body)
        return batcher.submit(request.feeds, request.rows, deadline, hurry.priority, body)

    def close(self) -> None:
        """Let all threads go; no request may be under way."""
        for batcher in list(self._batchers):
            batcher.close()

    def _deadline(self, started: float, timeout: float) -> float:
        return started - self._lag.waited(started) + timeout

    def _batcher(self, model: LoadedModel) -> Batcher:
        subject = Subject(
            f"model {model.name} version {model.version}",
            model.session.run,
            model.schedule,
            tuple([name for name, tensor in model.inputs.items() if tensor.row_shape is None]),
            self._settings.runs.pool or LEAST_RUNS,
            model.hold,
            model.let_go,
            processors() >= _BOTH * (self._settings.workers or 1),
        )
        meters = QueueMeters(self._counters, model.name, model.version, model.meters.executing)
        # A thread that comes back from a run wants the interpreter for microseconds. A busy loop lets it go
        # between two reads, but for less than it takes to wake a thread: only one that has waited this long
        # is let in. So it has to be less than a request takes.
        sys.setswitchinterval(SWITCH_SECONDS)
        batcher = Batcher(subject, self._settings.queue, meters, self._monotonic)
        self._batchers.add(batcher)
        model.batcher = batcher
        return batcher


def _hurry(call: Call, parameters: Mapping[str, Any]) -> Hurry:
    if call.timeout is None and not call.priority and not parameters and TIMEOUT not in call.headers:
        return _NONE
    return hurry_of(call.timeout, call.priority, call.headers, parameters)
