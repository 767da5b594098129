"""One setting: how it is declared, described in a person's words, and read from what a person wrote.

Rules: a text is read by the type that is wanted, never by what it looks like; a quantity may be written with
its unit, and without one is in the setting's own unit; a number is finite; a secret's value is in no message.
Refuses to know: where values come from and which one wins.
"""

import enum
import math
import re
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin

import msgspec

from groundwork import decoders
from groundwork.errors import SettingsError
from groundwork.quantities import parse_bytes, parse_duration

REQUIRED: Final = msgspec.NODEFAULT
"""The default of a setting that has none."""
_QUANTITIES: Final = types.MappingProxyType({"duration": parse_duration, "bytes": parse_bytes})
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?")
_EXPONENT: Final = re.compile(r"[-+]?\d+[eE][-+]?\d+")
"""A number to everybody but YAML 1.1, which wants a point in it; our own reference page writes 1e+08."""
_WORDS: Final = types.MappingProxyType({"yes": True, "on": True, "no": False, "off": False})
_LISTS: Final = (list, tuple, set, frozenset)
_PLAIN: Final = types.MappingProxyType(
    {
        str: "text",
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        Path: "a path",
        type(None): "nothing",
    }
)
_QUANTITY_NAMES: Final = types.MappingProxyType(
    {"duration": 'a duration such as "30s"', "bytes": 'a size such as "64MiB"'}
)


class Setting(msgspec.Struct, frozen=True):
    """One setting: dotted name, type as text, default (REQUIRED where there is none), and what it is for."""

    name: str
    type: str
    default: Any
    doc: str
    annotation: Any
    extra: Mapping[str, Any]

    @property
    def secret(self) -> bool:
        """Whether its value must not be shown (declared by `Meta(extra={"secret": True})`)."""
        return bool(self.extra.get("secret", False))

    def variable(self, prefix: str) -> str:
        """The environment variable that sets it."""
        return prefix + self.name.replace(".", "_").upper()


def fields(kind: type[msgspec.Struct]) -> list[Setting]:
    """Every setting of this kind, in the order of declaration; for reference pages and `--help`."""
    return list(_fields(kind, "", None))


def value_of(settings: msgspec.Struct, name: str) -> Any:
    """The value of a dotted setting."""
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


def differences(old: msgspec.Struct, new: msgspec.Struct) -> list[str]:
    """The names of all settings in which two of a kind differ, in the order of declaration."""
    names = [setting.name for setting in fields(type(old))]
    return [name for name in names if value_of(old, name) != value_of(new, name)]


def _fields(kind: type[msgspec.Struct], above: str, instance: Any) -> Iterator[Setting]:
    """The settings below `above`; `instance` is the group's default value, where it is declared with one."""
    annotations = typing.get_type_hints(kind, include_extras=True)
    for field in msgspec.structs.fields(kind):
        annotation = annotations[field.name]
        factory = field.default_factory
        default = field.default if factory is msgspec.NODEFAULT else factory()
        default = default if instance is None else getattr(instance, field.name)
        group = group_of(annotation)
        if group is not None:
            yield from _fields(group, f"{above}{field.name}.", None if default is REQUIRED else default)
            continue
        metas = list(_metas(annotation))
        yield Setting(
            name=f"{above}{field.name}",
            type=_described(annotation),
            default=default,
            doc=next((meta.description for meta in reversed(metas) if meta.description), ""),
            annotation=annotation,
            extra={key: value for meta in metas for key, value in (meta.extra or {}).items()},
        )


def group_of(annotation: Any) -> type[msgspec.Struct] | None:
    """The struct whose fields are settings of their own, where the annotation is one."""
    bare = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    return bare if isinstance(bare, type) and issubclass(bare, msgspec.Struct) else None


def _metas(annotation: Any) -> Iterator[msgspec.Meta]:
    """What is annotated to a type or to one of its alternatives, from the inside out."""
    if get_origin(annotation) is Annotated:
        yield from _metas(get_args(annotation)[0])
        yield from (meta for meta in get_args(annotation)[1:] if isinstance(meta, msgspec.Meta))
    elif get_origin(annotation) in {types.UnionType, typing.Union}:
        for choice in get_args(annotation):
            yield from _metas(choice)


