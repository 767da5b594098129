"""The open loop: honest about time, readable, and working against the real program."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Self

import pytest

from loadtests import open_loop
from loadtests.arrivals import Arrivals
from loadtests.bench.generator import Tally, request_bytes

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Stub:
    """A server on a thread that answers everything at once, and closes after every so many answers."""

    def __init__(self, closes_after: int) -> None:
        self.url = ""
        self._closes_after = closes_after
        self._loop = asyncio.new_event_loop()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        self._over = asyncio.Event()
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
        self._listening.set()
        await self._over.wait()
        server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for number in _requests(reader):
            writer.write(ANSWER)
            if number == self._closes_after:
                break
        writer.close()


async def _requests(reader: asyncio.StreamReader) -> AsyncIterator[int]:
    number = 0
    while not reader.at_eof():
        try:
            await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return
        number += 1
        yield number


@pytest.fixture
def stub() -> Iterator[Stub]:
    """A server that hardly ever closes."""
    with Stub(closes_after=10_000) as running:
        yield running


def test_no_request_is_sent_before_it_is_due(stub: Stub) -> None:
    """Latency counts from the due time and is therefore never negative, nor 0."""
    windows = Arrivals(stub.url, request_bytes(stub.url, b"", {}), rate=400, window=0.5).run(1.0)
    latencies = [latency for window in windows for latency in window.latencies]
    assert len(windows) == 2
    assert 250 < len(latencies) < 550
    assert min(latencies) > 0
    assert sum(window.bad for window in windows) == 0


def test_a_connection_that_is_closed_is_opened_again() -> None:
    """A server that closes after every fifth answer costs requests on dying connections, not the run."""
    with Stub(closes_after=5) as closing:
        stream = Arrivals(
            closing.url, request_bytes(closing.url, b"", {}), rate=300, window=1.0, connections=4
        )
        (window, *_) = stream.run(1.0)
    assert window.done > 200


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
