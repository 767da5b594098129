"""From verdicts to a status, for those who only look."""

from pathlib import Path

from gateway.judgement import last_judgement, status_of
from groundwork.clock import FakeClock
from rollouts import judge, spec_file, verbs
from rollouts.evidence import ArmCounts, Observation
from rollouts.history import Entry
from rollouts.rollout import Rollout
from rollouts.route import Route
from rollouts.store import SqliteStore

SPEC = spec_file.convert(
    {"steps": [{"weight": 10, "hold": {"for": 0, "samples": 10}}], "metrics": [{"name": "error-rate"}]}
)


def started(store: SqliteStore, clock: FakeClock) -> tuple[Route, Rollout]:
    """A rollout of version 2 that has just begun."""
    store.ensure_first("m", "1", "gateway")
    entry = Entry(actor="operator:ada", verb="start")
    change = verbs.apply(store, "m", verbs.start(SPEC, "2"), entry, clock.now())
    assert change.rollout is not None
    return change.route, change.rollout


def test_looking_shows_what_the_pilot_kept(tmp_path: Path) -> None:
    """The verdicts shown rest on the checkpoint, and looking changes nothing."""
    clock = FakeClock()
    store = SqliteStore(tmp_path / "rollouts.db", clock)
    route, rollout = started(store, clock)
    assert last_judgement(store, rollout, route, clock.now()).verdicts[0].n == 0
    counts = {1: {(route.revision, "candidate"): ArmCounts(25, 0)}}
    state, seen, _ = judge.judge(rollout, *judge.begin(rollout.spec), Observation(counts=counts))
    store.checkpoint(rollout.id, *judge.encode(state, seen))
    before = store.load_checkpoint(rollout.id)
    status = status_of(store, route, clock.now())
    assert status.verdicts[0].n == 25
    assert status.progress is not None
    assert status.progress.samples == 25
    assert store.load_checkpoint(rollout.id) == before
    store.close()


def test_a_silent_monitor_is_shown(tmp_path: Path) -> None:
    """A monitor that was heard of and fell silent is among what the next move waits for."""
    clock = FakeClock()
    store = SqliteStore(tmp_path / "rollouts.db", clock)
    route, _ = started(store, clock)
    store.beat("monitor")
    clock.advance(120)
    assert "monitor" in status_of(store, route, clock.now()).waiting
    store.beat("monitor")
    assert "monitor" not in status_of(store, route, clock.now()).waiting
    store.close()


def test_a_beat_from_before_the_clock_was_set_back_is_old(tmp_path: Path) -> None:
    """A monitor that died under a clock that ran ahead is not taken for one that lives."""
    clock = FakeClock()
    store = SqliteStore(tmp_path / "rollouts.db", clock)
    route, _ = started(store, clock)
    store.beat("monitor")
    assert "monitor" in status_of(store, route, clock.now() - 120 * 10**9).waiting
    store.close()


def test_after_the_end_the_last_rollout_is_shown(tmp_path: Path) -> None:
    """A model whose rollout is over shows how it ended; one that never had any is steady."""
    clock = FakeClock()
    store = SqliteStore(tmp_path / "rollouts.db", clock)
    first = store.ensure_first("m", "1", "gateway")
    assert status_of(store, first, clock.now()).state == "steady"
    started(store, clock)
    verbs.apply(store, "m", verbs.abort("tickets"), Entry(actor="operator:ada", verb="abort"), clock.now())
    route = store.route("m")
    assert route is not None
    status = status_of(store, route, clock.now())
    assert (status.state, status.reason) == ("rolled-back", "tickets")
    store.close()
