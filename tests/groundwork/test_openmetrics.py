"""The page of metrics as OpenMetrics."""

from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from gateway import metrics as gateway_metrics
from groundwork.metrics import CONTENT_TYPE, Instrument, render
from groundwork.openmetrics import OPEN_CONTENT_TYPE, open_page, shown, wants_open
from groundwork.series import SeriesKey
from monitor import access
from monitor import metrics as monitor_metrics

PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PAGES = {
    "gateway": gateway_metrics.INSTRUMENTS,
    "monitor": (*monitor_metrics.INSTRUMENTS, *access.INSTRUMENTS),
}
read_open: Callable[[str], Iterable[Metric]] = openmetrics.text_string_to_metric_families
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (PROMETHEUS, True),
        ("application/openmetrics-text", True),
        ("Application/OpenMetrics-Text; version=1.0.0; charset=utf-8", True),
        ("application/openmetrics-text, text/plain", True),
        ("text/plain, application/openmetrics-text;q=0.9", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=much", False),
        ("text/plain;version=0.0.4", False),
        ("text/html,*/*", False),
        ("*/*", False),
        ("", False),
        (";,;=,", False),
    ],
)
def test_a_scraper_chooses(accept: str, *, wanted: bool) -> None:
    """OpenMetrics is for whoever names it and likes Prometheus' text no better."""
    assert wants_open(accept) is wanted
    assert shown(b"", accept)[1] == (OPEN_CONTENT_TYPE if wanted else CONTENT_TYPE)


def test_the_page_says_what_openmetrics_asks_for() -> None:
    """A counter's family has no `_total`, quotes are escaped, edges are floats, the end is told."""
    instruments = [
        Instrument("rows_total", 'All "rows".', labels=("model",)),
        Instrument("runs_seconds", "Runs.", "histogram", (), (500_000, 1_000_000), 1e-6),
    ]
    cells = {SeriesKey("runs_seconds", (("le", str(cell)),), "histogram"): 1 for cell in range(4)}
    totals = {SeriesKey("rows_total", (("model", 'le="1"'),), "counter"): 2, **cells}
    assert open_page(render(instruments, totals)).decode() == (
        '# HELP rows All \\"rows\\".\n'
        "# TYPE rows counter\n"
        'rows_total{model="le=\\"1\\""} 2.0\n'
        "# HELP runs_seconds Runs.\n"
        "# TYPE runs_seconds histogram\n"
        'runs_seconds_bucket{le="0.5"} 1.0\n'
        'runs_seconds_bucket{le="1.0"} 2.0\n'
        'runs_seconds_bucket{le="+Inf"} 3.0\n'
        "runs_seconds_count 3.0\n"
        "runs_seconds_sum 1e-06\n"
        "# EOF\n"
    )


@pytest.mark.parametrize("program", PAGES)
@given(value=st.text(st.characters(codec="utf-8"), max_size=20), number=st.integers(0, 2**50))
@settings(max_examples=20)
def test_both_forms_say_the_same_of_every_instrument(program: str, value: str, number: int) -> None:
    """Readers of either find the same samples, whatever a label says."""
    totals, instruments = {}, PAGES[program]
    for one in instruments:
        labels = dict.fromkeys(one.labels, value)
        for cell in range(one.cells) if one.buckets else (None,):
            placed = labels if cell is None else {**labels, "le": str(cell)}
            totals[SeriesKey(one.name, tuple(sorted(placed.items())), one.kind)] = number
    page = render(instruments, totals)
    plain, opened = Samples(), Samples()
    for found, families in (
        (plain, text_string_to_metric_families(page.decode())),
        (opened, read_open(open_page(page).decode())),
    ):
        for family in families:
            for sample in family.samples:
                edge = {"le": str(float(sample.labels["le"]))} if "le" in sample.labels else {}
                found[sample.name, tuple(sorted({**sample.labels, **edge}.items()))] = sample.value
    assert opened == plain
    assert len(opened) >= len(instruments)
