"""What a program tells its operator: one line per event, for eyes or for machines.

    2024-05-01T12:00:00.123Z info rollout-started model=loans revision=7
    {"time":"2024-05-01T12:00:00.123Z","level":"info","event":"rollout-started","model":"loans","revision":7}

Rules: an event has a fixed kebab-case name and fields, never a sentence put together from values; one event
is one line whatever its fields hold; a line is written whole, from any thread; a text line's level is
coloured where a terminal reads it. Not for the request path: writing waits on whoever reads standard error.

What libraries and Python itself say comes through as well (`capture`): the event is the name of who speaks,
"uvicorn-error", `says` the sentence, `fault` the traceback. Libraries speak from `warning` on, or from `info`
where the level is `debug`. Refuses to know: files, rotation, levels per part.
"""

import copy
import datetime as dt
import json
import logging
import math
import os
import sys
import threading
import traceback
import typing
from collections.abc import Mapping
from types import MappingProxyType, TracebackType
from typing import Annotated, Any, Final, Literal, Protocol, Self

import msgspec

from groundwork.clock import Clock

Level = Literal["debug", "info", "warning", "error"]
Form = Literal["text", "json"]

_LEVELS: Final = MappingProxyType({level: rank for rank, level in enumerate(typing.get_args(Level))})
_BARE: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:+@,%")


_COLOURS: Final = MappingProxyType({"debug": "2", "info": "32", "warning": "33", "error": "31"})
"""What a terminal is told (SGR), by level."""


class MessageSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the programs tell their operator, on standard error."""

    form: Annotated[
        Form, msgspec.Meta(description="a line is `text` for eyes, or a `json` object for machines")
    ] = "text"
    level: Annotated[
        Level,
        msgspec.Meta(description="what matters less than this is not told; `error` is the least talkative"),
    ] = "info"


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
        coloured: bool = False,
    ) -> None:
        self._stream = stream
        self._clock = clock
        self.level = level
        self._form = form
        self._coloured = coloured
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

    def tell(self, level: Level, event: str, **fields: Any) -> None:
        """An event whose level follows from something else."""
        self._event(level, event, fields)

    def _event(self, level: Level, event: str, fields: Mapping[str, Any]) -> None:
        if _LEVELS[level] < _LEVELS[self.level]:
            return
        time = _timestamp(self._clock.now())
        fields = {**self.bound, **fields}
        if self._form == "json":
            plain = {name: _plain(value) for name, value in fields.items()}
            head = {"time": time, "level": level, "event": event}
            line = json.dumps({**head, **plain, **head}, default=str)
        else:
            word = f"\x1b[{_COLOURS[level]}m{level}\x1b[0m" if self._coloured else level
            line = " ".join(
                [time, word, event, *(f"{name}={_text(value)}" for name, value in fields.items())]
            )
        with self._writing:
            self._stream.write(f"{line}\n")
            self._stream.flush()


def program_log(settings: MessageSettings, clock: Clock) -> Log:
    """The log of this process on standard error; coloured on a terminal, unless NO_COLOR is set."""
    coloured = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    return Log(sys.stderr, clock, level=settings.level, form=settings.form, coloured=coloured)


def capture(log: Log) -> None:
    """From now on what libraries, Python's warnings and uncaught errors say in this process goes to `log`.

    For a program's own start: it changes the process. An error in a thread or at the top is one line too.
    """
    root = logging.getLogger()
    root.handlers[:] = [_Bridge(log)]
    root.setLevel(logging.INFO if log.level == "debug" else logging.WARNING)
    logging.captureWarnings(capture=True)

    def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        else:
            log.error("uncaught", says=_sentence(error), fault=_trace(error))

    def unraisable(found: "sys.UnraisableHookArgs") -> None:
        error = found.exc_value
        says = found.err_msg or "" if error is None else _sentence(error)
        log.error("uncaught", says=says, fault="" if error is None else _trace(error))

    sys.excepthook = uncaught
    sys.unraisablehook = unraisable
    threading.excepthook = lambda found: (
        uncaught(found.exc_type, found.exc_value or found.exc_type(), found.exc_traceback)
        if found.exc_type is not SystemExit
        else None
    )


class _Bridge(logging.Handler):
    """A library's record as an event."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Never raises: what cannot be formatted is told as it is."""
        try:
            says = record.getMessage()
        except Exception:  # noqa: BLE001  a library's mistake in its own sentence
            says = str(record.msg)
        fields = {"says": " ".join(says.split())}
        if record.exc_info and record.exc_info[1] is not None:
            fields["fault"] = _trace(record.exc_info[1])
        event = record.name.replace(".", "-").replace("_", "-").strip("-") or "python"
        self._log.tell(_level_of(record.levelno), event, **fields)


def _level_of(number: int) -> Level:
    """Ours for the standard library's."""
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warning"
    return "info" if number >= logging.INFO else "debug"


def _sentence(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)).rstrip()


def _timestamp(now_ns: int) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    seconds, rest = divmod(now_ns, 10**9)
    moment = dt.datetime.fromtimestamp(seconds, tz=dt.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest // 10**6:03d}Z"


def _text(value: Any) -> str:
    """A field's value on a text line: bare where that is plain to see, else quoted as JSON.

    Letters of every language stay readable; what does not print, or turns the line around, is escaped.
    """
    text = value if isinstance(value, str) else str(value)
    if text and _BARE.issuperset(text):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    if quoted.isprintable():
        return quoted
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in quoted)


def _plain(value: Any) -> Any:
    """A field's value on a JSON line: JSON has no word for numbers that are not finite."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
