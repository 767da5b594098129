"""`journal.durability: sync`: nobody has an answer before its row is in the log and on the disk.

Rules: all that wait share the next transaction and its one sync, so the price is time and not throughput. An
answer whose row could not be kept is not given: its client gets 503 and may ask again. Nothing of this is on
the path of a request where the setting is `buffered`.
"""

from gateway.call import Call
from gateway.core import Core, Pending
from gateway.errors import NotLoggedError
from gateway.responses import PREDICTION_ID, Response, refused


class DurableCore(Core):
    """A core whose every answer waits for the log."""

    def begin(self, call: Call, started: float = 0.0) -> Response | Pending:
        """Give the coroutine that will answer; see `Core.begin`."""
        if started:  # it had to wait for its model, and who waits for that waits for the log
            return super().begin(call, started)
        return self._kept(call)

    async def _kept(self, call: Call) -> Response:
        answer = super().begin(call)
        response = answer if isinstance(answer, Response) else await answer
        journal = self.journal
        identity = [header for header in response.headers if header[0] == PREDICTION_ID]
        identifier = bytes.fromhex(identity[0][1].decode()) if identity else b""
        try:
            done = journal.spooled is None or await journal.spooled()
            if done and identifier not in journal.missed:
                return response
        finally:
            journal.missed.discard(identifier)
        error = NotLoggedError("the answer could not be logged, which durability sync asks for; try again")
        told = refused(error, call.codec.fault)
        return Response(told.status, (*told.headers, *identity), told.body)
