"""Who has which part of a region: stretches are given out from its beginning, and taken back.

Rules: a stretch that comes back is given out again before new ground is broken, and only whole: lengths are
rounded up to `grain`, so that alike things fit each other's places. It holds no data.
"""


class Spans:
    """The stretches of [first, end)."""

    def __init__(self, first: int, end: int, *, grain: int = 1) -> None:
        self.used = first
        """Nothing at or above this was ever given out."""
        self._end = end
        self._grain = grain
        self._free: dict[int, list[int]] = {}

    def extend(self, end: int) -> None:
        """Give out more, up to `end`."""
        self._end = max(self._end, end)

    def take(self, length: int) -> int | None:
        """Where a stretch of this length begins that is nobody's; None when there is no room."""
        size = self._rounded(length)
        free = self._free.get(size)
        if free:
            return free.pop()
        if self.used + size > self._end:
            return None
        start, self.used = self.used, self.used + size
        return start

    def give(self, start: int, length: int) -> None:
        """Take back a stretch that `take` gave for this length."""
        self._free.setdefault(self._rounded(length), []).append(start)

    def _rounded(self, length: int) -> int:
        return -(-length // self._grain) * self._grain
