"""The open loop: honest about time, readable, and working against the real program."""

from collections.abc import Iterator

import pytest

from loadtests import open_loop
from loadtests.arrivals import Arrivals
from loadtests.bench.generator import Connection, Tally, free_connection, request_bytes
from tests.loadtests.stub import Stub


@pytest.fixture
def stub() -> Iterator[Stub]:
    """A server that hardly ever closes."""
    with Stub(closes_after=10_000) as running:
        yield running


def test_no_request_is_sent_before_it_is_due(stub: Stub) -> None:
    """Latency counts from the due time and is therefore never negative, nor 0."""
    windows = Arrivals(stub.url, request_bytes(stub.url, b"", {}), rate=400, window=0.5, into=Tally).run(1.0)
    latencies = [latency for window in windows for latency in window.latencies]
    assert len(windows) == 2
    assert 250 < len(latencies) < 550
    assert min(latencies) > 0
    assert sum(window.bad for window in windows) == 0


def test_a_connection_that_is_closed_is_opened_again() -> None:
    """A server that closes after every fifth answer costs requests on dying connections, not the run."""
    with Stub(closes_after=5) as closing:
        stream = Arrivals(
            closing.url, request_bytes(closing.url, b"", {}), rate=300, window=1.0, into=Tally, connections=4
        )
        (window, *_) = stream.run(1.0)
    assert window.done > 200


def test_a_connection_that_was_closed_while_idle_is_passed_over() -> None:
    """A benchmark's open loop sends on what is still open, and counts no failure for what is not."""
    closed, still = Connection(lambda *_: None), Connection(lambda *_: None)
    closed.connection_lost(None)
    idle = [still, closed]
    assert free_connection(idle) is still
    assert free_connection(idle) is None


def test_the_histogram_has_a_line_per_doubling() -> None:
    """Bars are scaled to the fullest line, and every latency is in one."""
    lines = open_loop.histogram([1_000_000] * 4 + [3_000_000] * 8 + [40_000_000]).splitlines()
    counts = [int(line.split()[3]) for line in lines]
    assert sum(counts) == 13
    assert max(len(line.rstrip("█")) for line in lines) < len(lines[counts.index(8)])
    assert open_loop.histogram([]) == ""


def test_the_table_says_what_failed() -> None:
    """Counts, rate and latencies stand in the table."""
    text = open_loop.table(Tally(latencies=[2_000_000] * 99, bad=1, seconds=1.0), 100)
    assert "failed      1" in text
    assert "99 %: 2.00" in text


@pytest.mark.system
def test_it_runs_against_the_real_program(capsys: pytest.CaptureFixture[str]) -> None:
    """A few seconds at a low rate: everything is answered, and the exit code says so."""
    assert open_loop.main(["--rate", "50", "--seconds", "2", "--connections", "8"]) == 0
    assert "failed      0" in capsys.readouterr().out
