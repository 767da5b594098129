"""What a refused request leaves: a row in the log, one more in the metrics, an answer as its protocol has it.

Rules: the row is in the slot before the answer is given. Under overload most requests are refused, and the
time for that is taken from the others: nothing that is the same each time is looked up again.
"""

from gateway import metrics
from gateway.journal import Journal
from gateway.responses import PREDICTION_ID, ErrorBody, Response, refused
from groundwork.counters import Counters
from groundwork.errors import DriftgateError


class Refusals:
    """The refusals of one worker; used on its loop."""

    def __init__(self, journal: Journal, counters: Counters) -> None:
        self._journal = journal
        self._counters = counters
        self._values = counters.values
        self._places: dict[tuple[str, str], int] = {}

    def tell(
        self, error: DriftgateError, model: str, version: str, latency: int, fault: ErrorBody, *, known: bool
    ) -> Response:
        """The answer; `latency` in µs. It is counted for its model only where that is `known` to a route."""
        answer = refused(error, fault)
        identifier = self._journal.rejected(model, version, answer.status, error.code, str(error), latency)
        self._count(model if known else "", error.code)
        identity = (PREDICTION_ID, identifier.hex().encode())
        return Response(answer.status, (*answer.headers, identity), answer.body)

    def _count(self, model: str, code: str) -> None:
        place = self._places.get((model, code))
        if place is None:
            place = self._counters.series(metrics.REFUSALS, {"model": model, "code": code})
            self._places[model, code] = place
        self._values[place] += 1
