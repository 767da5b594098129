"""Every error this package raises.

Each message names the thing, what was wanted, what was found and what to do, in one line. Nothing here knows
about HTTP, processes or screens: a program maps `code` to whatever it speaks.
"""

from typing import ClassVar

import msgspec

from groundwork.errors import DriftgateError


class RouteError(DriftgateError):
    """An edit that the route's present state does not allow; nothing was changed."""

    code: ClassVar[str] = "bad-route"


class GoneBackError(RouteError):
    """An undo of what somebody has gone back from already; nothing was changed."""

    code: ClassVar[str] = "gone-back"


class SpecError(DriftgateError, ValueError):
    """A rollout file that says something it may not (a ValueError too, so that decoding adds the place)."""

    code: ClassVar[str] = "bad-rollout"


class ConflictError(DriftgateError):
    """Somebody else edited the route first; `current` is the route that stands (None: there is none)."""

    code: ClassVar[str] = "conflict"

    def __init__(self, message: str, current: msgspec.Struct | None) -> None:
        super().__init__(message)
        self.current = current


class EvidenceError(DriftgateError):
    """A checkpoint or a count that cannot be what it claims to be."""

    code: ClassVar[str] = "bad-evidence"


class ChainError(DriftgateError):
    """The history's chain of digests does not hold: a row was changed, removed or put in between."""

    code: ClassVar[str] = "broken-history"
