"""What can go wrong with the log, each error with a code that never changes.

    DriftgateError
    └── LogError                 the log, or a part of it, is not as it must be
        ├── FrameError           bytes that are not a frame (also a ValueError)
        ├── IdError              text or bytes that are not a prediction id (also a ValueError)
        ├── LabelError           a label that cannot be written as given (also a ValueError)
        ├── SegmentError         a segment that cannot be read or written
        ├── TransportError       a transport nobody knows
        └── ExportError          an export that cannot be made here

Rules: a message names the thing, what was wanted, what was found and what to do, in one line.
"""

from typing import ClassVar

from groundwork.errors import DriftgateError


class LogError(DriftgateError):
    """The log, or a part of it, is not as it must be."""

    code: ClassVar[str] = "bad-log"


class FrameError(LogError, ValueError):
    """Bytes that are not a frame: cut, changed, or made by somebody else."""

    code: ClassVar[str] = "bad-frame"


class IdError(LogError, ValueError):
    """Text or bytes that cannot be a prediction id."""

    code: ClassVar[str] = "bad-prediction-id"


class LabelError(LogError, ValueError):
    """A label whose value or target cannot be recorded."""

    code: ClassVar[str] = "bad-label"


class SegmentError(LogError):
    """A segment file that cannot be read or written."""

    code: ClassVar[str] = "bad-segment"


class TransportError(LogError):
    """A transport that is not in the table."""

    code: ClassVar[str] = "unknown-transport"


class ExportError(LogError):
    """An export that cannot be made: its library is not installed, or the folder holds no log."""

    code: ClassVar[str] = "bad-export"
