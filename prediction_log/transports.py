"""The transports there are: a name for each way a log travels, and the class that opens it.

A new transport is one file with a class that takes the log's folder and has `sink()` and `source()`, one line
here, and one parameter of the contract suite in tests/prediction_log/test_transports.py.
"""

from collections.abc import Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import Final

from prediction_log.errors import TransportError
from prediction_log.transport import Transport

TRANSPORTS: Final[Mapping[str, str]] = {
    "memory": "prediction_log.memory:MemoryLog",
    "segments": "prediction_log.segments:SegmentLog",
}


def open_transport(name: str, folder: Path) -> Transport:
    """The log that lies in `folder` (where it lies anywhere); TransportError for a name not in the table."""
    if name not in TRANSPORTS:
        raise TransportError(f"there is no log transport {name!r}; choose one of {sorted(TRANSPORTS)}")
    transport: Transport = resolve_name(TRANSPORTS[name])(folder)
    return transport
