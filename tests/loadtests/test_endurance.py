"""A soak passes when nothing grows after warm-up, and says what did."""

import pytest

from loadtests import endurance
from loadtests.bench.generator import Tally
from loadtests.samples import Sample

MIB = 1 << 20
LIMIT = 100 * MIB


def run(*, growth: float = 0.0, dies: bool = False, file_growth: float = 0.0) -> list[Sample]:
    """A hundred looks; one process that doubles in warm-up and then grows by a share, one that may end."""
    found = []
    for place in range(100):
        memory = {"worker": round((50 + min(place, 10) * 5) * MIB * (1 + growth * place / 100))}
        if not (dies and place > 80):
            memory["monitor"] = 80 * MIB
        files = {"log": 90 * MIB, "rollouts.db": round(MIB + file_growth * place * MIB), "lock": 4096}
        found.append(Sample(float(place), memory, files))
    return found


def minutes(*p99_ms: float, bad: int = 0) -> list[Tally]:
    """Minutes whose every answer took so long."""
    return [Tally(latencies=[round(value * 1e6)] * 10, bad=bad) for value in p99_ms]


def failed(samples: list[Sample], tallies: list[Tally], limit: int | None = LIMIT) -> set[str]:
    """The names of the criteria that do not hold."""
    return {check.name for check in endurance.judge(samples, tallies, limit) if not check.passed}


def test_a_flat_run_passes() -> None:
    """Growth in warm-up is no growth, and a minute may be a fifth slower."""
    assert failed(run(), minutes(2.0, 5.0, 2.3)) == set()


@pytest.mark.parametrize(
    ("samples", "name"),
    [
        (run(growth=0.2), "memory of worker"),
        (run(dies=True), "memory of monitor"),
        (run(file_growth=0.3), "bytes of rollouts.db"),
    ],
)
def test_what_grows_or_ends_is_named(samples: list[Sample], name: str) -> None:
    """Memory beyond five percent, a process that is gone, a file that follows the requests: each alone."""
    assert failed(samples, minutes(2.0, 2.0)) == {name}


def test_a_log_above_its_limit_fails_and_so_does_one_without() -> None:
    """The log may be as large as it was told to be, and must have been told."""
    assert failed(run(), minutes(2.0, 2.0), 80 * MIB) == {"bytes of log"}
    assert failed(run(), minutes(2.0, 2.0), None) == {"bytes of log"}


def test_a_slower_last_minute_fails() -> None:
    """The last minute's 99 % may be a fifth above the first's, and no more."""
    assert failed(run(), minutes(2.0, 2.0, 2.5)) == {"99 % of the last minute"}


def test_a_failed_request_fails_the_soak() -> None:
    """One is too many."""
    assert failed(run(), minutes(2.0, 2.0, bad=1)) == {"failed requests"}
