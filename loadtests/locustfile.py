"""Callers for locust: predictions with rows of the pushed reference, their labels later, and a canary.

Started by `python -m loadtests`, which says through the variable LOAD_PLAN where everything is. Locust is a
closed loop: a caller waits for its answer before it asks again, so a stall is felt once by each caller and
hides every request that would have come meanwhile. `python -m loadtests.open_loop` is the one for latency.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter, deque
from pathlib import Path
from typing import Any, Final

import gevent
import msgspec
from locust import FastHttpUser, between, events, task
from locust.env import Environment

from loadtests import canary
from loadtests.criteria import p99
from loadtests.plan import Facts, Plan
from loadtests.subject import MODEL, Reference

PLAN: Final = msgspec.json.decode(os.environ["LOAD_PLAN"], type=Plan)
REFERENCE: Final = Reference.read(Path(PLAN.reference))
FACTS: Final = Facts()
LATENCIES: Final[dict[str, list[float]]] = {}
"""Milliseconds of every request, by its name."""
JSON: Final = {"Content-Type": "application/json"}
OK: Final = 200
ACCEPTED: Final = 202
MOST_ROWS: Final = 4
LABEL_DELAY: Final = (1.0, 4.0)
MOST_LABELS: Final = 500


class Caller(FastHttpUser):
    """One client: some predictions a second, and a batch of labels now and then."""

    # Not all at once: fifty callers in step would be measured waiting for each other.
    wait_time = between(0.5 * PLAN.pace, 1.5 * PLAN.pace)
    connection_timeout = 10.0
    network_timeout = 10.0

    def on_start(self) -> None:
        """A memory of one's own for what has to be labelled."""
        self.late: deque[tuple[float, str, list[int]]] = deque()
        self.random = random.Random()

    @task(12)
    def predict(self) -> None:
        """Ask for one to four rows and see that as many come back."""
        count = self.random.randint(1, MOST_ROWS) if PLAN.canary else 1
        first = self.random.randrange(len(REFERENCE.rows) - count)
        began = time.monotonic()
        with self.client.post(
            f"/v2/models/{MODEL}/infer",
            data=REFERENCE.body(first, count).decode(),
            headers=JSON,
            name="predict",
            catch_response=True,
        ) as answer:
            if answer.status_code != OK:
                answer.failure(f"{answer.status_code}: {(answer.text or '')[:200]}")
                return
            said = json.loads(answer.content)
            if any(output["shape"][0] != count for output in said["outputs"]):
                answer.failure(f"{count} rows were sent, {said['outputs']} came back")
                return
        self.remember(said, REFERENCE.labels[first : first + count].tolist(), began)

    @task(1)
    def label(self) -> None:
        """Send the labels that are due."""
        due: list[dict[str, Any]] = []
        while self.late and self.late[0][0] <= time.monotonic() and len(due) < MOST_LABELS:
            _, prediction, labels = self.late.popleft()
            due += [{"id": prediction, "row": row, "value": value} for row, value in enumerate(labels)]
        if not (due and PLAN.canary):
            return
        with self.client.post(
            f"/v2/models/{MODEL}/labels", json={"labels": due}, name="label", catch_response=True
        ) as answer:
            if answer.status_code != ACCEPTED:
                answer.failure(f"{answer.status_code}: {(answer.text or '')[:200]}")
                return
        FACTS.labels += len(due)

    def remember(self, said: dict[str, Any], labels: list[int], began: float) -> None:
        """Count an answer, and put its labels aside for later."""
        arm = said["parameters"]["arm"]
        FACTS.arms[arm] = FACTS.arms.get(arm, 0) + 1
        FACTS.rows += len(labels)
        if arm == "candidate" and FACTS.aborted and began > FACTS.aborted:
            FACTS.strays += 1
        due = time.monotonic() + self.random.uniform(*LABEL_DELAY)
        self.late.append((due, said["parameters"]["prediction_id"], labels))


def fly() -> None:
    """Start the canary after a quarter of the time, turn it up at a half, roll it back at three quarters."""
    quarter = PLAN.seconds / 4
    gevent.sleep(quarter)
    FACTS.moves.append(canary.start(PLAN.operator, 10))
    gevent.sleep(quarter)
    FACTS.moves.append(canary.turn(PLAN.operator, 50))
    gevent.sleep(quarter)
    FACTS.moves.append(canary.abort(PLAN.operator))
    FACTS.aborted = time.monotonic()


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def begin(environment: Environment, **_: Any) -> None:
    """Let the canary fly beside the callers; it is no user and stands in no statistic."""
    del environment
    if PLAN.canary:
        gevent.spawn(fly).link_exception(lambda flight: FACTS.faults.append(repr(flight.exception)))


@events.request.add_listener  # type: ignore[untyped-decorator]
def time_it(name: str, response_time: float, **_: Any) -> None:
    """Keep each latency as it was: locust's own statistics are of whole milliseconds."""
    LATENCIES.setdefault(name, []).append(response_time)


@events.quitting.add_listener  # type: ignore[untyped-decorator]
def tell(environment: Environment, **_: Any) -> None:
    """Leave behind what was counted, and locust's own counts beside it."""
    for (name, _method), entry in environment.stats.entries.items():
        FACTS.requests[name] = entry.num_requests
        FACTS.failures[name] = entry.num_failures
        FACTS.p99_ms[name] = p99(LATENCIES.get(name, ()))
    FACTS.codes = dict(Counter(str(error.error)[:80] for error in environment.stats.errors.values()))
    Path(PLAN.facts).write_bytes(msgspec.json.encode(FACTS))
