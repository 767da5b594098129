"""What a program tells its operator: one line per event, for eyes or for machines.

    2024-05-01T12:00:00.123Z info rollout-started model=loans revision=7
    {"time":"2024-05-01T12:00:00.123Z","level":"info","event":"rollout-started","model":"loans","revision":7}

Rules: an event has a fixed kebab-case name and fields, never a sentence put together from values; one event
is one line whatever its fields hold; a line is written whole, from any thread. Not for the request path:
writing waits on whoever reads standard error. Refuses to know: files, rotation, levels per part.
"""

import copy
import datetime as dt
import json
import math
import threading
import typing
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, Protocol, Self

from groundwork.clock import Clock

Level = Literal["debug", "info", "warning", "error"]
Form = Literal["text", "json"]

_LEVELS: Final = MappingProxyType({level: rank for rank, level in enumerate(typing.get_args(Level))})
_BARE: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:+@,%")


class Writable(Protocol):
    """Where lines go: standard error, or a test's io.StringIO."""

    def write(self, text: str, /) -> object:
        """Take a whole line."""
        ...

    def flush(self) -> object:
        """Let the line be seen."""
        ...


class Log:
    """Writes events at `level` and above; fields given by `bound` are on every line."""

    def __init__(
        self,
        stream: Writable,
        clock: Clock,
        *,
        level: Level = "info",
        form: Form = "text",
        bound: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._level = level
        self._form = form
        self.bound = dict(bound)
        self._writing = threading.Lock()

    def bind(self, **fields: Any) -> Self:
        """A log to the same place with these fields on every line as well."""
        log = copy.copy(self)
        log.bound = {**self.bound, **fields}
        return log

    def debug(self, event: str, **fields: Any) -> None:
        """What only a developer looks for."""
        self._event("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """What an operator may want to know later."""
        self._event("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """What an operator should look at, though nothing is broken yet."""
        self._event("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """What is broken and needs somebody."""
        self._event("error", event, fields)

    def _event(self, level: Level, event: str, fields: Mapping[str, Any]) -> None:
        if _LEVELS[level] < _LEVELS[self._level]:
            return
        time = _timestamp(self._clock.now())
        fields = {**self.bound, **fields}
        if self._form == "json":
            plain = {name: _plain(value) for name, value in fields.items()}
            head = {"time": time, "level": level, "event": event}
            line = json.dumps({**head, **plain, **head}, default=str)
        else:
            line = " ".join(
                [time, level, event, *(f"{name}={_text(value)}" for name, value in fields.items())]
            )
        with self._writing:
            self._stream.write(f"{line}\n")
            self._stream.flush()


def _timestamp(now_ns: int) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    seconds, rest = divmod(now_ns, 10**9)
    moment = dt.datetime.fromtimestamp(seconds, tz=dt.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest // 10**6:03d}Z"


def _text(value: Any) -> str:
    """A field's value on a text line: bare where that is plain to see, else quoted as JSON in ASCII."""
    text = value if isinstance(value, str) else str(value)
    return text if text and _BARE.issuperset(text) else json.dumps(text)


def _plain(value: Any) -> Any:
    """A field's value on a JSON line: JSON has no word for numbers that are not finite."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