def convert(setting: Setting, found: Any, source: str, *, is_text: bool) -> Any:
    """What was found, as the setting's type; `is_text` says that all values of this source are texts.

    SettingsError names the setting, the source, what was wanted and what was found.
    """
    try:
        value = _read(setting, found, is_text=is_text)
        value = decoders.converted(value, setting.annotation, strict=not is_text, dec_hook=_custom)
        _check_number(setting, value)
    except (msgspec.ValidationError, msgspec.DecodeError, SettingsError) as error:
        wanted = f"{setting.name} ({source}): wanted {setting.type}, found"
        if setting.secret:
            raise SettingsError(f"{wanted} a secret that is not shown here") from None
        why = "" if _is_said(setting, error) else f" ({one_line(error)})"
        raise SettingsError(f"{wanted} {found!r}{why}") from error
    return value


def _is_said(setting: Setting, error: Exception) -> bool:
    """Whether the type, which is told anyway, tells why it was refused: a bound, or how it is written."""
    if isinstance(error, SettingsError):
        return str(error).startswith("wanted ")
    return "quantity" not in setting.extra and {*_choices(setting.annotation)} <= {*_PLAIN}


def _check_number(setting: Setting, value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise SettingsError("a number must be finite")
    if "quantity" in setting.extra and isinstance(value, int | float) and value < 0:
        raise SettingsError("it cannot be less than 0")


def _read(setting: Setting, value: Any, *, is_text: bool) -> Any:
    """What a text says, before its type is checked; other values pass."""
    quantity = setting.extra.get("quantity")
    if not isinstance(value, str):
        return value
    if quantity is not None and value.strip():
        is_bare = quantity == "duration" and _NUMBER.fullmatch(value.strip())
        return float(value) if is_bare else _QUANTITIES[quantity](value)
    choices = _choices(setting.annotation)
    if not is_text:
        return float(value) if float in choices and _EXPONENT.fullmatch(value) else value
    if not value and type(None) in choices:
        return None
    if bool in choices and value.lower() in _WORDS:
        return _WORDS[value.lower()]
    return _parts(value, choices)


def _parts(value: str, choices: tuple[Any, ...]) -> Any:
    """A text for a list or a mapping: JSON where it looks like it, else separated by commas."""
    kinds = {get_origin(choice) or choice for choice in choices}
    if kinds <= {*_PLAIN, Literal}:
        return value
    if value.lstrip()[:1] in {"[", "{"}:
        return msgspec.json.decode(value)
    if kinds & {*_LISTS}:
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _choices(annotation: Any) -> tuple[Any, ...]:
    """The alternatives of a type, without what is annotated to it."""
    bare = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    if get_origin(bare) in {types.UnionType, typing.Union}:
        return tuple(part for choice in get_args(bare) for part in _choices(choice))
    return (bare,)


def _described(annotation: Any) -> str:
    """The type in a person's words."""
    if get_origin(annotation) is Annotated:
        extras = (meta.extra or {} for meta in _metas(annotation))
        quantity = next((extra["quantity"] for extra in extras if "quantity" in extra), "")
        bounds = "".join(map(_bounds, get_args(annotation)[1:]))
        return _QUANTITY_NAMES.get(quantity) or f"{_described(get_args(annotation)[0])}{bounds}"
    if get_origin(annotation) in {types.UnionType, typing.Union}:
        return " or ".join(_described(choice) for choice in get_args(annotation))
    return _described_one(annotation)


def _bounds(meta: Any) -> str:
    """The numbers that a type takes, as far as it says."""
    if not isinstance(meta, msgspec.Meta):
        return ""
    if meta.ge is not None and meta.le is not None:
        return f" from {meta.ge} to {meta.le}"
    said = (("of at least", meta.ge), ("above", meta.gt), ("of at most", meta.le), ("below", meta.lt))
    return "".join(f" {word} {bound}" for word, bound in said if bound is not None)


def _described_one(bare: Any) -> str:
    if get_origin(bare) is Literal:
        return f"one of {', '.join(map(str, get_args(bare)))}"
    if get_origin(bare) is dict:
        return f"a mapping from {_described(get_args(bare)[0])} to {_described(get_args(bare)[1])}"
    if get_origin(bare) in _LISTS:
        return f"a list of {_described(get_args(bare)[0])}"
    if group_of(bare) is not None:
        parts = (f"{part.name}: {part.type.removesuffix(' or nothing')}" for part in fields(bare))
        return f"options ({'; '.join(parts)})"
    if isinstance(bare, type) and issubclass(bare, enum.Enum):
        return f"one of {', '.join(str(member.value) for member in bare)}"
    return _PLAIN.get(bare) or str(getattr(bare, "__name__", bare))


def _custom(kind: type, value: Any) -> Any:
    """Types that msgspec leaves to us: a path is written as text."""
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    raise msgspec.ValidationError(f"no {kind.__name__} can be made of it")


def one_line(error: Exception) -> str:
    """An error's text without its line breaks."""
    return " ".join(str(error).split())
