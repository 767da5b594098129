"""Durations, sizes and percentages as people write them: "2m", "256MiB", "0.5".

Rules: a unit is required where a bare number would be a guess (durations, except 0); sizes without a unit are
bytes; percentages are of a hundred and exact, so that "0.1" is a thousandth and not a neighbour of it.
"""

import re
from fractions import Fraction
from types import MappingProxyType
from typing import Annotated, Final

import msgspec

from groundwork.errors import SettingsError

_NUMBER: Final = r"(\d+(?:\.\d+)?)"
_PART: Final = re.compile(_NUMBER + r"\s*(ms|us|µs|s|m|h|d)\s*")
_SIZE: Final = re.compile(_NUMBER + r"\s*([kKMGT]i?B|B)?")
_PERCENT: Final = re.compile(_NUMBER + r"\s*%?")
_SECONDS: Final = MappingProxyType(
    {
        "us": Fraction(1, 10**6),
        "µs": Fraction(1, 10**6),
        "ms": Fraction(1, 10**3),
        "s": Fraction(1),
        "m": Fraction(60),
        "h": Fraction(3600),
        "d": Fraction(86400),
    }
)
_POWER: Final = MappingProxyType({"B": 0, "K": 1, "M": 2, "G": 3, "T": 4})
_HUNDRED: Final = 100

MIB: Final = 1 << 20
GIB: Final = 1 << 30

Seconds = Annotated[float, msgspec.Meta(extra={"quantity": "duration"})]
"""A setting's type: seconds, 0 or more; people may write "2m". Bounds may be annotated on top."""
Bytes = Annotated[int, msgspec.Meta(extra={"quantity": "bytes"})]
"""A setting's type: bytes, 0 or more; people may write "256MiB". Bounds may be annotated on top."""
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
"""A setting's type: a part of the whole, 0 to 1."""


def parse_duration(text: str) -> float:
    """Seconds in "500ms", "2m", "1h30m", "1.5 s" or "0"; SettingsError for anything else."""
    cleaned = text.strip()
    if cleaned == "0":
        return 0.0
    total, end = Fraction(0), 0
    for part in _PART.finditer(cleaned):
        if part.start() != end:
            break
        total, end = total + Fraction(part[1]) * _SECONDS[part[2]], part.end()
    if not cleaned or end != len(cleaned):
        raise SettingsError(f'wanted a duration such as "500ms", "30s", "2m" or "1h30m", found {text!r}')
    try:
        return float(total)
    except OverflowError:
        raise SettingsError(f"wanted a duration that a clock can tell, found {text:.40}…") from None


def parse_bytes(text: str) -> int:
    """Bytes in "1048576", "64kB" (thousands) or "256MiB" (1024s); SettingsError for anything else."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise SettingsError(f'wanted a size in bytes such as "4096", "64KiB" or "256MB", found {text!r}')
    unit = match[2] or "B"
    size = Fraction(match[1]) * (1024 if "i" in unit else 1000) ** _POWER[unit[0].upper()]
    if size.denominator != 1:
        raise SettingsError(f"wanted a whole number of bytes, found {text!r}, which is {float(size)}")
    return int(size)


def parse_percent(value: str | float) -> Fraction:
    """The exact share of one in "0.5", "5 %" or 12.5 (percent, 0 to 100); SettingsError for anything else."""
    match = _PERCENT.fullmatch(str(value).strip())
    if match is None or Fraction(match[1]) > _HUNDRED:
        raise SettingsError(f'wanted a percentage from 0 to 100 such as "5" or "0.5", found {value!r}')
    return Fraction(match[1]) / _HUNDRED
