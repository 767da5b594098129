"""A connection whose answers may come after the read that asked for them, each by a cycle of uvicorn's.

So order, disconnects and draining stay uvicorn's. A task is made only where more than a run is to be waited
for; where a run is all, one cycle stands for all such requests, and is ended with one write. What
this touches of uvicorn's insides, `gateway.insides` compares first.
"""

import asyncio
import functools
from collections.abc import Awaitable
from typing import Any, Final

from uvicorn.protocols.http import httptools_impl

from gateway.asgi import Send, deliver
from gateway.away import Away
from gateway.endpoints import DataPort
from gateway.paths import Target
from gateway.pieces import PIECE_BYTES
from gateway.port import Connection
from gateway.responses import Response
from gateway.shortcut import wire

# All that uvicorn's cycle reads of a scope while it sends.
_SCOPE: Final = {"type": "http", "method": "POST"}


class LateConnection(Connection):
    """One that can answer later what was read whole; owned by the loop."""

    _port: DataPort
    """Who ends what was begun; whoever makes the connection says it."""
    _answering: asyncio.Task[Any] | None = None
    _away: Away | None = None
    _waiting: httptools_impl.RequestResponseCycle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Take back the request that waits for its answer, as the client has gone."""
        super().connection_lost(exc)
        if self._away is not None:
            self._away.cancel()
        if self._answering is not None:
            self._answering.cancel()

    def let_run(self, away: Away, target: Target, asked: dict[str, Any]) -> None:
        """Have the loop call back when the run has ended; one cycle stands for all such requests."""
        cycle = self._waiting
        if cycle is None:
            self._waiting = cycle = self._cycle()
        else:
            cycle.response_started = cycle.response_complete = False
            cycle.default_headers = self.server_state.default_headers
            self.cycle = cycle
            self._unset_keepalive_if_required()
        self._away = away
        away.tell(functools.partial(self._ran, away, cycle, target, asked))

    def _ran(
        self,
        away: Away,
        cycle: httptools_impl.RequestResponseCycle,
        target: Target,
        asked: dict[str, Any],
        _future: object,
    ) -> None:
        """Answer, as soon as the loop has found that the run has ended."""
        self._away = None
        answer = self._port.ended(away, target, asked)
        if answer is None:
            return
        if isinstance(answer, Response) and (cycle.disconnected or self._finish(cycle, answer)):
            return
        self._waiting = None  # what a task has ended is not used again
        self.send_when_there(answer, cycle)

    def _cycle(self) -> httptools_impl.RequestResponseCycle:
        """A cycle of uvicorn's for a request that was read whole, as the connection's present one."""
        self._unset_keepalive_if_required()
        self.cycle = httptools_impl.RequestResponseCycle(
            scope=_SCOPE,  # type: ignore[arg-type]  # `send` asks for nothing but the method
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=True,
            on_response=self.on_response_complete,
        )
        self.cycle.more_body = False
        return self.cycle

    def send_when_there(
        self,
        pending: Response | Awaitable[Response],
        known: httptools_impl.RequestResponseCycle | None = None,
    ) -> None:
        """Let one of uvicorn's cycles wait for the answer and send it: a new one, where none is known."""
        cycle = self._cycle() if known is None else known

        async def app(_scope: Any, _receive: Any, send: Send) -> None:
            self._answering = asyncio.current_task()
            try:
                answer = pending if isinstance(pending, Response) else await pending
            except asyncio.CancelledError:
                if cycle.disconnected:
                    return
                raise
            finally:
                self._answering = None
            if not self._finish(cycle, answer):
                await deliver(answer, send)

        self._start_asgi_task(cycle, app)  # of what it is called with, it uses one

    def _finish(self, cycle: httptools_impl.RequestResponseCycle, answer: Response) -> bool:
        """End the cycle with one write and no timer; False where something is in the way of that."""
        busy = self.pipeline or self._farewell or self.flow.write_paused or self.transport.is_closing()
        if busy or cycle.disconnected or not cycle.keep_alive or len(answer.body) > PIECE_BYTES:
            return False
        cycle.response_started = cycle.response_complete = True
        self.server_state.total_requests += 1
        self._since = self._now()
        self.transport.write(wire(answer, self.server_state.date))
        self.flow.resume_reading()
        return True
