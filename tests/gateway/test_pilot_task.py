"""The pilot: who looks, what is kept, which edits follow."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.pilot_task import Pilot
from groundwork.clock import FakeClock
from groundwork.errors import NoRoomError
from groundwork.logs import Log
from groundwork.slots import Slot
from rollouts import spec_file, verbs
from rollouts.evidence import EVIDENCE_ERRORS, EVIDENCE_REQUESTS
from rollouts.history import Entry
from rollouts.route import Route
from rollouts.store import SqliteStore

HOLD = {"for": "10s", "samples": 100}
SPEC = {
    "steps": [{"weight": 20, "hold": HOLD}, {"weight": 60, "hold": HOLD | {"until": "pass"}}],
    "metrics": [{"name": "error-rate"}],
    "bake": {"for": "60s"},
    "guards": {"max_exposed_errors": 50},
}


class FullStore(SqliteStore):
    """A store on a disk without room for leases and checkpoints; aborts have the ballast."""

    def lease(self, *_args: object, **_named: object) -> int | None:
        """No room."""
        raise NoRoomError("the disk is full")

    def checkpoint(self, *_args: object, **_named: object) -> None:
        """No room."""
        raise NoRoomError("the disk is full")


class Bench:
    """Two workers' slots over one store, and a pilot in each."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.lines = io.StringIO()
        self.store = SqliteStore(folder / "rollouts.db", self.clock)
        self.store.ensure_first("m", "1", "gateway")
        self.slots_folder = folder / "slots"
        self.slots = [Slot.create(self.slots_folder, place=place) for place in (0, 1)]
        self.pilots = [self.pilot(f"slot-{slot.incarnation}") for slot in self.slots]

    def pilot(self, holder: str) -> Pilot:
        """A worker's pilot."""
        log = Log(self.lines, self.clock)
        return Pilot(self.store, self.slots_folder, self.clock, holder, 3.0, log)

    def start(self, spec: dict[str, Any] = SPEC) -> None:
        """Begin a rollout of version 2."""
        verb = verbs.start(spec_file.convert(spec), "2")
        verbs.apply(self.store, "m", verb, Entry(actor="operator:ada", verb="start"), self.clock.now())

    @property
    def route(self) -> Route:
        """What stands."""
        found = self.store.route("m")
        assert found is not None
        return found

    def serve(self, slot: int, requests: int, errors: int = 0, *, arm: str = "candidate") -> None:
        """Count answers of an arm under the present revision in a worker's slot."""
        version = "2" if arm == "candidate" else "1"
        labels = {"model": "m", "version": version, "arm": arm, "revision": str(self.route.revision)}
        counters = self.slots[slot].counters
        counters.values[counters.series(EVIDENCE_REQUESTS, labels)] += requests
        counters.values[counters.series(EVIDENCE_ERRORS, labels)] += errors

    def acts(self) -> list[tuple[str, str]]:
        """Who did what since the start of the rollout."""
        return [(entry.actor, entry.verb) for entry in self.store.history(after=2)]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A fresh bench."""
    made = Bench(tmp_path)
    yield made
    for slot in made.slots:
        slot.close()
    made.store.close()


def test_without_a_rollout_nothing_is_written(bench: Bench) -> None:
    """A look with nothing to do takes no lease."""
    bench.pilots[0].look()
    assert bench.store.lease("pilot", "somebody", 1.0) == 1


def test_moves_on_by_evidence_of_all_workers(bench: Bench) -> None:
    """Samples are summed over workers; the step, the promotion and the end are edits with their numbers."""
    bench.start()
    bench.clock.advance(11)
    bench.serve(0, 60)
    bench.pilots[0].look()
    assert bench.acts() == []
    bench.serve(1, 60)
    bench.pilots[0].look()
    assert bench.acts() == [("pilot", "advance")]
    assert (bench.route.step, bench.store.history()[-1].n) == (1, 120)
    bench.clock.advance(11)
    bench.serve(0, 600)
    bench.serve(1, 600, arm="stable")
    bench.pilots[0].look()
    assert bench.acts()[-1] == ("pilot", "promote")
    assert (bench.route.stable, bench.route.previous) == ("2", "1")
    assert bench.store.history()[-1].verdict == "PASS"
    bench.clock.advance(61)
    bench.pilots[0].look()
    assert bench.acts()[-1] == ("pilot", "finish")
    assert bench.store.active("m") is None


def test_a_full_disk_lets_nothing_go_forward_and_a_regression_go_back(bench: Bench, tmp_path: Path) -> None:
    """Without room for lease and state any worker aborts on proof, and none goes on; it is told once."""
    bench.start(SPEC | {"guards": {"max_exposed_errors": 0}})
    full = FullStore(tmp_path / "rollouts.db", bench.clock)
    log = Log(bench.lines, bench.clock)
    pilots = [Pilot(full, bench.slots_folder, bench.clock, name, 3.0, log) for name in ("a", "b")]
    bench.clock.advance(11)
    bench.serve(0, 120)
    for pilot in [*pilots, *pilots]:
        pilot.look()
    assert bench.acts() == []
    assert bench.lines.getvalue().count("pilot-only-goes-back") == len(pilots)
    bench.serve(0, 400, arm="stable")
    bench.serve(1, 100, 60)
    for pilot in pilots:
        pilot.look()
    assert bench.acts() == [("pilot", "abort")]
    full.close()


def test_goes_back_on_a_proven_regression(bench: Bench) -> None:
    """A candidate whose error rate is proven worse is aborted, whoever holds the lease."""
    bench.start(SPEC | {"guards": {"max_exposed_errors": 0}})
    bench.serve(0, 400, arm="stable")
    bench.serve(1, 100, 40)
    bench.pilots[1].look()
    assert bench.acts() == [("pilot", "abort")]
    entry = bench.store.history()[-1]
    assert (entry.verdict, entry.evidence["error-rate.verdict"]) == ("FAIL", "FAIL")


def test_the_exposure_fuse_needs_no_verdict(bench: Bench) -> None:
    """Users who lost too many answers are enough, whatever the judge makes of it."""
    bench.start(SPEC | {"guards": {"max_exposed_errors": 5}})
    bench.serve(0, 10, 6)
    bench.pilots[0].look()
    assert bench.acts() == [("guard", "abort")]


def test_one_pilot_acts_until_its_lease_ends(bench: Bench) -> None:
    """Only the holder of the lease moves a rollout; after its death another does within the lease's time."""
    bench.start()
    bench.pilots[0].look()
    bench.clock.advance(2)
    bench.serve(0, 200)
    bench.pilots[1].look()
    assert bench.store.load_checkpoint(bench.route.rollout or "") is not None
    assert bench.acts() == []
    bench.clock.advance(9)
    bench.pilots[1].look()
    assert bench.acts() == [("pilot", "advance")]


