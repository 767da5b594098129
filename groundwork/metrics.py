"""Metrics as Prometheus reads them: declared instruments, over the sums that the slots hold.

Rules:
1. An instrument is declared once, as data; only series whose name is a declared instrument are rendered.
2. Series are whole numbers in a unit of their own (microseconds, parts); `scale` brings them to the unit that
   the instrument's name promises (seconds).
3. A series is summed over labels that the instrument does not declare; a declared label it lacks is "".
4. A histogram is a block of cells: one per bucket, one above them, one for the sum. Cells are separate
   counts; adding up from below happens here.

Refuses to know: what is measured. The text is prometheus_client's, written faster; its registry and its
multiprocess mode are not used, and importing it would cost every process 40 ms.
"""

import functools
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal

import msgspec

from groundwork.counters import Counters
from groundwork.series import SeriesKey
from groundwork.series_table import RESERVED

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""What `render` writes."""
_LONG: Final = 7
_REMEMBERED: Final = 65_536
_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


class Instrument(msgspec.Struct, frozen=True):
    """One metric: name (of counters ending in `_total`), help line, kind, label names.

    `buckets` are a histogram's upper edges, ascending, in the stored unit; a stored number times `scale` is
    the rendered one. ValueError when the parts do not fit together.
    """

    name: str
    help: str
    kind: Literal["counter", "gauge", "histogram"] = "counter"
    labels: tuple[str, ...] = ()
    buckets: tuple[int, ...] = ()
    scale: float = 1.0

    def __post_init__(self) -> None:
        if (self.kind == "histogram") != bool(self.buckets):
            raise ValueError(
                f"{self.name}: a histogram has buckets and nothing else has, found {self.buckets}"
            )
        if list(self.buckets) != sorted(set(self.buckets)) or self.cells > RESERVED:
            raise ValueError(
                f"{self.name}: wanted at most {RESERVED - 2} ascending edges, found {self.buckets}"
            )
        if self.kind == "counter" and not self.name.endswith("_total"):
            raise ValueError(f"{self.name}: a counter's name ends in _total")

    @property
    def cells(self) -> int:
        """How many cells a histogram's block has: a count per bucket, a count above them, the sum."""
        return len(self.buckets) + 2


class Histogram:
    """One histogram series of a worker: `observe` costs one search and two adds, and waits on nothing."""

    def __init__(self, counters: Counters, instrument: Instrument, labels: Mapping[str, str]) -> None:
        self._values = counters.values
        self._first = counters.block(instrument.name, labels, instrument.cells)
        self._edges = instrument.buckets
        self._sum = self._first + instrument.cells - 1

    def observe(self, value: int) -> None:
        """Count `value`, a whole number in the stored unit."""
        self._values[self._first + bisect_left(self._edges, value)] += 1
        self._values[self._sum] += value


def render(instruments: Iterable[Instrument], totals: Mapping[SeriesKey, int]) -> bytes:
    """The exposition text of these instruments over these sums, series ordered by their labels.

    A few microseconds per line, off the loop. prometheus_client writes the same text at several times the
    cost; a test holds both together.
    """
    found: dict[str, list[tuple[SeriesKey, int]]] = {}
    for key, value in totals.items():
        found.setdefault(key.name, []).append((key, value))
    lines: list[str] = []
    for instrument in instruments:
        told = instrument.help.replace("\\", r"\\").replace("\n", r"\n")
        lines += (f"# HELP {instrument.name} {told}", f"# TYPE {instrument.name} {instrument.kind}")
        series = found.get(instrument.name, ())
        lines += _histogram(instrument, series) if instrument.buckets else _numbers(instrument, series)
    lines.append("")
    return "\n".join(lines).encode()


_Found = Iterable[tuple[SeriesKey, int]]


def _numbers(instrument: Instrument, found: _Found) -> Iterator[str]:
    sums: dict[tuple[str, ...], int] = {}
    for series, value in found:
        key = _values(series.labels, instrument.labels)
        sums[key] = sums.get(key, 0) + value
    for key in sorted(sums):
        labels = _pairs(instrument.labels, key)
        shown = f"{instrument.name}{{{labels}}}" if labels else instrument.name
        yield f"{shown} {go_float(_scaled(sums[key], instrument.scale))}"


def _histogram(instrument: Instrument, found: _Found) -> Iterator[str]:
    blocks: dict[tuple[str, ...], list[int]] = {}
    for series, value in found:
        (cell,) = _values(series.labels, ("le",))
        if not cell.isdecimal() or int(cell) >= instrument.cells:
            continue
        key = _values(series.labels, instrument.labels)
        blocks.setdefault(key, [0] * instrument.cells)[int(cell)] += value
    edges = [f"{edge * instrument.scale:.12g}" for edge in instrument.buckets] + ["+Inf"]
    for key in sorted(blocks):
        *counts, total = blocks[key]
        below = 0
        for edge, count in zip(edges, counts, strict=True):
            below += count
            labels = _pairs((*instrument.labels, "le"), (*key, edge))
            yield f"{instrument.name}_bucket{{{labels}}} {go_float(below)}"
        labels = _pairs(instrument.labels, key)
        shown = f"{{{labels}}}" if labels else ""
        yield f"{instrument.name}_count{shown} {go_float(below)}"
        yield f"{instrument.name}_sum{shown} {go_float(_scaled(total, instrument.scale))}"


@functools.lru_cache(_REMEMBERED)
def _values(labels: tuple[tuple[str, str], ...], wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The values of the wanted labels, "" for one that is not there."""
    given = dict(labels)
    return tuple(given.get(label, "") for label in wanted)


@functools.lru_cache(_REMEMBERED)
def _pairs(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    """Labels as they stand between braces: by name, their values escaped."""
    return ",".join(
        f'{name}="{value.translate(_ESCAPES)}"' for name, value in sorted(zip(names, values, strict=True))
    )


def go_float(value: float) -> str:
    """As Go writes a float, which is what Prometheus' own text has: with an exponent from a million on."""
    shown = repr(float(value))
    whole, point, part = shown.partition(".")
    if not point or value <= 0 or len(whole) < _LONG:
        return shown
    digits = f"{whole[0]}.{whole[1:]}{part}".rstrip("0.")
    return f"{digits}e+{len(whole) - 1:02d}"


def _scaled(value: int, scale: float) -> float:
    """The number in the rendered unit, free of the last digits' noise."""
    return float(value) if scale == 1.0 else float(f"{value * scale:.12g}")
