"""The fuses' wiring: a candidate that fails in a row, a worker that dies while it runs one."""

import functools
import io
import signal
from pathlib import Path

import msgspec
import pytest

from gateway.causes import cause_of
from gateway.guards import CrashGuard, ErrorWatch, oom_kills, post, suspects
from gateway.metrics import EXECUTING, LOADING
from groundwork.clock import FakeClock
from groundwork.logs import Log
from groundwork.series import SeriesKey
from groundwork.slot_readings import SlotReading
from rollouts import guards, spec_file, verbs
from rollouts.history import Entry
from rollouts.store import SqliteStore

SPEC = spec_file.convert({"guards": {"consecutive_errors": 20, "crashes": 2}})


class Bench:
    """A store in which version 2 of `m` is rolled out."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.log = Log(io.StringIO(), self.clock)
        self.store = SqliteStore(folder / "rollouts.db", self.clock)
        self.store.ensure_first("m", "1", "gateway")
        begin = verbs.start(SPEC, "2")
        verbs.apply(self.store, "m", begin, Entry(actor="operator:ada", verb="start"), self.clock.now())

    def crash_guard(self) -> CrashGuard:
        """The supervisor's guard over this store."""
        return CrashGuard(self.store, self.clock, self.log)

    def verbs(self) -> list[tuple[str, str]]:
        """Who did what since the start of the rollout."""
        return [(entry.actor, entry.verb) for entry in self.store.history(after=2)]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A fresh bench."""
    return Bench(tmp_path)


def died(**runs: int) -> SlotReading:
    """A dead worker of place 0 that was running so many runs of each version of `m` (v1=…, v2=…)."""
    series = {
        SeriesKey(EXECUTING, (("model", "m"), ("version", name.removeprefix("v"))), "gauge"): count
        for name, count in runs.items()
    }
    return SlotReading(7, 0, alive=False, folder=Path(), series=series)


def watch(bench: Bench, in_a_row: int) -> ErrorWatch:
    """A worker in which the candidate failed so often in a row."""
    return ErrorWatch(bench.store, bench.clock, 7, lambda _model, _version: in_a_row, bench.log)


@pytest.mark.parametrize(("count", "aborted"), [(19, False), (20, True)])
def test_errors_in_a_row_abort_at_the_limit(bench: Bench, count: int, aborted: bool) -> None:  # noqa: FBT001  a case of the table
    """A candidate that fails as often in a row as the guard allows is aborted by the worker that saw it."""
    watching = watch(bench, count)
    watching.look(watching.suspects(bench.store.routes()))
    assert bench.verbs() == ([("guard", "abort")] if aborted else [])
    route = bench.store.route("m")
    assert route is not None
    assert (route.candidate is None) == aborted


def test_a_single_error_is_not_looked_at(bench: Bench) -> None:
    """While nothing fails twice in a row the watch reads memory only."""
    assert watch(bench, 1).suspects(bench.store.routes()) == []


def test_a_blown_guard_finds_nothing_left_the_second_time(bench: Bench) -> None:
    """Two workers that see the same candidate fail make one abort, and the second makes no error."""
    suspects = watch(bench, 30).suspects(bench.store.routes())
    watch(bench, 30).look(suspects)
    watch(bench, 30).look(suspects)
    assert bench.verbs() == [("guard", "abort")]


def test_a_judgement_holds_for_its_own_rollout_only(bench: Bench) -> None:
    """The rollout that was judged ends and another begins: the late abort finds nothing, and harms nobody."""
    judged = bench.store.active("m")
    assert judged is not None
    act = functools.partial(verbs.apply, bench.store, "m", now=bench.clock.now())
    act(verbs.abort(), entry=Entry(actor="operator:ada", verb="abort"))
    act(verbs.start(SPEC, "3"), entry=Entry(actor="operator:ada", verb="start"))
    decision = guards.consecutive_errors(judged, {7: 30})
    assert decision is not None
    post(bench.store, judged, decision, bench.clock, bench.log)
    assert bench.verbs() == [("operator:ada", "abort"), ("operator:ada", "start")]
    route = bench.store.route("m")
    assert route is not None
    assert route.candidate == "3"


def judge(guard: CrashGuard, slot: SlotReading, code: int) -> list[tuple[str, str]]:
    """What is left to blame for the end of this worker."""
    return guard.judge(slot, code, cause_of(code))


def test_the_second_crash_aborts(bench: Bench) -> None:
    """A worker that dies by a fatal signal while it runs the candidate is noted; twice is an abort."""
    guard = bench.crash_guard()
    assert judge(guard, died(v2=1), -signal.SIGSEGV) == []
    assert bench.verbs() == [("supervisor", "crash")]
    assert judge(guard, died(v1=1, v2=2), -signal.SIGABRT) == []
    assert bench.verbs() == [("supervisor", "crash"), ("supervisor", "crash"), ("guard", "abort")]


def test_a_hung_worker_is_held_against_the_candidate(bench: Bench) -> None:
    """A loop that stood still while the candidate was executing is noted like a crash, whatever ended it."""
    assert bench.crash_guard().judge(died(v2=1), -signal.SIGKILL, "hung") == []
    assert bench.verbs() == [("supervisor", "crash")]
    assert "hung" in bench.store.history(after=2)[-1].reason


def test_crashes_are_remembered_across_supervisors(bench: Bench) -> None:
    """A supervisor that was restarted between two crashes counts both."""
    judge(bench.crash_guard(), died(v2=1), -signal.SIGSEGV)
    judge(bench.crash_guard(), died(v2=1), -signal.SIGSEGV)
    assert bench.verbs()[-1] == ("guard", "abort")


def test_a_plain_kill_blames_nobody(bench: Bench) -> None:
    """SIGKILL from outside or an ordinary exit changes nothing and leaves nobody to blame."""
    guard = bench.crash_guard()
    for code in (-signal.SIGKILL, -signal.SIGTERM, 1, 0):
        assert judge(guard, died(v1=1, v2=1), code) == []
    assert judge(guard, died(), -signal.SIGSEGV) == []
    assert bench.verbs() == []


def test_a_crash_beside_the_candidate_is_the_stable_version_s(bench: Bench) -> None:
    """What was executing and is no candidate is left to blame; the rollout goes on."""
    assert judge(bench.crash_guard(), died(v1=1), -signal.SIGSEGV) == [("m", "1")]
    assert bench.verbs() == []


def died_loading(version: str, **runs: int) -> SlotReading:
    """A dead worker that was loading a version of `m` beside what it was running."""
    slot = died(**runs)
    key = SeriesKey(LOADING, (("model", "m"), ("version", version)), "gauge")
    return msgspec.structs.replace(slot, series={**slot.series, key: 1})


def test_suspects_are_what_was_running() -> None:
    """Only versions with a run under way are named; during a load that one alone."""
    assert suspects(died(v1=0, v2=3)) == [("m", "2")]
    assert suspects(died_loading("3", v1=1, v2=1)) == [("m", "3")]


def test_a_load_that_kills_twice_aborts(bench: Bench) -> None:
    """Deaths while the candidate is loaded are held against it, and not against what was running beside."""
    guard = bench.crash_guard()
    assert judge(guard, died_loading("2", v1=1), -signal.SIGSEGV) == []
    assert bench.store.history(after=2)[-1].reason.endswith("while version 2 was being loaded")
    assert judge(guard, died_loading("2", v1=1), -signal.SIGBUS) == []
    assert bench.verbs()[-1] == ("guard", "abort")
    assert judge(guard, died_loading("1", v2=1), -signal.SIGSEGV) == [("m", "1")]


def test_oom_kills_reads_the_cgroup(tmp_path: Path) -> None:
    """The count is that of our own cgroup; without one it is 0."""
    own = tmp_path / "cgroup"
    own.write_text("0::/kubepods/pod1\n")
    place = tmp_path / "kubepods" / "pod1"
    place.mkdir(parents=True)
    (place / "memory.events").write_text("low 0\noom 4\noom_kill 3\n")
    assert oom_kills(tmp_path, own) == 3
    assert oom_kills(tmp_path / "absent", own) == 0
