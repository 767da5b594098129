"""Settings: one frozen struct of values, from defaults, one YAML file, variables and flags, in rising order.

A program declares its settings as a frozen msgspec.Struct whose fields are values or further such structs:

    class Log(msgspec.Struct, frozen=True):
        segment_bytes: Annotated[Bytes, msgspec.Meta(description="Where a segment is closed.")] = 2**28

    class Settings(msgspec.Struct, frozen=True):
        log: Log = Log()

The setting `log.segment_bytes` is then `log: {segment_bytes: 256MiB}` in the file, the variable
DRIFTGATE_LOG_SEGMENT_BYTES, and the key "log.segment_bytes" among the flags.

Rules:
1. A setting that cannot be honoured is an error: an unknown name (with the nearest known one), a wrong type
   (with the setting, its source, what was wanted, what was found), a name twice in the file, a
   number there that YAML counts in another way than people do.
2. The winner of each setting is remembered with its source, so that a program can say where a value is from.
3. Variables are text: numbers and yes/no are converted, a list is separated by commas, an empty text is None
   where None is allowed; anything deeper is written as JSON.
4. A value marked secret never appears in a message.

Refuses to know: which settings there are.
"""

import difflib
import os
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import msgspec

from groundwork import marks
from groundwork.errors import FlagError, SettingsError
from groundwork.setting import (
    REQUIRED,
    Setting,
    convert,
    differences,
    fields,
    group_of,
    one_line,
    value_of,
)

__all__ = ["REQUIRED", "Loaded", "Setting", "differences", "fields", "load", "value_of"]

T = TypeVar("T", bound=msgspec.Struct)
_NEAR: Final = 0.8
"""How alike two names are, from 0 to 1, to be taken for one that was mistyped."""
_FLAG: Final = "flag --"


class Loaded(msgspec.Struct, Generic[T], frozen=True):
    """The settings in force, and for each dotted name the source it came from.

    A source reads "default", "file PATH", "variable NAME" or "flag --name".
    """

    value: T
    sources: Mapping[str, str]


class _Given(msgspec.Struct, frozen=True):
    """A value as it was found, and where."""

    value: Any
    source: str
    is_text: bool = False


def load(
    kind: type[T],
    *,
    file: Path | None,
    environ: Mapping[str, str],
    flags: Mapping[str, object],
    prefix: str = "DRIFTGATE_",
    reserved: frozenset[str] = frozenset(),
) -> Loaded[T]:
    """The settings of this kind from all four sources; SettingsError names the first that cannot be honoured.

    Flags whose value is None were not given. `reserved` names variables with the prefix that are no settings.
    """
    known = {setting.name: setting for setting in fields(kind)}
    if len({setting.variable(prefix) for setting in known.values()}) < len(known):
        raise TypeError(f"{kind.__name__}: two settings would share a variable; rename one")
    given = {
        **(_from_file(file, known) if file is not None else {}),
        **_from_environ(environ, known, prefix, reserved),
        **_from_flags(flags, known),
    }
    sources = {name: given[name].source if name in given else "default" for name in known}
    values = {name: setting.default for name, setting in known.items()}
    values.update((name, _converted(known[name], found)) for name, found in given.items())
    for name, value in values.items():
        if value is REQUIRED:
            raise SettingsError(
                f"{name} is required: set it in the file, or by {known[name].variable(prefix)}"
            )
    return Loaded(_built(kind, values, sources, ""), sources)


def _converted(setting: Setting, found: _Given) -> Any:
    """The value as its setting's type; FlagError where a flag of the command line gave another."""
    try:
        return convert(setting, found.value, found.source, is_text=found.is_text)
    except SettingsError as error:
        if found.source.startswith(_FLAG):
            raise FlagError(str(error)) from error
        raise


