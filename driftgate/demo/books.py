"""The same things counted by four: client, gateway, log and monitor. They must agree to the last row.

Each counts in its own way: the client what it sent and read, the gateway in its workers' counters, the log by
exporting it whole, the monitor what it took in and joined.
"""

from __future__ import annotations

import msgspec


class Count(msgspec.Struct, frozen=True):
    """Requests answered, rows answered, labels; None where one does not count that."""

    requests: int | None
    rows: int
    labels: int


class Books(msgspec.Struct, frozen=True):
    """What each counted, and the records that were lost on the way."""

    client: Count
    gateway: Count
    log: Count
    monitor: Count
    lost: int

    def difference(self) -> str | None:
        """The first count that is not the client's, or None."""
        for name in ("gateway", "log", "monitor"):
            count: Count = getattr(self, name)
            for what in ("requests", "rows", "labels"):
                found, wanted = getattr(count, what), getattr(self.client, what)
                if found is not None and found != wanted:
                    return f"the {name} counted {found} {what}, the client {wanted}"
        return None
