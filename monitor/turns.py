"""Whose turn it is to change monitor.db, in this process.

Rule: who has waited longest is next. While the log is behind, the pipeline ends a round only to begin
another, and a lock of `threading` goes to whoever asks for it next: to the thread that has just let it go.
SQLite's own waiting is no better, for it looks now and then whether the file happens to be free. Whoever else
has something to write, or asks how things stand, waits for one round here, and not for the end of the log.
"""

import threading
from collections import deque


class Turns:
    """A lock for `with`, had in the order in which it was asked for; not twice by the same thread."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()  # held for a moment, never for a turn
        self._taken = False
        self._queue: deque[threading.Lock] = deque()

    @property
    def waiting(self) -> int:
        """How many threads wait for their turn."""
        return len(self._queue)

    def __enter__(self) -> None:
        with self._mutex:
            if not self._taken:
                self._taken = True
                return
            mine = threading.Lock()
            mine.acquire()
            self._queue.append(mine)
        mine.acquire()  # until whoever leaves opens it: the turn is handed on, and nobody comes between

    def __exit__(self, *_: object) -> None:
        with self._mutex:
            if self._queue:
                self._queue.popleft().release()
            else:
                self._taken = False
