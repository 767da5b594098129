"""Prometheus text from sums of series."""

import itertools
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from groundwork.counters import Counters
from groundwork.metrics import CONTENT_TYPE, Histogram, Instrument, render
from groundwork.series import SeriesKey
from groundwork.series_table import REFUSED

REQUESTS = Instrument("requests_total", "Requests answered.", labels=("model", "arm"))
DEPTH = Instrument("depth", "Rows that wait.", "gauge")
LATENCY = Instrument("latency_seconds", "Time to answer.", "histogram", ("model",), (250, 1000, 2500), 1e-6)


def key(name: str, kind: str = "counter", **labels: str) -> SeriesKey:
    """The key of a series."""
    return SeriesKey(name, tuple(sorted(labels.items())), kind)


def samples(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What a Prometheus server reads from a text."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_a_page_reads_as_prometheus_writes_it() -> None:
    """Help, type, then series ordered by label; a scaled gauge; a family without series is named."""
    totals = {
        key("requests_total", model="b", arm="stable"): 2,
        key("requests_total", model="a", arm="stable"): 1,
        key("depth", "gauge"): 1500,
    }
    instruments = [REQUESTS, Instrument("depth", "Rows that wait.", "gauge", scale=1e-3), LATENCY]
    assert render(instruments, totals).decode() == (
        "# HELP requests_total Requests answered.\n"
        "# TYPE requests_total counter\n"
        'requests_total{arm="stable",model="a"} 1.0\n'
        'requests_total{arm="stable",model="b"} 2.0\n'
        "# HELP depth Rows that wait.\n"
        "# TYPE depth gauge\n"
        "depth 1.5\n"
        "# HELP latency_seconds Time to answer.\n"
        "# TYPE latency_seconds histogram\n"
    )
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")


def test_only_declared_instruments_are_rendered() -> None:
    """A series that nobody declared stays inside."""
    assert b"secret" not in render([DEPTH], {key("secret_total"): 1, key("depth", "gauge"): 2})


def test_labels_that_are_not_declared_are_summed_over() -> None:
    """Finer series add up to the declared ones, and a label that a series lacks is empty."""
    totals = {
        key("requests_total", model="m", arm="stable", revision="1"): 1,
        key("requests_total", model="m", arm="stable", revision="2"): 10,
        key("requests_total", model="m"): 100,
    }
    assert samples(render([REQUESTS], totals)) == {
        ("requests_total", (("arm", ""), ("model", "m"))): 100,
        ("requests_total", (("arm", "stable"), ("model", "m"))): 11,
    }


def test_a_histogram_adds_up_from_below(tmp_path: Path) -> None:
    """A value counts in the first bucket whose edge it does not exceed; edges and sum are scaled."""
    table = Counters.create(tmp_path / "counters")
    histogram = Histogram(table, LATENCY, {"model": "m"})
    for value in (1, 250, 251, 1000, 2501, 9_999_997):
        histogram.observe(value)
    model = ("model", "m")
    assert samples(render([LATENCY], table.read())) == {
        ("latency_seconds_bucket", (("le", "0.00025"), model)): 2,
        ("latency_seconds_bucket", (("le", "0.001"), model)): 4,
        ("latency_seconds_bucket", (("le", "0.0025"), model)): 4,
        ("latency_seconds_bucket", (("le", "+Inf"), model)): 6,
        ("latency_seconds_count", (model,)): 6,
        ("latency_seconds_sum", (model,)): 10.004,
    }


def test_a_histogram_without_room_hurts_nobody(tmp_path: Path) -> None:
    """Where the table is full, observing changes no series."""
    table = Counters.create(tmp_path / "counters", capacity=3)
    table.series("a", {})
    Histogram(table, LATENCY, {}).observe(7)
    assert table.read() == {key("a"): 0, REFUSED: 1}


@pytest.mark.parametrize(
    ("name", "kind", "buckets"),
    [
        ("requests", "counter", ()),
        ("x_seconds", "histogram", ()),
        ("depth", "gauge", (1,)),
        ("x_seconds", "histogram", (2, 1)),
        ("x_seconds", "histogram", (1, 1)),
        ("x_seconds", "histogram", tuple(range(63))),
    ],
)
def test_an_instrument_that_cannot_work_is_refused(
    name: str, kind: Literal["counter", "gauge", "histogram"], buckets: tuple[int, ...]
) -> None:
    """Names, kinds and edges that do not fit together are the programmer's mistake."""
    with pytest.raises(ValueError, match=f"{name}: "):
        Instrument(name, "help", kind, buckets=buckets)


@given(st.dictionaries(st.text(max_size=8), st.integers(0, 2**53), max_size=4))
def test_any_label_value_survives_the_page(counts: dict[str, int]) -> None:
    """Quotes, backslashes and line breaks are escaped so that a server reads what was counted."""
    # A carriage return would be read back as a line break by the parser's text mode, which is not ours.
    counts = {value: number for value, number in counts.items() if "\r" not in value}
    instrument = Instrument("requests_total", "Requests.", labels=("model",))
    totals = {key("requests_total", model=value): number for value, number in counts.items()}
    expected = {("requests_total", (("model", value),)): number for value, number in counts.items()}
    assert samples(render([instrument], totals)) == expected


LABELS = st.tuples(st.sampled_from(["", "a", "b", 'c"\\', "d\n"]), st.sampled_from(["", "x", "y"]))


@given(
    st.dictionaries(LABELS, st.integers(-(2**40), 2**60), max_size=5),
    st.dictionaries(LABELS, st.lists(st.integers(0, 2**50), min_size=5, max_size=5), max_size=3),
)
def test_the_page_is_prometheus_client_s_to_the_byte(
    numbers: dict[tuple[str, str], int], blocks: dict[tuple[str, str], list[int]]
) -> None:
    """What is written here for speed is what their library writes of the same sums."""
    counter = Instrument("requests_total", "Re\\quests\n.", labels=("model", "arm"), scale=1e-3)
    depth = Instrument("depth", "Depth.", "gauge")
    totals = {key("requests_total", model=model, arm=arm): value for (model, arm), value in numbers.items()}
    wide = replace(LATENCY, labels=("model", "arm"))
    for (model, arm), cells in blocks.items():
        for cell, value in enumerate(cells):
            totals[key("latency_seconds", model=model, arm=arm, le=str(cell))] = value
    instruments = [counter, depth, wide]
    assert render(instruments, totals) == generate_latest(theirs(numbers, blocks, instruments))


def theirs(
    numbers: dict[tuple[str, str], int],
    blocks: dict[tuple[str, str], list[int]],
    instruments: list[Instrument],
) -> CollectorRegistry:
    """The same in prometheus_client's own objects."""
    counter, depth, wide = instruments
    counts = CounterMetricFamily(counter.name, counter.help, labels=counter.labels)
    for labels, value in sorted(numbers.items()):
        counts.add_metric(labels, float(f"{value * counter.scale:.12g}"))
    gauge = GaugeMetricFamily(depth.name, depth.help)
    spread = HistogramMetricFamily(wide.name, wide.help, labels=wide.labels)
    edges = [f"{edge * wide.scale:.12g}" for edge in wide.buckets] + ["+Inf"]
    for labels, (*cells, total) in sorted(blocks.items()):
        below = list(zip(edges, map(float, itertools.accumulate(cells)), strict=True))
        spread.add_metric(labels, below, sum_value=float(f"{total * wide.scale:.12g}"))

    class Kept(Collector):
        def collect(self) -> list[Metric]:
            return [counts, gauge, spread]

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Kept())
    return registry
