"""Whose calls are handed to gRPC next: no client's burst stands before everybody else's calls.

gRPC hands calls over one by one, in the order in which they came, those that were taken back too. Who opens
ten thousand at once, or opens and takes back as many as the line carries (CVE-2023-44487), would have all
others wait behind them for seconds. So:

1. of one client so many calls may wait to be looked at; what it sends behind them waits in its connection,
   where it costs nothing, until half of them have been looked at;
2. where many clients have some that wait, each may have fewer, so that all of them together stay few;
3. to take calls back makes no room, for gRPC hands them over all the same. It does not with each one: when a
   client has been held back for a second, those that it has taken back count no more.

Nobody is parted with: whoever asks for more than its share has its share.
"""

import functools
from collections.abc import Callable
from typing import Final

from gateway.grpc_port.incoming import Incoming

MOST: Final = 512
"""Calls of one worker that wait, where few clients have any."""
MOST_OF_ONE: Final = 128
LEAST_OF_ONE: Final = 4
HELD_SECONDS: Final = 1.0


class Turns:
    """Of all clients of one worker; owned by its loop."""

    def __init__(self) -> None:
        self.waiting = 0
        """Clients that have calls nobody has looked at."""

    @property
    def share(self) -> int:
        """How many calls of one client may wait now."""
        return max(LEAST_OF_ONE, min(MOST_OF_ONE, MOST // max(1, self.waiting)))


class Turn:
    """Of one client; `go_on` is called when it may send more after it was `full`."""

    def __init__(self, turns: Turns, go_on: Callable[[], None] = lambda: None) -> None:
        self.full = False
        self._turns = turns
        self._go_on = go_on
        self.calls: dict[int, Incoming] = {}
        """Those that wait, by their streams."""

    def add(self, stream: int, call: Incoming) -> None:
        """A call goes to gRPC."""
        if not self.calls:
            self._turns.waiting += 1
        self.calls[stream] = call
        call.seen = functools.partial(self._seen, stream)
        self.full = self.full or len(self.calls) >= self._turns.share

    def close(self) -> None:
        """The client has gone: it sends nothing more."""
        self._go_on = lambda: None

    def _seen(self, stream: int) -> None:
        del self.calls[stream]
        if not self.calls:
            self._turns.waiting -= 1
        if self.full and len(self.calls) <= self._turns.share // 2:
            self.full = False
            self._go_on()
