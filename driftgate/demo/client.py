"""The demo's client: a bank's front end that asks for predictions and learns later what really happened.

Rules: it keeps its own counts and trusts nobody else's; it sends at a fixed rate over a few connections and
never catches up after a stall, so that a slow machine is asked less instead of more; every prediction it
was given gets its label some moments later, unless labels are withheld. It stops when told to, with every
answer read and every label sent.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

import httpx
import msgspec

from driftgate.demo.world import NUMBERS, Applications, Stream, World
from driftgate.errors import DemoError

MOST_ROWS: Final = 8
LABEL_BATCH_SECONDS: Final = 0.25
LABEL_DELAY: Final = (0.5, 2.0)
BIN_SECONDS: Final = 0.5
OK: Final = 200
ACCEPTED: Final = 202
FULL: Final = 503
MOST_LABELS: Final = 500


class Pace(msgspec.Struct, frozen=True):
    """How hard the client works: requests per second over how many connections."""

    rate: float = 100.0
    connections: int = 8


class Tally(msgspec.Struct):
    """What was counted in one bin of time for one version and arm."""

    requests: int = 0
    rows: int = 0
    right: int = 0


class Counts(msgspec.Struct):
    """Everything the client counted; `bins` by (bin of time, version, arm)."""

    sent: int = 0
    answered: int = 0
    rows: int = 0
    failed: int = 0
    labels: int = 0
    label_retries: int = 0
    first_failure: str = ""
    bins: dict[tuple[int, str, str], Tally] = msgspec.field(default_factory=lambda: defaultdict(Tally))

    def by_version(self) -> dict[str, Tally]:
        """Totals of each version."""
        found: dict[str, Tally] = defaultdict(Tally)
        for (_, version, _), tally in self.bins.items():
            total = found[version]
            total.requests += tally.requests
            total.rows += tally.rows
            total.right += tally.right
        return dict(found)

    def accuracy(self, begin: float, end: float, version: str | None = None) -> float | None:
        """The share of right answers between two times (seconds since the start), or None without any."""
        chosen = self._between(begin, end, version)
        rows = sum(tally.rows for tally in chosen)
        return sum(tally.right for tally in chosen) / rows if rows else None

    def rows_between(self, begin: float, end: float, version: str | None = None) -> int:
        """How many rows that share is of."""
        return sum(tally.rows for tally in self._between(begin, end, version))

    def _between(self, begin: float, end: float, version: str | None) -> list[Tally]:
        low, high = int(begin / BIN_SECONDS), int(end / BIN_SECONDS)
        return [
            tally
            for (place, name, _), tally in self.bins.items()
            if low <= place < high and version in (None, name)
        ]


class Label(msgspec.Struct, frozen=True, order=True):
    """A label that is sent at `due` (seconds, monotonic)."""

    due: float
    prediction_id: str
    row: int
    label: int


class Client:
    """Traffic and labels against one gateway; owned by the demo's event loop."""

    def __init__(
        self,
        url: str,
        model: str,
        stream: Stream,
        *,
        seed: int,
        pace: Pace,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.counts = Counts()
        self.started = time.monotonic()
        self.started_at = time.time()
        self._path = f"/v2/models/{model}/infer"
        self._labels_path = f"/v2/models/{model}/labels"
        self._stream = stream
        self._random = random.Random(seed)  # noqa: S311  a simulation, not a secret
        self._pace = pace
        self._late: list[Label] = []
        self._withheld = False
        self._stopping = asyncio.Event()
        limits = httpx.Limits(max_connections=pace.connections + 2)
        self._http = httpx.AsyncClient(
            base_url=url,
            limits=limits,
            timeout=30.0,
            trust_env=False,
            transport=transport,
        )

    def become(self, world: World) -> None:
        """From the next request on, the world is another."""
        self._stream.become(world)

    def withhold_labels(self) -> None:
        """Send no label from now on."""
        self._withheld = True

    def stop(self) -> None:
        """Send no further request; `run` returns when answers are read and labels are sent."""
        self._stopping.set()

    def now(self) -> float:
        """Seconds since the client was made."""
        return time.monotonic() - self.started

    async def run(self) -> None:
        """Send until `stop`, then what labels are left."""
        async with self._http:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._send_labels())
                for place in range(self._pace.connections):
                    tasks.create_task(self._connection(place))
            self._late = [msgspec.structs.replace(label, due=0.0) for label in self._late]
            while self._late:
                await self._post_labels(list(self._due()))

    async def _connection(self, place: int) -> None:
        """One connection's share of the rate; what a stall missed is never sent afterwards."""
        period = self._pace.connections / self._pace.rate
        due = time.monotonic() + period * place / self._pace.connections
        while not await self._stopped_at(due):
            await self._ask()
            due = max(due + period, time.monotonic())

    async def _stopped_at(self, due: float) -> bool:
        """Wait until `due`, or the stop if that comes first; True when told to stop."""
        try:
            async with asyncio.timeout(max(due - time.monotonic(), 0)):
                await self._stopping.wait()
        except TimeoutError:
            return False
        return True

    async def _ask(self) -> None:
        applications = self._stream.take(self._random.randint(1, MOST_ROWS))
        self.counts.sent += 1
        try:
            answer = await self._http.post(self._path, content=encode(applications))
        except httpx.TransportError as error:
            self._fail(f"{type(error).__name__}: {error}")
            return
        if answer.status_code != OK:
            self._fail(f"{answer.status_code}: {answer.text[:200]}")
            return
        self._learn(applications, answer.json())

    def _learn(self, applications: Applications, answer: Any) -> None:
        """Count the answer, and put its labels aside for later."""
        predicted = predicted_labels(answer)
        said = answer["parameters"]
        tally = self.counts.bins[int(self.now() / BIN_SECONDS), answer["model_version"], said["arm"]]
        tally.requests += 1
        tally.rows += len(applications)
        tally.right += sum(map(int.__eq__, predicted, applications.labels))
        self.counts.answered += 1
        self.counts.rows += len(applications)
        if self._withheld:
            return
        due = time.monotonic() + self._random.uniform(*LABEL_DELAY)
        for row, label in enumerate(applications.labels):
            heapq.heappush(self._late, Label(due, said["prediction_id"], row, label))

    def _fail(self, why: str) -> None:
        self.counts.failed += 1
        self.counts.first_failure = self.counts.first_failure or why

    async def _send_labels(self) -> None:
        """Send what is due, now and then, until the stop."""
        while not await self._stopped_at(time.monotonic() + LABEL_BATCH_SECONDS):
            while batch := list(self._due()):
                await self._post_labels(batch)

    def _due(self) -> Iterator[Label]:
        for _ in range(MOST_LABELS):
            if not self._late or self._late[0].due > time.monotonic():
                return
            yield heapq.heappop(self._late)

    async def _post_labels(self, batch: list[Label]) -> None:
        """Send a batch; where the log has no room now it is kept and sent again."""
        body = {
            "labels": [
                {"id": label.prediction_id, "row": label.row, "value": label.label} for label in batch
            ],
        }
        answer = await self._http.post(self._labels_path, json=body)
        if answer.status_code == ACCEPTED:
            self.counts.labels += len(batch)
        elif answer.status_code == FULL:
            self.counts.label_retries += 1
            for label in batch:
                heapq.heappush(self._late, label)
            await asyncio.sleep(LABEL_BATCH_SECONDS)
        else:
            raise DemoError(f"labels were refused with {answer.status_code}: {answer.text[:200]}")


def encode(applications: Applications) -> bytes:
    """An Open Inference Protocol request: one input per column, each [rows, 1]."""
    rows = len(applications)
    inputs = [
        {
            "name": name,
            "shape": [rows, 1],
            "datatype": "FP32" if name in NUMBERS else "BYTES",
            "data": values,
        }
        for name, values in applications.columns.items()
    ]
    return msgspec.json.encode({"inputs": inputs})


def predicted_labels(answer: Any) -> list[int]:
    """The predicted classes of an answer: its one output of whole numbers."""
    output = next(output for output in answer["outputs"] if output["datatype"] == "INT64")
    return [int(value) for value in output["data"]]
