"""Requests from several processes are one stream: one rate, the same windows, counted together."""

import ctypes
import multiprocessing
import socket
import time

import pytest

from loadtests.arrivals import Arrivals
from loadtests.bench.generator import request_bytes
from loadtests.spread import Spread
from loadtests.stream import LEAD_NS, Order, Stream
from tests.loadtests.stub import Stub


def order(rate: float, at: int = 0, patience: float = 10.0) -> Order:
    """A second in two windows."""
    return Order(rate, 1.0, 0.5, at, patience)


@pytest.mark.system
def test_two_processes_send_one_stream_and_can_be_told_again() -> None:
    """Each run has its own rate, shared by both; all is answered and in the window of its due time."""
    with Stub(closes_after=10_000) as stub, Stream(stub.url, request_bytes(stub.url, b"", {}), 2) as stream:
        for rate in (400.0, 200.0):
            stream.begin(order(rate, time.perf_counter_ns() + LEAD_NS))
            report = stream.end()
            assert len(report.windows) == 2
            assert 0.6 * rate < sum(window.done for window in report.windows) < 1.4 * rate
            assert sum(window.bad for window in report.windows) == 0
            assert report.busiest > 0


@pytest.mark.system
def test_a_rate_follows_the_speed_that_it_is_told() -> None:
    """What the shared number says is what the rate is multiplied by, in every process."""
    half = multiprocessing.get_context("spawn").RawValue(ctypes.c_double, 0.5)
    with (
        Stub(closes_after=10_000) as stub,
        Stream(stub.url, request_bytes(stub.url, b"", {}), 2, half) as stream,
    ):
        stream.begin(order(800.0, time.perf_counter_ns() + LEAD_NS))
        done = sum(window.done for window in stream.end().windows)
    assert 240 < done < 560


def test_a_run_that_nobody_answers_is_given_up() -> None:
    """When requests have waited too long for a connection, those that wait count as bad and the run ends."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}/x"
        arrivals = Arrivals(
            url, request_bytes(url, b"", {}), rate=400, window=60.0, into=Spread, connections=2, drain=0.1
        )
        (window,) = arrivals.run(60.0, patience=0.2)
    assert window.done == 0
    assert window.bad > 0