def _from_file(file: Path, known: Mapping[str, Setting]) -> dict[str, _Given]:
    source, content = f"file {file}", b""
    try:
        content = file.read_bytes()
        doubt = marks.doubt(content)
        document = msgspec.yaml.decode(content) if content.strip() else None
    except OSError as error:
        refused = isinstance(error, PermissionError)
        remedy = f"let the user of this program (uid {os.geteuid()}) read it" if refused else "check the path"
        raise SettingsError(f"{source}: cannot be read: {error.strerror}; {remedy}") from error
    except marks.UNREADABLE as error:
        told = marks.unreadable(error, content)
        raise SettingsError(f"{source}: wanted YAML, found {told}; correct it there") from error
    if doubt is not None:
        raise SettingsError(f"{source}: {doubt}")
    groups = {name.rsplit(".", depth)[0] for name in known for depth in range(1, name.count(".") + 1)}
    return dict(_flat(document, "", groups, known, source))


def _flat(
    document: Any,
    above: str,
    groups: set[str],
    known: Mapping[str, Setting],
    source: str,
) -> Iterator[tuple[str, _Given]]:
    """The settings in a nested mapping; a group left empty sets nothing."""
    if document is None:
        return
    if not isinstance(document, dict):
        what = above.rstrip(".") or "the whole file"
        raise SettingsError(
            f"{source}: {what}: wanted a mapping of settings, found {document!r}{_meant(above, known)}"
        )
    for key, value in document.items():
        name = f"{above}{key}"
        if name in known:
            yield name, _Given(value, source)
        elif name in groups:
            yield from _flat(value, f"{name}.", groups, known, source)
        else:
            meant = groups if isinstance(value, dict) else known
            raise SettingsError(f"{source}: unknown setting {name}{_nearest(name, meant or known)}")


def _from_environ(
    environ: Mapping[str, str],
    known: Mapping[str, Setting],
    prefix: str,
    reserved: frozenset[str],
) -> dict[str, _Given]:
    variables = {setting.variable(prefix): name for name, setting in known.items()}
    found = {}
    for variable in sorted(environ):
        if not variable.startswith(prefix) or variable in reserved:
            continue
        if variable not in variables:
            known_names = [*variables, *reserved]
            raise SettingsError(f"variable {variable}: unknown setting{_nearest(variable, known_names)}")
        found[variables[variable]] = _Given(environ[variable], f"variable {variable}", is_text=True)
    return found


def _from_flags(flags: Mapping[str, object], known: Mapping[str, Setting]) -> dict[str, _Given]:
    found = {}
    for name, value in flags.items():
        if name not in known:
            raise SettingsError(f"flag {name}: unknown setting{_nearest(name, known)}")
        if value is not None:
            flag = name.replace(".", "-").replace("_", "-")
            found[name] = _Given(value, f"{_FLAG}{flag}", is_text=isinstance(value, str))
    return found


def _built(kind: type[T], values: Mapping[str, Any], sources: Mapping[str, str], above: str) -> T:
    """The struct with these values; what its own checks refuse is told with the sources of its values."""
    annotations = typing.get_type_hints(kind, include_extras=True)
    parts: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        group = group_of(annotations[field.name])
        name = f"{above}{field.name}"
        parts[field.name] = values[name] if group is None else _built(group, values, sources, f"{name}.")
    try:
        return kind(**parts)
    except (TypeError, ValueError) as error:
        origins = sorted(
            {sources[f"{above}{part}"] for part in parts if f"{above}{part}" in sources} - {"default"}
        )
        where = above.rstrip(".") or "settings"
        raise SettingsError(f"{where} ({', '.join(origins) or 'defaults'}): {one_line(error)}") from error


def _meant(above: str, known: Iterable[str]) -> str:
    """What was probably meant by a value for a whole group: a setting of nearly its name, or one in it."""
    known = list(known)
    close = difflib.get_close_matches(above.rstrip("."), known, n=1, cutoff=_NEAR)
    if close:
        return f"; did you mean {close[0]}?"
    inside = [name.removeprefix(above) for name in known if above and name.startswith(above)]
    return f"; such as {above.rstrip('.')}: {{{inside[0]}: …}}" if inside else ""


def _nearest(name: str, known: Iterable[str]) -> str:
    """A hint at the known name that was probably meant."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.0)
    return f"; the closest known is {close[0]}" if close else ""
