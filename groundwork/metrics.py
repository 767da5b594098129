"""Metrics as Prometheus reads them: declared instruments, over the sums that the slots hold.

Rules:
1. An instrument is declared once, as data; only series whose name is a declared instrument are rendered.
2. Series are whole numbers in a unit of their own (microseconds, parts); `scale` brings them to the unit that
   the instrument's name promises (seconds).
3. A series is summed over labels that the instrument does not declare; a declared label it lacks is "".
4. A histogram is a block of cells: one per bucket, one above them, one for the sum. Cells are separate
   counts; adding up from below happens here.

Refuses to know: what is measured. prometheus_client escapes and formats; its multiprocess mode is not used.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal

import msgspec
from prometheus_client import CollectorRegistry, exposition
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from groundwork.counters import RESERVED, Counters, SeriesKey

CONTENT_TYPE: Final = exposition.CONTENT_TYPE_PLAIN_0_0_4
"""What `render` writes."""


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
    """The exposition text of these instruments over these sums, series ordered by their labels."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Sums(tuple(instruments), totals))
    return exposition.generate_latest(registry)


class _Sums(Collector):
    """prometheus_client's view of one reading of the slots."""

    def __init__(self, instruments: Sequence[Instrument], totals: Mapping[SeriesKey, int]) -> None:
        self._instruments = instruments
        self._series: dict[str, list[tuple[dict[str, str], int]]] = {}
        for key, value in totals.items():
            self._series.setdefault(key.name, []).append((dict(key.labels), value))

    def collect(self) -> Iterator[Metric]:
        """One family per instrument, in the order they were declared."""
        for instrument in self._instruments:
            found = self._series.get(instrument.name, [])
            if instrument.kind == "histogram":
                yield _histogram(instrument, found)
            else:
                yield _numbers(instrument, found)


def _numbers(instrument: Instrument, found: list[tuple[dict[str, str], int]]) -> Metric:
    sums: dict[tuple[str, ...], int] = {}
    for labels, value in found:
        key = tuple(labels.get(label, "") for label in instrument.labels)
        sums[key] = sums.get(key, 0) + value
    family: CounterMetricFamily | GaugeMetricFamily
    if instrument.kind == "counter":
        family = CounterMetricFamily(instrument.name, instrument.help, labels=instrument.labels)
    else:
        family = GaugeMetricFamily(instrument.name, instrument.help, labels=instrument.labels)
    for key in sorted(sums):
        family.add_metric(key, _scaled(sums[key], instrument.scale))
    return family


def _histogram(instrument: Instrument, found: list[tuple[dict[str, str], int]]) -> Metric:
    blocks: dict[tuple[str, ...], list[int]] = {}
    for labels, value in found:
        cell = labels.get("le", "")
        if not cell.isdecimal() or int(cell) >= instrument.cells:
            continue
        key = tuple(labels.get(label, "") for label in instrument.labels)
        blocks.setdefault(key, [0] * instrument.cells)[int(cell)] += value
    family = HistogramMetricFamily(instrument.name, instrument.help, labels=instrument.labels)
    edges = [f"{edge * instrument.scale:.12g}" for edge in instrument.buckets] + ["+Inf"]
    for key in sorted(blocks):
        *counts, total = blocks[key]
        below = 0
        cumulative = []
        for edge, count in zip(edges, counts, strict=True):
            below += count
            cumulative.append((edge, float(below)))
        family.add_metric(key, cumulative, sum_value=_scaled(total, instrument.scale))
    return family


def _scaled(value: int, scale: float) -> float:
    """The number in the rendered unit, free of the last digits' noise."""
    return float(value) if scale == 1.0 else float(f"{value * scale:.12g}")
