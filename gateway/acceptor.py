"""Take connections from a listening socket that all workers share, and take them fairly.

Every worker waits on the same socket, so a waiting client is never bound to a worker that is slow, hung or
dead. Left to themselves, though, the worker that wakes first takes nearly everything (14 of 16 connections
were measured). So a worker that already holds more than the least loaded other one steps back for a moment
and lets that one take the connection; after a few such moments it takes the connection itself, because a
neighbour that does not come may be stuck, and a client must not wait for it. (`crowded` leaves out those that
have been stuck for a while, so a hung neighbour costs the first few connections some milliseconds each.)

One connection is taken per wake-up: taking all that wait would undo the fairness. Where the loop's turns are
long, though, each is one wake-up, and one connection in each of them would keep clients waiting for seconds.
So behind a turn of LONG_TURN or more connections are taken until this worker holds more than another one, and
no more than MOST_AT_ONCE, so that those which are open already get their turn.
"""

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Final

from groundwork.logs import Log

LONG_TURN: Final = 0.005
MOST_AT_ONCE: Final = 64
YIELD_SECONDS: Final = 0.002
YIELDS: Final = 50
# A process out of descriptors is told so again at once on every accept; waiting is the only thing that helps.
EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
EXHAUSTED_SECONDS: Final = 0.1
# Moments of stepping back that lie further apart than this concern two different connections.
FORGET_SECONDS: Final = 0.25


class Acceptor:
    """Takes connections from `listener` on the running loop; owned by one worker's loop.

    `attach` is called with each new connection, non-blocking and with Nagle's delay off. `crowded` says
    whether another worker should rather take the next one.
    """

    def __init__(
        self,
        listener: socket.socket,
        attach: Callable[[socket.socket], None],
        crowded: Callable[[], bool],
        log: Log,
    ) -> None:
        """Prepare; nothing is taken before `open`."""
        self._listener = listener
        self._attach = attach
        self._crowded = crowded
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._yields = 0
        self._yielded_at = 0.0
        self._turn = 0.0
        self._open = False

    def open(self) -> None:
        """Begin to take connections."""
        self._listener.settimeout(0)
        self._open = True
        self._watch()

    def close(self) -> None:
        """Take no more connections; the listening socket stays as it is, for it belongs to the supervisor."""
        if not self._open:
            return
        self._open = False
        self._loop.remove_reader(self._listener.fileno())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch(self) -> None:
        self._timer = None
        self._loop.add_reader(self._listener.fileno(), self._on_readable)

    def _step_back(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener.fileno())
        self._timer = self._loop.call_later(seconds, self._watch)

    def _may_yield(self) -> bool:
        now = self._loop.time()
        if now - self._yielded_at > FORGET_SECONDS:
            self._yields = 0
        self._yields += 1
        self._yielded_at = now
        return self._yields <= YIELDS

    def _on_readable(self) -> None:
        if self._crowded() and self._may_yield():
            self._step_back(YIELD_SECONDS)
            return
        self._yields = 0
        self._loop.call_soon(self._note_turn, self._loop.time())
        for _ in range(MOST_AT_ONCE if self._turn >= LONG_TURN else 1):
            if not self._take() or self._crowded():
                return

    def _note_turn(self, began: float) -> None:
        """How long a turn of the loop lasts, told in the one after it."""
        self._turn = self._loop.time() - began

    def _take(self) -> bool:
        """Take one connection; False where there is none, or none can be taken."""
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False  # another worker was quicker, or the client has gone
        except OSError as error:
            if error.errno == errno.EINVAL:
                self.close()  # it listens no longer: the supervisor has shut it, after everybody was taken
                return False
            if error.errno not in EXHAUSTED:
                raise
            self._log.warning("connection-not-taken", fault=error, retry_s=EXHAUSTED_SECONDS)
            self._step_back(EXHAUSTED_SECONDS)
            return False
        connection.settimeout(0)
        if connection.family in (socket.AF_INET, socket.AF_INET6):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._attach(connection)
        return True
