"""The promise of the log: kill anything between any two steps; no row is lost or doubled."""

import os
import shutil
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.counts import count
from tests.prediction_log import journey
from tests.prediction_log.journey import Monitor, Worker

_FAST = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108  only the tests' speed
_pick = st.integers(0, 1_000)


class Journey(RuleBasedStateMachine):
    """Workers answer, flush and die; supervisors recover and die; a monitor reads and dies."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="journey-", dir=_FAST))
        self.live: list[Worker] = []
        self.dead: list[int] = []
        self.answered: dict[int, list[int]] = {}
        self.lost = 0
        self.tokens = 0
        self.incarnations = 0
        self.boots = 0
        self.segment_bytes = 1
        self.monitor = Monitor(self.folder)

    @initialize(segment_bytes=st.sampled_from([1, 44_000]))
    def two_workers(self, segment_bytes: int) -> None:
        """Two workers share the log from the start; it rotates with every frame, or after several."""
        self.segment_bytes = segment_bytes
        self.start()
        self.start()

    @rule()
    def start(self) -> None:
        """A worker starts under a new incarnation."""
        if len(self.live) < 3:
            self.incarnations += 1
            self.answered[self.incarnations] = []
            self.live.append(Worker(self.folder, self.incarnations, self.segment_bytes))

    @precondition(lambda self: self.live)
    @rule(pick=_pick, sizes=st.lists(st.integers(1, journey.CAPACITY + 1), min_size=1, max_size=4))
    def answer(self, pick: int, sizes: list[int]) -> None:
        """Requests of some rows are answered; where there is no room their rows are lost, and counted."""
        worker = self.worker(pick)
        for size in sizes:
            if worker.answer(self.tokens, size):
                self.answered[worker.incarnation] += range(self.tokens, self.tokens + size)
            else:
                self.lost += size
            self.tokens += size

    @precondition(lambda self: self.live)
    @rule(pick=_pick, size=st.integers(1, 3))
    def sample_out(self, pick: int, size: int) -> None:
        """A request that sampling left out uses up sequence numbers."""
        self.worker(pick).file.skip(size)

    @precondition(lambda self: self.live)
    @rule(pick=_pick, steps=st.integers(1, 4))
    def flush(self, pick: int, steps: int) -> None:
        """A flush: swap, take, write, release; or only its first steps."""
        worker = self.worker(pick)
        worker.file.swap()
        for step in (worker.take, worker.write, worker.release)[: steps - 1]:
            step()

    @precondition(lambda self: self.live)
    @rule(pick=_pick, step=st.sampled_from(["take", "write", "finish"]))
    def flush_again(self, pick: int, step: str) -> None:
        """A step of a flush by itself, perhaps not for the first time."""
        worker = self.worker(pick)
        match step:
            case "take":
                worker.take()
            case "write":
                worker.write()
            case _:
                worker.write()
                worker.release()

    @precondition(lambda self: self.live)
    @rule(pick=_pick, inside_transaction=st.booleans())
    def kill(self, pick: int, *, inside_transaction: bool) -> None:
        """A worker is killed where it stands, or between inserting its frame and committing."""
        worker = self.live.pop(pick % len(self.live))
        worker.take()
        if inside_transaction and worker.taken is not None:
            journey.insert_and_die(self.folder, worker.taken)
        worker.sink.close()
        self.dead.append(worker.incarnation)

    @precondition(lambda self: self.dead)
    @rule(pick=_pick, frames=st.none() | st.integers(1, 2))
    def recover(self, pick: int, frames: int | None) -> None:
        """The supervisor spools a dead worker's slot, again perhaps; or is killed half-way."""
        incarnation = self.dead[pick % len(self.dead)]
        if frames is None:
            journey.recover(self.folder, incarnation, self.segment_bytes)
        else:
            journey.recover_and_die(self.folder, incarnation, self.segment_bytes, frames)

    @rule(machine=st.booleans())
    def disaster(self, *, machine: bool) -> None:
        """A writer is killed in the middle of a rotation; or the machine restarts."""
        if not machine:
            journey.rotate_and_die(self.folder)
            return
        self.boots += 1
        while self.live:
            self.kill(0, inside_transaction=False)
        writer = journey.sink(self.folder, self.segment_bytes, boot=f"boot {self.boots}")
        writer.sync()
        writer.close()

    @rule(limit=st.integers(1, 4), dies=st.booleans())
    def read(self, limit: int, *, dies: bool) -> None:
        """The monitor counts some frames, and may die before or after its commit; a new one resumes."""
        self.monitor.read(limit, dies_before_commit=dies)
        self.monitor.close()
        self.monitor = Monitor(self.folder)

    @invariant()
    def nothing_is_counted_that_was_not_answered(self) -> None:
        """At any time, what was counted of a worker is the beginning of what it answered, each row once."""
        for incarnation, seen in self.seen().items():
            assert seen == self.answered[incarnation][: len(seen)]

    def teardown(self) -> None:
        """Once everything has settled, every answered row was counted once, in order, and every loss told."""
        try:
            self.settle()
            assert self.seen() == {key: tokens for key, tokens in self.answered.items() if tokens}
            assert self.monitor.lost() == self.lost
            assert journey.tiles(self.folder)
        finally:
            self.monitor.close()
            shutil.rmtree(self.folder)

    def settle(self) -> None:
        """Workers stop or are recovered; the monitor reads to the end."""
        while self.live:
            worker = self.live.pop()
            worker.drain()
            worker.sink.close()
        for incarnation in self.dead:
            journey.recover(self.folder, incarnation, self.segment_bytes)
        while self.monitor.read(3):
            pass

    def worker(self, pick: int) -> Worker:
        """One of the live workers."""
        return self.live[pick % len(self.live)]

    def seen(self) -> dict[int, list[int]]:
        """What the monitor has counted, by incarnation, in its order."""
        found: dict[int, list[int]] = {}
        for incarnation, _, token in self.monitor.seen():
            found.setdefault(incarnation, []).append(token)
        return found


