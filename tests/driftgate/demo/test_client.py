"""The demo's client: requests in the protocol, its own counts, labels late but complete."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import msgspec

from driftgate.demo.client import (
    BIN_SECONDS,
    MOST_LABELS,
    Client,
    Counts,
    Pace,
    Tally,
    encode,
    predicted_labels,
)
from driftgate.demo.world import BEFORE, COLUMNS, Stream
from tests.facts import until

Answer = Callable[[httpx.Request], httpx.Response]


class Gateway:
    """A gateway that answers everything with 0, and keeps what it is told."""

    def __init__(self) -> None:
        self.rows = 0
        self.labels: list[dict[str, Any]] = []
        self.refuse_labels = 0

    def answer(self, request: httpx.Request) -> httpx.Response:
        """One answer."""
        document = msgspec.json.decode(request.content)
        if request.url.path.endswith("/labels"):
            if self.refuse_labels:
                self.refuse_labels -= 1
                return httpx.Response(503, json={"error": "no room"})
            self.labels += document["labels"]
            return httpx.Response(202, json={"accepted": len(document["labels"])})
        rows = document["inputs"][0]["shape"][0]
        self.rows += rows
        body = {
            "model_version": "1",
            "parameters": {"prediction_id": f"{self.rows:032x}", "arm": "stable"},
            "outputs": [{"name": "label", "datatype": "INT64", "data": [0] * rows}],
        }
        return httpx.Response(200, json=body)


def client(answer: Answer) -> Client:
    """A fast client of this gateway."""
    return Client(
        "http://gateway",
        "loans",
        Stream(BEFORE, 1),
        seed=1,
        pace=Pace(rate=200, connections=2),
        transport=httpx.MockTransport(answer),
    )


async def run_until(made: Client, enough: Callable[[], bool]) -> None:
    """Run a client until enough has happened."""
    running = asyncio.create_task(made.run())
    await until(enough, "enough has happened")
    made.stop()
    await running


def test_a_request_has_one_input_per_column() -> None:
    """Each column is a tensor [rows, 1] of its datatype."""
    document = msgspec.json.decode(encode(Stream(BEFORE, 1).take(3)))
    assert [tensor["name"] for tensor in document["inputs"]] == list(COLUMNS)
    assert {tuple(tensor["shape"]) for tensor in document["inputs"]} == {(3, 1)}
    assert {tensor["name"]: tensor["datatype"] for tensor in document["inputs"]}["car"] == "BYTES"


def test_the_predicted_classes_are_the_output_of_whole_numbers() -> None:
    """Probabilities are not taken for classes."""
    outputs = [{"datatype": "FP32", "data": [0.2]}, {"datatype": "INT64", "data": [1]}]
    assert predicted_labels({"outputs": outputs}) == [1]


async def test_it_counts_what_it_sent_and_labels_everything_it_was_answered() -> None:
    """After the stop every answer is counted and every row has its label, exactly once."""
    gateway = Gateway()
    made = client(gateway.answer)
    await run_until(made, lambda: made.counts.answered >= 20)
    assert made.counts.sent == made.counts.answered
    assert made.counts.rows == gateway.rows == len(gateway.labels) == made.counts.labels
    assert len({(label["id"], label["row"]) for label in gateway.labels}) == gateway.rows


async def test_labels_that_found_no_room_are_sent_again() -> None:
    """A 503 is no loss."""
    gateway = Gateway()
    gateway.refuse_labels = 2
    made = client(gateway.answer)
    await run_until(made, lambda: made.counts.answered >= 20)
    assert made.counts.label_retries == 2
    assert len(gateway.labels) == gateway.rows


async def test_withheld_labels_are_never_sent() -> None:
    """The sabotage is complete."""
    gateway = Gateway()
    made = client(gateway.answer)
    made.withhold_labels()
    await run_until(made, lambda: made.counts.answered >= 5)
    assert gateway.labels == []


async def test_a_failure_is_counted_and_its_first_reason_kept() -> None:
    """An error status and a broken connection both count as failed."""

    def answer(request: httpx.Request) -> httpx.Response:
        if made.counts.failed:
            raise httpx.ConnectError("gone", request=request)
        return httpx.Response(503, json={"error": "stopping"})

    made = client(answer)
    await run_until(made, lambda: made.counts.failed >= 3)
    assert made.counts.first_failure == '503: {"error":"stopping"}'
    assert made.counts.answered == 0


def test_accuracy_is_of_a_span_and_of_a_version() -> None:
    """Bins outside the span, and other versions, do not count; without rows there is none."""
    counts = Counts()
    counts.bins[0, "1", "stable"] = Tally(requests=1, rows=4, right=4)
    counts.bins[1, "1", "stable"] = Tally(requests=1, rows=4, right=2)
    counts.bins[1, "2", "candidate"] = Tally(requests=1, rows=2, right=2)
    assert counts.accuracy(0, 2 * BIN_SECONDS) == 0.8
    assert counts.accuracy(BIN_SECONDS, 2 * BIN_SECONDS, "1") == 0.5
    assert counts.accuracy(9, 10) is None
    assert counts.rows_between(0, 2 * BIN_SECONDS, "2") == 2
    assert counts.by_version()["1"].rows == 8


def test_a_batch_of_labels_is_one_that_the_gateway_takes() -> None:
    """The gateway takes a thousand at once."""
    assert MOST_LABELS <= 1000
