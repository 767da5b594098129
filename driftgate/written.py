"""Settings as people write them: durations and sizes in the largest whole unit, secrets covered."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from groundwork.settings import REQUIRED, Setting

SECRET_KEYS: Final = frozenset({"secret", "previous_secret"})
UNITS: Final[Mapping[str, Mapping[str, float]]] = {
    "duration": {"d": 86_400, "h": 3600, "m": 60, "s": 1, "ms": 0.001, "µs": 1e-6},
    "bytes": {"GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10},
}
"""The units of each quantity, largest first."""


def shown(value: Any) -> Any:
    """The value as plain data; a secret that stands in it literally is not shown."""
    return _covered(msgspec.to_builtins(value, enc_hook=str))


def written(setting: Setting, value: Any) -> str:
    """A value (plain data) as one would write it in the file."""
    if value is REQUIRED:
        return "required"
    units = UNITS.get(setting.extra.get("quantity", ""))
    if units is not None and isinstance(value, int | float):
        return quantity(value, units)
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, str):
        return value or '""'
    return msgspec.json.encode(value).decode()


def quantity(value: float, units: Mapping[str, float]) -> str:
    """The value (seconds, bytes: those of UNITS) in the largest unit that it is a whole number of."""
    for unit, size in units.items():
        if value >= size and math.isclose(value / size, round(value / size)):
            return f"{value / size:.0f}{unit}"
    return f"{value:g}"


def _covered(value: Any) -> Any:
    if isinstance(value, dict):
        return dict(_pairs(value))
    if isinstance(value, list | tuple):
        return [_covered(part) for part in value]
    return value


def _pairs(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in document.items():
        literal = key in SECRET_KEYS and isinstance(value, str) and value.startswith("whsec_")
        yield key, "(not shown)" if literal else _covered(value)