def test_close_hands_the_lease_over(bench: Bench) -> None:
    """A worker that stops in order gives the lease up at once."""
    bench.start()
    bench.pilots[0].look()
    bench.pilots[0].close()
    assert bench.store.lease("pilot", "somebody", 1.0) == 2


def test_a_successor_counts_nothing_twice(bench: Bench) -> None:
    """Evidence that one pilot has judged and kept is not judged again by the next."""
    bench.start()
    bench.serve(0, 90)
    bench.pilots[0].look()
    bench.clock.advance(11)
    bench.pilots[1].look()
    assert bench.acts() == []
    bench.serve(0, 10)
    bench.pilots[1].look()
    assert bench.acts() == [("pilot", "advance")]
    assert bench.store.history()[-1].n == 100


def test_a_dead_workers_evidence_counts(bench: Bench) -> None:
    """What a worker answered before it died is evidence too."""
    bench.start()
    bench.serve(0, 150)
    bench.slots[0].close()
    bench.clock.advance(11)
    bench.pilots[1].look()
    assert bench.acts() == [("pilot", "advance")]


def test_a_damaged_checkpoint_starts_the_evidence_anew(bench: Bench) -> None:
    """A checkpoint that cannot be read is told, and the rollout goes on with what the slots hold."""
    bench.start()
    bench.store.checkpoint(bench.route.rollout or "", b"damage", b"damage")
    bench.serve(0, 150)
    bench.clock.advance(11)
    bench.pilots[0].look()
    assert "evidence-lost" in bench.lines.getvalue()
    assert bench.acts() == [("pilot", "advance")]


def test_a_paused_rollout_stays(bench: Bench) -> None:
    """A rollout that somebody paused waits for somebody, with any evidence but a regression."""
    bench.start()
    verbs.apply(bench.store, "m", verbs.pause(), Entry(actor="operator:ada", verb="pause"), bench.clock.now())
    bench.serve(0, 1000)
    bench.clock.advance(11)
    bench.pilots[0].look()
    assert bench.acts() == [("operator:ada", "pause")]