TestNoRowIsLostOrDoubled: Any = Journey.TestCase
TestNoRowIsLostOrDoubled.settings = settings(
    max_examples=count(30, 1_000), stateful_step_count=count(40, 80), deadline=None
)


def walk(machine: Journey, random: Random, steps: int) -> None:
    """Take steps at random, as often as they happen in life; rarer ones than hypothesis would try."""
    for _ in range(steps):
        pick = random.randrange(1000)
        if not machine.live or random.random() < 0.03:
            machine.start()
        elif random.random() < 0.4:
            machine.answer(pick, [random.randint(1, journey.CAPACITY) for _ in range(random.randint(1, 2))])
        elif random.random() < 0.5:
            machine.flush(pick, random.choice([1, 2, 3, 4, 4, 4]))
        elif random.random() < 0.3:
            machine.flush_again(pick, random.choice(["take", "write", "finish"]))
        elif random.random() < 0.2:
            machine.sample_out(pick, 2)
        elif random.random() < 0.15:
            machine.kill(pick, inside_transaction=random.random() < 0.5)
        elif machine.dead and random.random() < 0.2:
            machine.recover(pick, random.choice([None, 1, 2]))
        elif random.random() < 0.1:
            machine.disaster(machine=random.random() < 0.3)
        else:
            machine.read(random.randint(1, 4), dies=random.random() < 0.5)


@pytest.mark.parametrize("seed", range(count(20, 2_000)))
def test_a_long_journey_loses_and_doubles_nothing(seed: int) -> None:
    """The same, over hundreds of steps and many segments."""
    machine = Journey()
    machine.two_workers([1, 44_000, 60_000][seed % 3])
    try:
        walk(machine, Random(seed), 200)
        machine.nothing_is_counted_that_was_not_answered()
    finally:
        machine.teardown()
